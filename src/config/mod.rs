//! The options of one run, parsed as they are set, so that nothing behind this file can meet a
//! wrong one. Defaults come from the table in `options.rs`. Pure.

pub(crate) mod change;
pub(crate) mod options;
pub(crate) mod url;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::change::{Change, When};
use crate::config::options::{Command, Kind, Opt};
use crate::config::url::Url;

/// A value for an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A text, path or URL; or, as on a command line, a number or a boolean.
    Text(&'a str),
    /// Seconds or a count.
    Number(u32),
    /// On or off.
    Flag(bool),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Number(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

/// Why an option was refused. The text names the option, never its value (which may be a secret).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    pub(crate) fn new(text: impl Into<String>) -> ConfigError {
        ConfigError(text.into())
    }
}

/// The options of one run.
#[derive(Clone, Default)]
pub struct Config {
    api_url: Option<Url>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    proxy: Option<Url>,
    retry_wait: Option<u32>,
    max_retries: Option<u32>,
    connect_timeout: Option<u32>,
    request_timeout: Option<u32>,
    create_timeout: Option<u32>,
    barman_server: Option<String>,
    backup_id: Option<String>,
    ssh_command: Option<String>,
    data_directory: Option<String>,
    operation_id: Option<String>,
    loop_wait: Option<u32>,
    max_outage: Option<u32>,
    deadline: Option<u32>,
    verify: Option<bool>,
    state_file: Option<PathBuf>,
    no_state_file: Option<bool>,
    stall_timeout: Option<u32>,
    no_diagnose: Option<bool>,
    barman_model: Option<String>,
    reset: Option<bool>,
    switch_when: Option<When>,
}

impl fmt::Debug for Config {
    /// Says nothing of the values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config { .. }")
    }
}

impl Config {
    /// No option is set: all have their defaults.
    #[must_use]
    pub fn new() -> Config {
        Config::default()
    }

    /// Sets an option; the last value wins.
    ///
    /// # Errors
    /// The value is not of the option's kind. The option keeps what it had.
    pub fn set<'a>(&mut self, option: Opt, value: impl Into<Value<'a>>) -> Result<&mut Config, ConfigError> {
        let value = value.into();
        let refuse = |why: &str| ConfigError(format!("--{}: {why}", option.spec().name));
        let text = || match value {
            Value::Text("") => Err(refuse("must not be empty")),
            Value::Text(text) if text.contains('\0') => Err(refuse("must not contain a NUL character")),
            Value::Text(text) => Ok(text.to_string()),
            _ => Err(refuse("takes a text")),
        };
        let path = || text().map(PathBuf::from);
        let url = || text().and_then(|text| Url::parse(&text).map_err(|why| refuse(&why)));
        let number = || match value {
            Value::Number(number) => Ok(number),
            Value::Text(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| refuse("is too large (at most 4294967295)"))
            }
            _ if option.spec().kind == Kind::Seconds => {
                Err(refuse("takes whole seconds without a unit, for example 10"))
            }
            _ => Err(refuse("takes a whole number, for example 5")),
        };
        let limit = || match number()? {
            0 => Err(refuse("must be at least 1")),
            seconds => Ok(seconds),
        };
        let flag = || match value {
            Value::Flag(flag) => Ok(flag),
            Value::Text(word) => match word.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => Ok(true),
                "false" | "off" | "no" | "0" => Ok(false),
                _ => Err(refuse("takes true or false")),
            },
            Value::Number(_) => Err(refuse("takes true or false")),
        };
        let word = || match (value, option.spec().kind) {
            (Value::Text(word), Kind::Word(words)) if words.contains(&word) => Ok(word),
            (_, Kind::Word(words)) => Err(refuse(&format!("takes one of {}", words.join(", ")))),
            _ => Err(refuse("takes a text")),
        };
        match option {
            Opt::ApiUrl => self.api_url = Some(api_url(url()?).map_err(refuse)?),
            Opt::CertFile => self.cert_file = Some(path()?),
            Opt::KeyFile => self.key_file = Some(path()?),
            Opt::CaFile => self.ca_file = Some(path()?),
            Opt::Proxy => self.proxy = Some(proxy(url()?).map_err(refuse)?),
            Opt::RetryWait => self.retry_wait = Some(number()?),
            Opt::MaxRetries => self.max_retries = Some(number()?),
            Opt::ConnectTimeout => self.connect_timeout = Some(limit()?),
            Opt::RequestTimeout => self.request_timeout = Some(limit()?),
            Opt::CreateTimeout => self.create_timeout = Some(limit()?),
            Opt::BarmanServer => self.barman_server = Some(text()?),
            Opt::BackupId => self.backup_id = Some(text()?),
            Opt::SshCommand => self.ssh_command = Some(text()?),
            Opt::DataDirectory => self.data_directory = Some(text()?),
            Opt::OperationId => self.operation_id = Some(text()?),
            Opt::LoopWait => self.loop_wait = Some(number()?),
            Opt::MaxOutage => self.max_outage = Some(number()?),
            Opt::Deadline => self.deadline = Some(number()?),
            Opt::Verify => self.verify = Some(flag()?),
            Opt::StateFile => self.state_file = Some(path()?),
            Opt::NoStateFile => self.no_state_file = Some(flag()?),
            Opt::StallTimeout => self.stall_timeout = Some(number()?),
            Opt::NoDiagnose => self.no_diagnose = Some(flag()?),
            Opt::BarmanModel => self.barman_model = Some(text()?),
            Opt::Reset => self.reset = Some(flag()?),
            Opt::SwitchWhen => self.switch_when = Some(When::named(word()?)),
        }
        Ok(self)
    }

    /// Checks that the options fit together, and fills in the defaults.
    pub(crate) fn settings(&self, command: Command) -> Result<Settings, ConfigError> {
        for spec in command.options().filter(|spec| spec.required) {
            let missing = match spec.option {
                Opt::ApiUrl => self.api_url.is_none(),
                Opt::BarmanServer => self.barman_server.is_none(),
                Opt::DataDirectory => self.data_directory.is_none(),
                Opt::SshCommand => self.ssh_command.is_none() && self.operation_id.is_none(),
                Opt::SwitchWhen => self.switch_when.is_none(),
                _ => false,
            };
            if missing {
                return Err(ConfigError(format!("--{}: is required", spec.name)));
            }
        }
        let number = |value: Option<u32>, option: Opt| {
            value.or_else(|| option.spec().default.parse().ok()).unwrap_or(0)
        };
        let seconds = |value, option| Duration::from_secs(number(value, option).into());
        let (Some(api_url), Some(barman_server)) = (self.api_url.clone(), self.barman_server.clone()) else {
            return Err(ConfigError::new("a required option is missing"));
        };
        let retry_wait = seconds(self.retry_wait, Opt::RetryWait);
        let max_retries = number(self.max_retries, Opt::MaxRetries);
        let (max_outage, min_misses) = match self.max_outage {
            Some(seconds) => (Duration::from_secs(seconds.into()), 1),
            None if self.retry_wait.is_some() || self.max_retries.is_some() => {
                (retry_wait.saturating_mul(max_retries), max_retries.max(1))
            }
            None => (Duration::from_secs(300), 1),
        };
        let state_file = match (&self.state_file, self.no_state_file) {
            (_, Some(true)) => None,
            (Some(path), _) => Some(path.clone()),
            (None, _) => self.data_directory.as_deref().map(beside),
        };
        if self.key_file.is_some() && self.cert_file.is_none() {
            return Err(ConfigError::new("--key-file: needs --cert-file too"));
        }
        Ok(Settings {
            api_url,
            tls: TlsFiles {
                cert_file: self.cert_file.clone(),
                key_file: self.key_file.clone(),
                ca_file: self.ca_file.clone(),
            },
            proxy: self.proxy.clone(),
            retry_wait,
            max_retries,
            connect_timeout: seconds(self.connect_timeout, Opt::ConnectTimeout),
            request_timeout: seconds(self.request_timeout, Opt::RequestTimeout),
            create_timeout: seconds(self.create_timeout, Opt::CreateTimeout),
            barman_server,
            backup_id: self.backup_id.clone().unwrap_or_else(|| Opt::BackupId.spec().default.into()),
            ssh_command: self.ssh_command.clone().unwrap_or_default(),
            data_directory: self.data_directory.clone().unwrap_or_default(),
            operation_id: self.operation_id.clone(),
            loop_wait: seconds(self.loop_wait, Opt::LoopWait),
            max_outage,
            min_misses,
            deadline: Some(seconds(self.deadline, Opt::Deadline)).filter(|limit| !limit.is_zero()),
            verify: self.verify.unwrap_or(false),
            state_file,
            stall_timeout: Some(seconds(self.stall_timeout, Opt::StallTimeout))
                .filter(|limit| !limit.is_zero()),
            diagnose: !self.no_diagnose.unwrap_or(false),
        })
    }

    /// At which roles a config switch is made, if that is set.
    pub(crate) fn switch_when(&self) -> Option<When> {
        self.switch_when
    }

    /// Which change a config switch makes.
    pub(crate) fn change(&self) -> Result<Change, ConfigError> {
        match (&self.barman_model, self.reset.unwrap_or(false)) {
            (Some(model), false) => Ok(Change::Model(model.clone())),
            (None, true) => Ok(Change::Reset),
            (model, reset) => Err(ConfigError::new(format!(
                "One, and only one among 'barman_model' ('{}') and 'reset' ('{}') should be given",
                model.as_deref().unwrap_or("None"),
                if reset { "True" } else { "False" }
            ))),
        }
    }
}

fn api_url(url: Url) -> Result<Url, &'static str> {
    if url.query.is_empty() { Ok(url) } else { Err("must not have a query ('?...')") }
}

fn proxy(url: Url) -> Result<Url, &'static str> {
    if url.https || !url.path.is_empty() || !url.query.is_empty() {
        return Err("takes 'http://host:port' or 'http://user:password@host:port'");
    }
    Ok(url)
}

/// The state file's place: beside the data directory, as the directory itself is emptied or removed.
pub(crate) fn beside(data_directory: &str) -> PathBuf {
    let trimmed = Path::new(data_directory).components().as_path();
    let mut name = trimmed.as_os_str().to_os_string();
    name.push(".barman-recover.json");
    name.into()
}

/// Where client certificate, key and trusted certificates come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsFiles {
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
}

/// Options that fit together, defaults filled in; empty what the command has no use for.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) api_url: Url,
    pub(crate) tls: TlsFiles,
    pub(crate) proxy: Option<Url>,
    pub(crate) retry_wait: Duration,
    pub(crate) max_retries: u32,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) create_timeout: Duration,
    pub(crate) barman_server: String,
    pub(crate) backup_id: String,
    pub(crate) ssh_command: String,
    pub(crate) data_directory: String,
    pub(crate) operation_id: Option<String>,
    pub(crate) loop_wait: Duration,
    pub(crate) max_outage: Duration,
    /// How many misses in a row it takes at least, whatever the time.
    pub(crate) min_misses: u32,
    pub(crate) deadline: Option<Duration>,
    pub(crate) verify: bool,
    pub(crate) state_file: Option<PathBuf>,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) diagnose: bool,
}

#[cfg(test)]
mod tests;
