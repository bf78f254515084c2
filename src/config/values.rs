//! The options of one run, checked as they are set, so that no code below here can meet a wrong value; a value for
//! each row of the table. Pure.

use std::fmt;

use crate::config::error::ConfigError;
use crate::config::options::{Command, OPTIONS, Opt, OptionSpec};
use crate::config::url::Url;
use crate::config::value::{Stored, Value};

/// The options of one run.
#[derive(Clone)]
pub struct Config {
    /// In the order of [`OPTIONS`].
    values: [Option<Stored>; OPTIONS.len()],
}

impl fmt::Debug for Config {
    /// Doesn't show the values, as some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config { .. }")
    }
}

impl Default for Config {
    fn default() -> Config {
        Config { values: [const { None }; OPTIONS.len()] }
    }
}

impl Config {
    /// With no option set: all have their defaults.
    #[must_use]
    pub fn new() -> Config {
        Config::default()
    }

    /// Sets an option; the last value wins. A text is parsed as on a command line, whatever the kind of the option.
    ///
    /// # Errors
    /// The value is not of the option's kind. The option keeps its previous value.
    pub fn set<'a>(&mut self, option: Opt, value: impl Into<Value<'a>>) -> Result<&mut Config, ConfigError> {
        let (spec, value) = (option.spec(), value.into());
        let refuse = |reason: String| ConfigError::of(option, reason);
        let value = spec.kind.read(value).map_err(refuse)?;
        if let Some(check) = spec.check {
            check(&value).map_err(|reason| refuse(reason.into()))?;
        }
        if let Some(place) = self.values.get_mut(option as usize) {
            *place = Some(value);
        }
        Ok(self)
    }

    /// Gives an option its default again.
    pub fn reset(&mut self, option: Opt) {
        if let Some(place) = self.values.get_mut(option as usize) {
            *place = None;
        }
    }

    /// Whether the option was set; its default does not count.
    #[must_use]
    pub fn is_set(&self, option: Opt) -> bool {
        self.stored(option).is_some()
    }

    /// The options that this command needs and that are not set.
    pub fn missing(&self, command: Command) -> impl Iterator<Item = &'static OptionSpec> {
        command.options().filter(move |spec| spec.is_required_by(command) && !self.is_set(spec.option))
    }

    fn stored(&self, option: Opt) -> Option<&Stored> {
        self.values.get(option as usize)?.as_ref()
    }

    /// The value of a text, path or word, or its default.
    #[must_use]
    pub fn text(&self, option: Opt) -> Option<&str> {
        match self.stored(option) {
            Some(Stored::Text(text)) => Some(text),
            _ => Some(option.spec().default).filter(|default| !default.is_empty()),
        }
    }

    pub(crate) fn url(&self, option: Opt) -> Option<&Url> {
        match self.stored(option) {
            Some(Stored::Url(url)) => Some(url),
            _ => None,
        }
    }

    /// The value of a number, or its default.
    #[must_use]
    pub fn number(&self, option: Opt) -> Option<u32> {
        match self.stored(option) {
            Some(Stored::Number(number)) => Some(*number),
            _ => option.spec().default.parse().ok(),
        }
    }

    /// A flag, if it was given.
    pub(crate) fn flag(&self, option: Opt) -> Option<bool> {
        match self.stored(option) {
            Some(Stored::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }
}
