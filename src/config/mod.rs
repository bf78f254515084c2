//! The options of one run: their table, their values, and the settings that result. Pure.

pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod url;
pub(crate) mod value;

pub use options::ConfigError;
pub use settings::Config;
pub(crate) use settings::{Change, Connection, Paths, Restore, TlsFiles};
