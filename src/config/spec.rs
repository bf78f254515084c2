//! What is known of an option: the columns of the table in `options.rs`. Pure.

use crate::config::value::{Check, Kind};

/// What only a recovery needs, `check` takes too: its options are those of the Patroni configuration.
const RECOVERY: &[Command] = &[Command::Recover, Command::Check];
/// Those that talk to the API.
const ONLINE: &[Command] = &[
    Command::Recover,
    Command::Check,
    Command::ConfigSwitch,
    Command::Operations,
    Command::Backups,
    Command::EndRestore,
];

/// What is asked for. Each has its options: the rows of [`OPTIONS`](crate::OPTIONS) that name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// Restore a backup: [`run`](crate::run).
    Recover,
    /// Check whether a restore could begin: [`check`](crate::commands::check::check()). Takes the options of a recovery.
    Check,
    /// Switch the configuration of a Barman server: [`config_switch`](crate::config_switch()).
    ConfigSwitch,
    /// Ask for operations: [`Operations`](crate::Operations).
    Operations,
    /// List the backups of a Barman server: [`backups`](crate::backups()).
    Backups,
    /// Look at what a restore has left: [`verify`](crate::verify()). It does not talk to the API.
    Verify,
    /// End a restore that nobody follows any more: [`end_restore`](crate::end_restore()). It asks the API only where
    /// the options for that are given.
    EndRestore,
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
        Command::EndRestore,
    ];
}

/// An option. [`OPTIONS`](crate::OPTIONS) describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Opt {
    /// `--api-url`
    ApiUrl,
    /// `--cert-file`
    CertFile,
    /// `--key-file`
    KeyFile,
    /// `--ca-file`
    CaFile,
    /// `--proxy`
    Proxy,
    /// `--retry-wait`
    RetryWait,
    /// `--max-retries`
    MaxRetries,
    /// `--connect-timeout`
    ConnectTimeout,
    /// `--request-timeout`
    RequestTimeout,
    /// `--create-timeout`
    CreateTimeout,
    /// `--barman-server`
    BarmanServer,
    /// `--backup-id`
    BackupId,
    /// `--ssh-command`
    SshCommand,
    /// `--data-directory`
    DataDirectory,
    /// `--operation-id`
    OperationId,
    /// `--loop-wait`
    LoopWait,
    /// `--max-outage`
    MaxOutage,
    /// `--deadline`
    Deadline,
    /// `--verify`
    Verify,
    /// `--state-file`
    StateFile,
    /// `--no-state-file`
    NoStateFile,
    /// `--stall-timeout`
    StallTimeout,
    /// `--no-diagnose`
    NoDiagnose,
    /// `--barman-model`
    BarmanModel,
    /// `--reset`
    Reset,
    /// `--switch-when`
    SwitchWhen,
    /// `--no-verify`
    NoVerify,
    /// `--leave-running`
    LeaveRunning,
    /// `--force`
    Force,
    /// `--probe`
    Probe,
    /// `--strict`
    Strict,
}

/// Where an option stands in help texts and documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Group {
    /// What names the task: most are needed.
    Needed,
    /// How long to wait, how often to try.
    Timing,
    /// Certificates and keys.
    Tls,
    /// What few need.
    Advanced,
}

impl Group {
    /// Every group, in the order of the help texts.
    pub const ALL: [Group; 4] = [Group::Needed, Group::Timing, Group::Tls, Group::Advanced];

    /// Its heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Group::Needed => "What is needed",
            Group::Timing => "Timing",
            Group::Tls => "TLS",
            Group::Advanced => "Advanced",
        }
    }
}

/// A row of [`OPTIONS`](crate::OPTIONS).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct OptionSpec {
    /// Which option.
    pub option: Opt,
    /// Its long name, without the dashes.
    pub name: &'static str,
    /// Another long name, or "".
    pub alias: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// The default as text; "" when there is none.
    pub default: &'static str,
    /// Whether its commands need it, except those that work without the API; see
    /// [`is_required_by`](OptionSpec::is_required_by).
    pub required: bool,
    /// The option that makes it not required.
    pub unless: Option<Opt>,
    /// Where it stands in help texts.
    pub group: Group,
    /// The commands that it belongs to.
    pub commands: &'static [Command],
    /// Its meaning, as `--help` prints it.
    pub help: &'static str,
    pub(crate) check: Option<Check>,
}

impl OptionSpec {
    /// A row for `recover` and `check`; what is different is said by the functions below.
    pub(super) const fn new(
        option: Opt,
        name: &'static str,
        kind: Kind,
        group: Group,
        help: &'static str,
    ) -> OptionSpec {
        OptionSpec {
            option,
            name,
            alias: "",
            kind,
            default: "",
            required: false,
            unless: None,
            group,
            commands: RECOVERY,
            help,
            check: None,
        }
    }

    pub(super) const fn global(self) -> OptionSpec {
        self.only(ONLINE)
    }

    pub(super) const fn only(mut self, commands: &'static [Command]) -> OptionSpec {
        self.commands = commands;
        self
    }

    pub(super) const fn required(mut self) -> OptionSpec {
        self.required = true;
        self
    }

    pub(super) const fn unless(mut self, other: Opt) -> OptionSpec {
        self.unless = Some(other);
        self
    }

    pub(super) const fn alias(mut self, alias: &'static str) -> OptionSpec {
        self.alias = alias;
        self
    }

    pub(super) const fn default(mut self, default: &'static str) -> OptionSpec {
        self.default = default;
        self
    }

    pub(super) const fn check(mut self, check: Check) -> OptionSpec {
        self.check = Some(check);
        self
    }

    /// Whether it belongs to every command that talks to the API, so that the program takes it before the sub-command
    /// too.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.commands.len() == ONLINE.len()
    }

    /// Whether this command needs it.
    #[must_use]
    pub fn is_required_by(&self, command: Command) -> bool {
        let is_optional = command == Command::EndRestore && self.is_global();
        self.required && self.commands.contains(&command) && !is_optional
    }

    /// The name of the environment variable of this option: `BARMAN_RECOVER_LOOP_WAIT`.
    #[must_use]
    pub fn env(&self) -> String {
        format!("BARMAN_RECOVER_{}", self.name.to_uppercase().replace('-', "_"))
    }
}
