//! Why an option was refused. Pure.

use std::fmt;

use crate::config::options::Opt;
use crate::error::Error;
use crate::outcome::Code;

/// Why an option was refused. The text never shows the value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    option: Option<Opt>,
    reason: String,
}

impl fmt::Display for ConfigError {
    /// `--name: reason`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.option {
            Some(option) => write!(f, "--{}: {}", option.spec().name, self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    pub(crate) fn of(option: Opt, reason: impl Into<String>) -> ConfigError {
        ConfigError { option: Some(option), reason: reason.into() }
    }

    /// An error about no single option.
    pub(crate) fn new(reason: impl Into<String>) -> ConfigError {
        ConfigError { option: None, reason: reason.into() }
    }

    /// The option that was refused or is missing; `None` if several options do not fit together.
    #[must_use]
    pub fn option(&self) -> Option<Opt> {
        self.option
    }

    /// Why, without the name of the option.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Error {
        Error::new(Code::InvalidArgument, error.to_string())
    }
}
