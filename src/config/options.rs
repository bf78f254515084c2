//! The one table of options, of every command: the program's arguments, the C setters, the environment names and the
//! documentation are made from it or tested against it. Values are parsed in `config.rs`.

/// What is asked for. Each has its options: the rows of [`OPTIONS`] that name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// Restore a backup: [`run`](crate::run).
    Recover,
    /// Tell whether a restore could begin: [`check`](crate::commands::check::check()). Takes the options of a recovery.
    Check,
    /// Switch the configuration of a Barman server: [`config_switch`](crate::config_switch()).
    ConfigSwitch,
    /// Ask for operations: [`Operations`](crate::Operations).
    Operations,
}

impl Command {
    /// Every command.
    pub const ALL: &[Command] =
        &[Command::Recover, Command::Check, Command::ConfigSwitch, Command::Operations];

    /// Its options, in the order of [`OPTIONS`].
    pub fn options(self) -> impl Iterator<Item = &'static OptionSpec> {
        OPTIONS.iter().filter(move |spec| spec.commands.contains(&self))
    }
}

/// An option. [`OPTIONS`] describes each.
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
}

/// What a value of an option looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Text that is not empty.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The path of a file or directory.
    Path,
    /// An `http://` or `https://` URL.
    Url,
    /// Whole seconds, 0 to 4294967295.
    Seconds,
    /// A whole number, 0 to 4294967295.
    Count,
    /// On or off; off unless given.
    Flag,
}

impl Kind {
    /// The word that stands for the value in help texts; empty for a flag.
    #[must_use]
    pub fn value_name(self) -> &'static str {
        match self {
            Kind::Text => "TEXT",
            Kind::Word(_) => "WORD",
            Kind::Path => "PATH",
            Kind::Url => "URL",
            Kind::Seconds => "SECONDS",
            Kind::Count => "N",
            Kind::Flag => "",
        }
    }
}

/// A row of [`OPTIONS`].
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
    /// Whether its commands need it.
    pub required: bool,
    /// The commands that it belongs to.
    pub commands: &'static [Command],
    /// Its meaning, as `--help` prints it.
    pub help: &'static str,
}

impl OptionSpec {
    /// Whether it belongs to every command, so that the program takes it before the sub-command too.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.commands.len() == Command::ALL.len()
    }

    /// The name of the environment variable of this option: `BARMAN_RECOVER_LOOP_WAIT`.
    #[must_use]
    pub fn env(&self) -> String {
        format!("BARMAN_RECOVER_{}", self.name.to_uppercase().replace('-', "_"))
    }
}

impl Opt {
    /// The row of this option in [`OPTIONS`], which is in the order of the variants.
    #[must_use]
    pub const fn spec(self) -> &'static OptionSpec {
        #[allow(clippy::indexing_slicing)] // a test holds that every option has its row, and its place
        &OPTIONS[self as usize]
    }
}

const fn row(
    option: Opt,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec { option, name, alias: "", kind, default, required: false, commands: RECOVERY, help }
}

/// What only a recovery needs, `check` takes too: its options are those of the Patroni configuration.
const RECOVERY: &[Command] = &[Command::Recover, Command::Check];

const fn global(spec: OptionSpec) -> OptionSpec {
    only(Command::ALL, spec)
}

const fn only(commands: &'static [Command], mut spec: OptionSpec) -> OptionSpec {
    spec.commands = commands;
    spec
}

const fn required(mut spec: OptionSpec) -> OptionSpec {
    spec.required = true;
    spec
}

const fn alias(mut spec: OptionSpec, alias: &'static str) -> OptionSpec {
    spec.alias = alias;
    spec
}

/// Every option, in the order of the variants of [`Opt`] and of the help text. New rows come last, so that the
/// place of a row never changes. [`Command::options`] has those of one command.
pub const OPTIONS: &[OptionSpec] = &[
    global(required(row(
        Opt::ApiUrl,
        "api-url",
        Kind::Url,
        "",
        "URL of pg-backup-api, for example 'http://barman:7480'; 'https://user:password@host/prefix' works too",
    ))),
    global(row(
        Opt::CertFile,
        "cert-file",
        Kind::Path,
        "",
        "Client certificate for the API, in PEM; may hold the key too",
    )),
    global(row(
        Opt::KeyFile,
        "key-file",
        Kind::Path,
        "",
        "Key of the client certificate, in PEM, not encrypted",
    )),
    global(row(
        Opt::CaFile,
        "ca-file",
        Kind::Path,
        "",
        "Certificates to trust, in PEM, beside the system's (or SSL_CERT_FILE and SSL_CERT_DIR)",
    )),
    global(row(
        Opt::Proxy,
        "proxy",
        Kind::Url,
        "",
        "HTTP proxy to reach the API through; the environment's proxy variables are ignored",
    )),
    global(row(
        Opt::RetryWait,
        "retry-wait",
        Kind::Seconds,
        "2",
        "Seconds to wait before a failed request is repeated",
    )),
    global(row(
        Opt::MaxRetries,
        "max-retries",
        Kind::Count,
        "5",
        "How often a request that failed and started nothing is tried",
    )),
    global(row(
        Opt::ConnectTimeout,
        "connect-timeout",
        Kind::Seconds,
        "10",
        "Seconds to connect to the API, TLS handshake included",
    )),
    global(row(
        Opt::RequestTimeout,
        "request-timeout",
        Kind::Seconds,
        "20",
        "Seconds until the API must have answered a question",
    )),
    global(row(
        Opt::CreateTimeout,
        "create-timeout",
        Kind::Seconds,
        "60",
        "Seconds until the API must have answered the request that starts the operation",
    )),
    global(required(row(Opt::BarmanServer, "barman-server", Kind::Text, "", "Name of the Barman server"))),
    row(
        Opt::BackupId,
        "backup-id",
        Kind::Text,
        "latest",
        "Backup to restore: an ID or what 'barman recover' accepts (latest, oldest, ...)",
    ),
    required(row(
        Opt::SshCommand,
        "ssh-command",
        Kind::Text,
        "",
        "Command with which Barman reaches this node, as its '--remote-ssh-command'",
    )),
    required(alias(
        row(
            Opt::DataDirectory,
            "data-directory",
            Kind::Path,
            "",
            "Data directory of this node: where to restore",
        ),
        "datadir",
    )),
    row(
        Opt::OperationId,
        "operation-id",
        Kind::Text,
        "",
        "Follow this operation instead of starting one (--ssh-command is not needed then)",
    ),
    only(
        &[Command::Recover, Command::Check, Command::Operations],
        row(
            Opt::LoopWait,
            "loop-wait",
            Kind::Seconds,
            "10",
            "Seconds between two looks at the operation, at most",
        ),
    ),
    global(row(
        Opt::MaxOutage,
        "max-outage",
        Kind::Seconds,
        "",
        "Seconds without a good answer about a running operation until giving up (300, or max-retries x retry-wait when one of them is given)",
    )),
    global(row(Opt::Deadline, "deadline", Kind::Seconds, "0", "Seconds for the whole run, 0 for no limit")),
    row(
        Opt::Verify,
        "verify",
        Kind::Flag,
        "",
        "Call the recovery failed when the data directory does not hold the data afterwards (a warning otherwise)",
    ),
    row(
        Opt::StateFile,
        "state-file",
        Kind::Path,
        "",
        "File that remembers the running operation (beside the data directory: DATADIR.barman-recover.json)",
    ),
    row(
        Opt::NoStateFile,
        "no-state-file",
        Kind::Flag,
        "",
        "Keep no state file: a run that was killed is then forgotten",
    ),
    row(
        Opt::StallTimeout,
        "stall-timeout",
        Kind::Seconds,
        "0",
        "Seconds without anything new in the data directory until giving up, 0 for no limit (a warning comes after 300)",
    ),
    row(
        Opt::NoDiagnose,
        "no-diagnose",
        Kind::Flag,
        "",
        "Do not ask the API for the backup's size (GET /diagnose, which has Barman look at all its servers): no percentage then",
    ),
    only(
        &[Command::ConfigSwitch],
        row(Opt::BarmanModel, "barman-model", Kind::Text, "", "Barman config model to apply to the server"),
    ),
    only(
        &[Command::ConfigSwitch],
        row(Opt::Reset, "reset", Kind::Flag, "", "Unapply the model that is active for the server, if any"),
    ),
    only(
        &[Command::ConfigSwitch],
        required(row(
            Opt::SwitchWhen,
            "switch-when",
            Kind::Word(&["promoted", "demoted", "always"]),
            "",
            "When to switch: promoted (the new role is primary or promoted), demoted (replica or demoted), always",
        )),
    ),
];

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
            // Patroni passes these itself; a prefix match would swallow them.
            for patroni in ["scope", "role", "connstring", "no_leader", "keep_data"] {
                assert!(!spec.name.starts_with(patroni), "{}", spec.name);
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
