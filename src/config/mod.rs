//! The options of one run: their table, their values, and the settings that result. Pure.

pub(crate) mod change;
pub(crate) mod error;
pub(crate) mod lookup;
pub(crate) mod options;
pub(crate) mod settings;
mod spec;
#[cfg(test)]
mod tests;
pub(crate) mod typed;
pub(crate) mod url;
pub(crate) mod value;
mod values;

pub use error::ConfigError;
pub(crate) use settings::{Connection, Place, Restore, TlsFiles};
pub use value::Value;
pub use values::Config;
