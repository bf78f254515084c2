//! The types of the columns of the table in `options.rs`: the commands that an option belongs to, and its group.
//! Pure.

use serde::Serialize;

/// A command. Its options are the rows of [`OPTIONS`](crate::OPTIONS) that name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
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

/// The group of an option in help texts and documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Every group, in the order of the help texts.
    pub const ALL: [Group; 4] = [Group::Needed, Group::Timing, Group::Tls, Group::Advanced];

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

/// `check` also takes what only a recovery needs, because its options are those of the Patroni configuration.
pub(super) const RECOVERY: &[Command] = &[Command::Recover, Command::Check];
/// Commands that talk to the API.
pub(super) const ONLINE: &[Command] =
    &[Command::Recover, Command::Check, Command::ConfigSwitch, Command::Operations, Command::Backups];
/// Commands that use a data directory.
pub(super) const LOCAL: &[Command] = &[Command::Recover, Command::Check, Command::Verify, Command::Settle];
/// Commands that use the state directory.
pub(super) const LEASED: &[Command] = &[Command::Recover, Command::Check, Command::Settle];
pub(super) const WITH_ROLE: &[Command] = &[Command::Recover, Command::Check, Command::ConfigSwitch];
pub(super) const FOLLOWING: &[Command] = &[Command::Recover, Command::Check, Command::Operations];
pub(super) const OPERATIONS: &[Command] = &[Command::Operations];
pub(super) const SWITCH: &[Command] = &[Command::ConfigSwitch];
pub(super) const CHECK: &[Command] = &[Command::Check];
