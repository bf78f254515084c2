//! The options of one run. They are checked when they are set, so that no later code can meet a wrong value.
//! From them come the settings of the connection, of a restore and of a config switch, with defaults filled
//! in. Each command gets only what it uses. Pure.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::options::{Command, ConfigError, OPTIONS, Opt, OptionSpec};
use crate::config::url::Url;
use crate::config::value::Stored;

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

    /// Sets an option; the last value wins. The value is parsed as on a command line.
    ///
    /// # Errors
    /// The value is not of the option's kind. The option keeps its previous value.
    pub fn set(&mut self, option: Opt, value: &str) -> Result<&mut Config, ConfigError> {
        let spec = option.spec();
        let refuse = |reason: String| ConfigError::of(option, reason);
        let value = spec.kind.read(value).map_err(refuse)?;
        if let Some(requirement) = spec.requirement {
            requirement(&value).map_err(|reason| refuse(reason.into()))?;
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
        command.options().filter(move |spec| spec.required && !self.is_set(spec.option))
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

    /// Whether a flag is on.
    #[must_use]
    pub fn is_on(&self, option: Opt) -> bool {
        matches!(self.stored(option), Some(Stored::Flag(true)))
    }
}

/// Where client certificate, key and trusted certificates come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsFiles {
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
}

/// What every command needs: how to reach the API, and how long to try.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) api_url: Url,
    pub(crate) tls: TlsFiles,
    pub(crate) proxy: Option<Url>,
    pub(crate) retry_wait: Duration,
    pub(crate) max_retries: u32,
    pub(crate) request_timeout: Duration,
    pub(crate) create_timeout: Duration,
    pub(crate) barman_server: String,
    pub(crate) max_outage: Duration,
    pub(crate) deadline: Option<Duration>,
}

/// What a restore needs besides the connection.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Restore {
    pub(crate) backup_id: String,
    pub(crate) ssh_command: String,
    pub(crate) data_directory: String,
    /// Where the state directory is to be, if not beside the data directory.
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) loop_wait: Duration,
    /// Whether an operation counts as failed if it is done but its data is not here.
    pub(crate) verify: bool,
    pub(crate) stall_timeout: Option<Duration>,
    /// Whether Barman's commands run on this node through a lease.
    pub(crate) lease: bool,
    /// Whether the node will stream the WAL that is not restored.
    pub(crate) replica: bool,
    /// Whether someone watches the progress, so that the size of the backup is worth a question.
    pub(crate) watched: bool,
}

impl Restore {
    /// The same settings with their paths resolved.
    pub(crate) fn with_paths(
        self,
        resolve: impl FnOnce(Paths) -> Result<Paths, ConfigError>,
    ) -> Result<Restore, ConfigError> {
        let Restore { data_directory, state_dir, .. } = self;
        let Paths { data_directory, state_dir } = resolve(Paths { data_directory, state_dir })?;
        Ok(Restore { data_directory, state_dir, ..self })
    }
}

/// The directories on this node that a command works on.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) data_directory: String,
    pub(crate) state_dir: Option<PathBuf>,
}

/// The change of a config switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Model(String),
    Reset,
}

impl Config {
    /// Checks that everything that this command needs is set, and returns the settings of its connection.
    pub(crate) fn connection(&self, command: Command) -> Result<Connection, ConfigError> {
        self.complete_for(command)?;
        if self.is_set(Opt::KeyFile) && !self.is_set(Opt::CertFile) {
            return Err(ConfigError::of(Opt::KeyFile, "needs --cert-file too"));
        }
        Ok(Connection {
            api_url: self.url(Opt::ApiUrl).cloned().ok_or_else(|| missing(Opt::ApiUrl))?,
            tls: TlsFiles {
                cert_file: self.path(Opt::CertFile),
                key_file: self.path(Opt::KeyFile),
                ca_file: self.path(Opt::CaFile),
            },
            proxy: self.url(Opt::Proxy).cloned(),
            retry_wait: self.seconds(Opt::RetryWait),
            max_retries: self.number(Opt::MaxRetries).unwrap_or_default(),
            request_timeout: self.seconds(Opt::RequestTimeout),
            create_timeout: self.seconds(Opt::CreateTimeout),
            barman_server: self.owned(Opt::BarmanServer)?,
            max_outage: self.seconds(Opt::MaxOutage),
            deadline: self.limit(Opt::Deadline),
        })
    }

    /// The settings of a restore.
    pub(crate) fn restore(&self) -> Result<Restore, ConfigError> {
        let lease = !self.is_on(Opt::NoLease);
        if lease && self.is_on(Opt::NoVerify) {
            return Err(ConfigError::of(
                Opt::NoVerify,
                "needs --no-lease too: with a lease the data comes to this node",
            ));
        }
        let Paths { data_directory, state_dir } = self.paths(Command::Recover)?;
        Ok(Restore {
            backup_id: self.owned(Opt::BackupId)?,
            ssh_command: self.owned(Opt::SshCommand)?,
            data_directory,
            state_dir,
            loop_wait: self.loop_wait(),
            verify: !self.is_on(Opt::NoVerify),
            stall_timeout: self.limit(Opt::StallTimeout),
            lease,
            replica: self.text(Opt::Role) == Some("replica"),
            watched: self.is_on(Opt::WatchSize),
        })
    }

    /// Where this command works.
    pub(crate) fn paths(&self, command: Command) -> Result<Paths, ConfigError> {
        self.complete_for(command)?;
        Ok(Paths { data_directory: self.owned(Opt::DataDirectory)?, state_dir: self.path(Opt::StateDir) })
    }

    /// Whether a config switch is made when the node gets this role.
    pub(crate) fn switches_for(&self, role: &str) -> bool {
        match self.text(Opt::SwitchWhen) {
            Some("promoted") => matches!(role, "primary" | "promoted"),
            Some("demoted") => matches!(role, "replica" | "demoted"),
            _ => true,
        }
    }

    /// What a config switch changes.
    pub(crate) fn change(&self) -> Result<Change, ConfigError> {
        self.owned(Opt::SwitchWhen)?;
        match (self.text(Opt::BarmanModel), self.is_on(Opt::Reset)) {
            (Some(model), false) => Ok(Change::Model(model.into())),
            (None, true) => Ok(Change::Reset),
            (model, reset) => Err(ConfigError::new(format!(
                "One, and only one among 'barman_model' ('{}') and 'reset' ('{}') should be given",
                model.unwrap_or("None"),
                if reset { "True" } else { "False" }
            ))),
        }
    }

    /// The longest time between two polls of an operation.
    pub(crate) fn loop_wait(&self) -> Duration {
        self.seconds(Opt::LoopWait)
    }

    fn complete_for(&self, command: Command) -> Result<(), ConfigError> {
        self.missing(command).next().map_or(Ok(()), |spec| Err(missing(spec.option)))
    }

    fn owned(&self, option: Opt) -> Result<String, ConfigError> {
        self.text(option).map(Into::into).ok_or_else(|| missing(option))
    }

    fn path(&self, option: Opt) -> Option<PathBuf> {
        self.text(option).map(PathBuf::from)
    }

    fn seconds(&self, option: Opt) -> Duration {
        Duration::from_secs(self.number(option).unwrap_or_default().into())
    }

    /// Seconds; 0 means no limit.
    fn limit(&self, option: Opt) -> Option<Duration> {
        Some(self.seconds(option)).filter(|limit| !limit.is_zero())
    }
}

fn missing(option: Opt) -> ConfigError {
    ConfigError::of(option, "is required")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_those_of_the_python_program() {
        let roles = ["primary", "promoted", "standby_leader", "replica", "demoted"];
        let switches = |when: &str| {
            let mut config = Config::new();
            config.set(Opt::SwitchWhen, when).unwrap();
            roles.map(|role| config.switches_for(role))
        };
        assert_eq!(switches("promoted"), [true, true, false, false, false]);
        assert_eq!(switches("demoted"), [false, false, false, true, true]);
        assert_eq!(switches("always"), [true; 5]);
    }
}
