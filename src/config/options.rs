//! The one table of options, of every command: the program's arguments, the C setters, the environment names and the
//! documentation are made from it or tested against it. Pure.

use std::fmt;

use serde::Serialize;

pub use crate::config::value::Kind;
use crate::config::value::{Requirement, at_least_one, backup_id, directory, no_query, proxy};
use crate::error::Error;
use crate::outcome::Code;

/// `check` also takes what only a recovery needs, because its options are those of the Patroni configuration.
const RECOVERY: &[Command] = &[Command::Recover, Command::Check];
/// Commands that talk to the API.
const ONLINE: &[Command] =
    &[Command::Recover, Command::Check, Command::ConfigSwitch, Command::Operations, Command::Backups];
/// Commands that use a data directory.
const LOCAL: &[Command] = &[Command::Recover, Command::Check, Command::Verify, Command::Settle];
/// Commands that use the state directory.
const LEASED: &[Command] = &[Command::Recover, Command::Check, Command::Settle];
const WITH_ROLE: &[Command] = &[Command::Recover, Command::Check, Command::ConfigSwitch];
const FOLLOWING: &[Command] = &[Command::Recover, Command::Check, Command::Operations];
const OPERATIONS: &[Command] = &[Command::Operations];
const SWITCH: &[Command] = &[Command::ConfigSwitch];
const CHECK: &[Command] = &[Command::Check];

/// Makes [`Opt`] and [`OPTIONS`] from one row per option: variant, name, group, kind, commands, any columns that
/// differ from the defaults in [`row`], and help.
macro_rules! options {
    ($($option:ident $name:literal: $group:ident, $kind:expr, $commands:ident,
        { $($column:ident: $value:expr),* }, $help:literal;)*) => {
        /// An option. [`OPTIONS`](crate::OPTIONS) describes each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Opt {
            $(#[doc = concat!("`--", $name, "`")] $option,)*
        }

        /// Every option, in the order of the variants of [`Opt`] and of the help text. New rows come last, so that
        /// the index of a row never changes. [`Command::options`] returns those of one command.
        pub const OPTIONS: &[OptionSpec] = &[$(OptionSpec {
            $($column: $value,)*
            ..row(Opt::$option, $name, Group::$group, $kind, $commands, $help)
        },)*];
    };
}

options! {
    ApiUrl "api-url": Needed, Kind::Url, ONLINE, { required: true, requirement: Some(no_query) },
        "URL of pg-backup-api, for example 'http://barman:7480'; 'https://user:password@host/prefix' works too";
    CertFile "cert-file": Tls, Kind::Path, ONLINE, {},
        "Client certificate for the API, in PEM; may hold the key too";
    KeyFile "key-file": Tls, Kind::Path, ONLINE, {},
        "Key of the client certificate, in PEM, not encrypted";
    CaFile "ca-file": Tls, Kind::Path, ONLINE, {},
        "Certificates to trust, in PEM, in addition to the system's (or SSL_CERT_FILE and SSL_CERT_DIR)";
    Proxy "proxy": Advanced, Kind::Url, ONLINE, { requirement: Some(proxy) },
        "HTTP proxy to reach the API through; the environment's proxy variables are ignored";
    RetryWait "retry-wait": Timing, Kind::Seconds, ONLINE, { default: "2" },
        "Seconds to wait before a failed request is repeated";
    MaxRetries "max-retries": Timing, Kind::Count, ONLINE, { default: "5" },
        "Number of attempts for a request that fails and starts nothing";
    RequestTimeout "request-timeout": Timing, Kind::Seconds, ONLINE, { default: "20", requirement: Some(at_least_one) },
        "Seconds to wait for the API's answer to a question";
    CreateTimeout "create-timeout": Timing, Kind::Seconds, ONLINE, { default: "60", requirement: Some(at_least_one) },
        "Seconds to wait for the API's answer to the request that starts the operation";
    BarmanServer "barman-server": Needed, Kind::Text, ONLINE, { required: true },
        "Name of the Barman server";
    BackupId "backup-id": Needed, Kind::Text, RECOVERY, { default: "latest", requirement: Some(backup_id) },
        "Backup to restore: an ID, or latest, last, oldest, first or last-failed";
    SshCommand "ssh-command": Needed, Kind::Text, RECOVERY, { required: true },
        "Command with which Barman reaches this node, as its '--remote-ssh-command'";
    DataDirectory "data-directory": Needed, Kind::Path, LOCAL, { required: true, alias: "datadir", requirement: Some(directory) },
        "Data directory of this node: where to restore";
    LoopWait "loop-wait": Timing, Kind::Seconds, FOLLOWING, { default: "10" },
        "Longest time in seconds between two questions about the operation";
    MaxOutage "max-outage": Timing, Kind::Seconds, ONLINE, { default: "300" },
        "Seconds without a valid answer about a running operation, and without anything arriving here, before giving up";
    Deadline "deadline": Timing, Kind::Seconds, ONLINE, { default: "0" },
        "Seconds for the whole run, 0 for no limit";
    StallTimeout "stall-timeout": Timing, Kind::Seconds, RECOVERY, { default: "0" },
        "End a restore in which nothing has happened on this node for this many seconds, although Barman says that it is still running; this also ends a restore that Barman is still unpacking or combining on its own host. 0: never (a warning is logged after 300 seconds)";
    BarmanModel "barman-model": Needed, Kind::Text, SWITCH, {},
        "Barman config model to apply to the server";
    Reset "reset": Needed, Kind::Flag, SWITCH, {},
        "Unapply the model that is active for the server, if any";
    SwitchWhen "switch-when": Needed, Kind::Word(&["promoted", "demoted", "always"]), SWITCH, { required: true },
        "When to switch: promoted (the new role is primary or promoted), demoted (replica or demoted), always";
    NoVerify "no-verify": Advanced, Kind::Flag, RECOVERY, {},
        "With --no-lease: accept a restore that Barman reports as done even if its data is not in the data directory, for example after a restore to another host";
    StateDir "state-dir": Advanced, Kind::Path, LEASED, {},
        "State directory, through which Barman's commands run on this node; all runs with this data directory must use the same one, and the login of --ssh-command must be able to see it (default: DATADIR.barman-recover, beside the data directory)";
    NoLease "no-lease": Advanced, Kind::Flag, RECOVERY, {},
        "Restore without a lease, to another host or through a login with a forced command: nothing on this node ends the restore when this program ends";
    WatchSize "watch-size": Advanced, Kind::Flag, RECOVERY, {},
        "Ask the API once for the size of the backup (GET /diagnose, for which Barman examines all its servers), so that progress has a percentage";
    NoProbe "no-probe": Advanced, Kind::Flag, CHECK, {},
        "Do not have Barman log in on this node: no failed operation is left in the API's list then";
    Strict "strict": Advanced, Kind::Flag, CHECK, {},
        "Treat every warning as a failure";
    Role "role": Advanced, Kind::Text, WITH_ROLE, {},
        "Role of this node, in Patroni's words: with replica, WAL that Barman has not archived yet is only a warning, because a replica streams it; config-switch compares the role with --switch-when";
    Limit "limit": Advanced, Kind::Count, OPERATIONS, { default: "20" },
        "How many operations at most, the newest first; 0 for all; each costs a request";
}

/// A command. Its options are the rows of [`OPTIONS`](crate::OPTIONS) that name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Restore a backup: [`run`](crate::run).
    Recover,
    /// Check whether a restore could begin: [`check`](crate::commands::check::check()). Takes the options of a recovery.
    Check,
    /// Switch the configuration of a Barman server: [`config_switch`](crate::config_switch()).
    ConfigSwitch,
    /// List the operations of a Barman server: [`operations`](crate::operations()).
    Operations,
    /// List the backups of a Barman server: [`backups`](crate::backups()).
    Backups,
    /// Inspect what a restore has left: [`verify`](crate::verify()). It does not talk to the API.
    Verify,
    /// Clear what a failed restore has left, before PostgreSQL is started: [`settle`](crate::settle()). It does not
    /// talk to the API.
    Settle,
}

impl Command {
    /// Every command.
    pub const ALL: &[Command] = &[
        Command::Recover,
        Command::Check,
        Command::ConfigSwitch,
        Command::Operations,
        Command::Backups,
        Command::Verify,
        Command::Settle,
    ];

    /// Its name: `config-switch`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Command::Recover => "recover",
            Command::Check => "check",
            Command::ConfigSwitch => "config-switch",
            Command::Operations => "operations",
            Command::Backups => "backups",
            Command::Verify => "verify",
            Command::Settle => "settle",
        }
    }
}

/// The group of an option in help texts and documentation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Group {
    /// Options that define the task; most are required.
    Needed,
    /// How long to wait and how often to retry.
    Timing,
    /// Certificates and keys.
    Tls,
    /// Rarely needed.
    Advanced,
}

impl Group {
    /// Its heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Group::Needed => "Main options",
            Group::Timing => "Timing",
            Group::Tls => "TLS",
            Group::Advanced => "Advanced",
        }
    }
}

const fn row(
    option: Opt,
    name: &'static str,
    group: Group,
    kind: Kind,
    commands: &'static [Command],
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        option,
        name,
        alias: "",
        kind,
        default: "",
        required: false,
        group,
        commands,
        help,
        requirement: None,
    }
}

impl Command {
    /// Its options, in the order of [`OPTIONS`].
    pub fn options(self) -> impl Iterator<Item = &'static OptionSpec> {
        OPTIONS.iter().filter(move |spec| spec.commands.contains(&self))
    }
}

impl Opt {
    /// The row of this option in [`OPTIONS`], which is in the order of the variants.
    #[must_use]
    pub const fn spec(self) -> &'static OptionSpec {
        #[allow(clippy::indexing_slicing)] // every variant has its row at its index
        &OPTIONS[self as usize]
    }
}

/// A row of [`OPTIONS`](crate::OPTIONS).
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub struct OptionSpec {
    /// Which option.
    #[serde(skip)]
    pub option: Opt,
    /// Its long name, without the dashes.
    pub name: &'static str,
    /// Another long name, or "".
    pub alias: &'static str,
    /// What its value looks like; serialized as `kind`, and the `words` if it takes one of these.
    #[serde(flatten)]
    pub kind: Kind,
    /// The default as text; "" when there is none.
    pub default: &'static str,
    /// Whether its commands need it.
    pub required: bool,
    /// Its group in help texts.
    #[serde(skip)]
    pub group: Group,
    /// The commands that it belongs to.
    pub commands: &'static [Command],
    /// Its meaning, as `--help` prints it.
    pub help: &'static str,
    #[serde(skip)]
    pub(crate) requirement: Option<Requirement>,
}

impl OptionSpec {
    /// Whether it belongs to every command that talks to the API, so that the program takes it before the sub-command
    /// too.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.commands == ONLINE
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_one_row_and_a_lawful_name() {
        let mut names: Vec<&str> =
            OPTIONS.iter().flat_map(|s| [s.name, s.alias]).filter(|n| !n.is_empty()).collect();
        for (place, spec) in OPTIONS.iter().enumerate() {
            assert_eq!(spec.option as usize, place, "{}", spec.name);
            assert!(spec.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", spec.name);
            assert!(!spec.help.is_empty() && !spec.help.ends_with('.'), "{}", spec.name);
            // Patroni passes these itself; a prefix match would swallow them. Ours is the role that it passes.
            for patroni in ["scope", "role_", "connstring", "no_leader", "keep_data"] {
                assert!(!spec.name.starts_with(patroni), "{}", spec.name);
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
