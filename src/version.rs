//! The version of this crate.

/// The version of this library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
