//! What the options result in: the settings of the connection, of a restore and of a config switch, with defaults
//! filled in. Each command gets only what it uses. Pure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::change::{Change, When};
use crate::config::error::ConfigError;
use crate::config::options::{Command, Opt};
use crate::config::url::Url;
use crate::config::values::Config;

/// The default without `--max-outage`, `--retry-wait` and `--max-retries`.
const MAX_OUTAGE: Duration = Duration::from_secs(300);

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
    /// The minimum number of misses in a row, however much time has passed.
    pub(crate) min_misses: u32,
    pub(crate) deadline: Option<Duration>,
}

/// What a restore needs besides the connection.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Restore {
    pub(crate) backup_id: String,
    /// Empty if an operation is only followed.
    pub(crate) ssh_command: String,
    pub(crate) data_directory: String,
    /// The operation to follow instead of starting one.
    pub(crate) operation_id: Option<String>,
    pub(crate) loop_wait: Duration,
    /// Whether an operation counts as failed if it is done but its data is not here.
    pub(crate) verify: bool,
    pub(crate) state_file: Option<PathBuf>,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) diagnose: bool,
    /// Whether a cancelled run leaves the restore running.
    pub(crate) leave_running: bool,
    /// Whether a failed check of the space or the directory is only a warning.
    pub(crate) force: bool,
}

/// A config switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) change: Change,
    pub(crate) when: When,
}

impl Config {
    /// Checks that everything that this command needs is set, and returns the settings of its connection.
    pub(crate) fn connection(&self, command: Command) -> Result<Connection, ConfigError> {
        self.complete_for(command)?;
        if self.is_set(Opt::KeyFile) && !self.is_set(Opt::CertFile) {
            return Err(ConfigError::of(Opt::KeyFile, "needs --cert-file too"));
        }
        let retry_wait = self.seconds(Opt::RetryWait);
        let max_retries = self.number(Opt::MaxRetries).unwrap_or_default();
        let (max_outage, min_misses) = match self.number(Opt::MaxOutage) {
            Some(seconds) => (Duration::from_secs(seconds.into()), 1),
            None if self.is_set(Opt::RetryWait) || self.is_set(Opt::MaxRetries) => {
                (retry_wait.saturating_mul(max_retries), max_retries.max(1))
            }
            None => (MAX_OUTAGE, 1),
        };
        Ok(Connection {
            api_url: self.url(Opt::ApiUrl).cloned().ok_or_else(|| missing(Opt::ApiUrl))?,
            tls: TlsFiles {
                cert_file: self.path(Opt::CertFile),
                key_file: self.path(Opt::KeyFile),
                ca_file: self.path(Opt::CaFile),
            },
            proxy: self.url(Opt::Proxy).cloned(),
            retry_wait,
            max_retries,
            request_timeout: self.seconds(Opt::RequestTimeout),
            create_timeout: self.seconds(Opt::CreateTimeout),
            barman_server: self.owned(Opt::BarmanServer)?,
            max_outage,
            min_misses,
            deadline: self.limit(Opt::Deadline),
        })
    }

    /// The settings of a restore.
    pub(crate) fn restore(&self) -> Result<Restore, ConfigError> {
        self.restore_for(Command::Recover)
    }

    /// The settings of the restore that this command works on.
    pub(crate) fn restore_for(&self, command: Command) -> Result<Restore, ConfigError> {
        self.complete_for(command)?;
        let data_directory = self.owned(Opt::DataDirectory)?;
        let state_file = match self.path(Opt::StateFile) {
            _ if self.is_on(Opt::NoStateFile) => None,
            Some(path) => Some(path),
            None => Some(beside(&data_directory)),
        };
        Ok(Restore {
            backup_id: self.owned(Opt::BackupId)?,
            ssh_command: self.text(Opt::SshCommand).unwrap_or_default().into(),
            data_directory,
            operation_id: self.text(Opt::OperationId).map(Into::into),
            loop_wait: self.loop_wait(),
            verify: !self.is_on(Opt::NoVerify) && self.flag(Opt::Verify) != Some(false),
            state_file,
            stall_timeout: self.limit(Opt::StallTimeout),
            diagnose: !self.is_on(Opt::NoDiagnose),
            leave_running: self.is_on(Opt::LeaveRunning),
            force: self.is_on(Opt::Force),
        })
    }

    /// What a config switch changes, and for which roles.
    pub(crate) fn switch(&self) -> Result<Switch, ConfigError> {
        let when = self.switch_when().ok_or_else(|| missing(Opt::SwitchWhen))?;
        let change = match (self.text(Opt::BarmanModel), self.is_on(Opt::Reset)) {
            (Some(model), false) => Change::Model(model.into()),
            (None, true) => Change::Reset,
            (model, reset) => {
                return Err(ConfigError::new(format!(
                    "One, and only one among 'barman_model' ('{}') and 'reset' ('{}') should be given",
                    model.unwrap_or("None"),
                    if reset { "True" } else { "False" }
                )));
            }
        };
        Ok(Switch { change, when })
    }

    /// The roles for which a config switch is made, if set: any other role is skipped, whatever the change.
    pub(crate) fn switch_when(&self) -> Option<When> {
        self.text(Opt::SwitchWhen).map(When::named)
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

    /// Whether a flag is on.
    #[must_use]
    pub fn is_on(&self, option: Opt) -> bool {
        self.flag(option) == Some(true)
    }
}

fn missing(option: Opt) -> ConfigError {
    ConfigError::of(option, "is required")
}

/// Where the state file is: next to the data directory, because the directory itself gets emptied or removed.
pub(crate) fn beside(data_directory: &str) -> PathBuf {
    let trimmed = Path::new(data_directory).components().as_path();
    let mut name = trimmed.as_os_str().to_os_string();
    name.push(".barman-recover.json");
    name.into()
}
