//! The one table of options, of every command: the program's arguments, the C setters, the environment names and the
//! documentation are made from it or tested against it. Pure.

pub use crate::config::spec::{Command, Group, Opt, OptionSpec};
pub use crate::config::value::Kind;
use crate::config::value::{at_least_one, no_query, proxy};

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
        #[allow(clippy::indexing_slicing)] // a test holds that every option has its row, and its place
        &OPTIONS[self as usize]
    }
}

const fn needed(option: Opt, name: &'static str, kind: Kind, help: &'static str) -> OptionSpec {
    OptionSpec::new(option, name, kind, Group::Needed, help)
}

const fn seconds(option: Opt, name: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(option, name, Kind::Seconds, Group::Timing, help)
}

const fn tls(option: Opt, name: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(option, name, Kind::Path, Group::Tls, help).global()
}

const fn advanced(option: Opt, name: &'static str, kind: Kind, help: &'static str) -> OptionSpec {
    OptionSpec::new(option, name, kind, Group::Advanced, help)
}

const SWITCH: &[Command] = &[Command::ConfigSwitch];
const CHECK: &[Command] = &[Command::Check];
/// Those that have to do with a data directory.
const LOCAL: &[Command] = &[Command::Recover, Command::Check, Command::Verify, Command::EndRestore];
const WITH_STATE_FILE: &[Command] = &[Command::Recover, Command::Check, Command::EndRestore];

/// Every option, in the order of the variants of [`Opt`] and of the help text. New rows come last, so that the
/// place of a row never changes. [`Command::options`] has those of one command.
pub const OPTIONS: &[OptionSpec] = &[
    needed(
        Opt::ApiUrl,
        "api-url",
        Kind::Url,
        "URL of pg-backup-api, for example 'http://barman:7480'; 'https://user:password@host/prefix' works too",
    )
    .global()
    .required()
    .check(no_query),
    tls(Opt::CertFile, "cert-file", "Client certificate for the API, in PEM; may hold the key too"),
    tls(Opt::KeyFile, "key-file", "Key of the client certificate, in PEM, not encrypted"),
    tls(
        Opt::CaFile,
        "ca-file",
        "Certificates to trust, in PEM, in addition to the system's (or SSL_CERT_FILE and SSL_CERT_DIR)",
    ),
    advanced(
        Opt::Proxy,
        "proxy",
        Kind::Url,
        "HTTP proxy to reach the API through; the environment's proxy variables are ignored",
    )
    .global()
    .check(proxy),
    seconds(Opt::RetryWait, "retry-wait", "Seconds to wait before a failed request is repeated")
        .global()
        .default("2"),
    OptionSpec::new(
        Opt::MaxRetries,
        "max-retries",
        Kind::Count,
        Group::Timing,
        "Number of attempts for a request that fails and starts nothing",
    )
    .global()
    .default("5"),
    seconds(Opt::ConnectTimeout, "connect-timeout", "Seconds to connect to the API, TLS handshake included")
        .global()
        .default("10")
        .check(at_least_one),
    seconds(Opt::RequestTimeout, "request-timeout", "Seconds to wait for the API's answer to a question")
        .global()
        .default("20")
        .check(at_least_one),
    seconds(
        Opt::CreateTimeout,
        "create-timeout",
        "Seconds to wait for the API's answer to the request that starts the operation",
    )
    .global()
    .default("60")
    .check(at_least_one),
    needed(Opt::BarmanServer, "barman-server", Kind::Text, "Name of the Barman server").global().required(),
    needed(
        Opt::BackupId,
        "backup-id",
        Kind::Text,
        "Backup to restore: an ID or what 'barman recover' accepts (latest, oldest, ...)",
    )
    .default("latest"),
    needed(
        Opt::SshCommand,
        "ssh-command",
        Kind::Text,
        "Command with which Barman reaches this node, as its '--remote-ssh-command'",
    )
    .required()
    .unless(Opt::OperationId),
    needed(
        Opt::DataDirectory,
        "data-directory",
        Kind::Path,
        "Data directory of this node: where to restore",
    )
    .only(LOCAL)
    .required()
    .alias("datadir"),
    advanced(
        Opt::OperationId,
        "operation-id",
        Kind::Text,
        "Follow this operation instead of starting one (--ssh-command is not needed then)",
    ),
    seconds(Opt::LoopWait, "loop-wait", "Longest time in seconds between two questions about the operation")
        .only(&[Command::Recover, Command::Check, Command::Operations])
        .default("10"),
    seconds(
        Opt::MaxOutage,
        "max-outage",
        "Seconds without a valid answer about a running operation before giving up, while no data arrives (300, or max-retries x retry-wait when one of them is given)",
    )
    .global(),
    seconds(Opt::Deadline, "deadline", "Seconds for the whole run, 0 for no limit").global().default("0"),
    advanced(
        Opt::Verify,
        "verify",
        Kind::Flag,
        "Fail when the data is not in the data directory: the default; --verify=false is --no-verify",
    ),
    advanced(
        Opt::StateFile,
        "state-file",
        Kind::Path,
        "State file, which remembers the running operation (beside the data directory: DATADIR.barman-recover.json)",
    )
    .only(WITH_STATE_FILE),
    advanced(
        Opt::NoStateFile,
        "no-state-file",
        Kind::Flag,
        "Keep no state file: after a kill the next run does not know about the restore",
    )
    .only(WITH_STATE_FILE),
    seconds(
        Opt::StallTimeout,
        "stall-timeout",
        "Seconds without anything new in the data directory before giving up, 0 for no limit (a warning comes after 300)",
    )
    .default("0"),
    advanced(
        Opt::NoDiagnose,
        "no-diagnose",
        Kind::Flag,
        "Do not ask the API for the backup's size (GET /diagnose, which makes Barman look at all its servers): no percentage is shown then, and a backup that does not fit is not refused",
    ),
    needed(Opt::BarmanModel, "barman-model", Kind::Text, "Barman config model to apply to the server")
        .only(SWITCH),
    needed(Opt::Reset, "reset", Kind::Flag, "Unapply the model that is active for the server, if any")
        .only(SWITCH),
    needed(
        Opt::SwitchWhen,
        "switch-when",
        Kind::Word(&["promoted", "demoted", "always"]),
        "When to switch: promoted (the new role is primary or promoted), demoted (replica or demoted), always",
    )
    .only(SWITCH)
    .required(),
    advanced(
        Opt::NoVerify,
        "no-verify",
        Kind::Flag,
        "Accept the API's DONE although the data is not in the data directory: for a restore to a different host",
    ),
    advanced(
        Opt::LeaveRunning,
        "leave-running",
        Kind::Flag,
        "Leave the restore running when this run is cancelled, as the Python program does, instead of ending it",
    ),
    advanced(
        Opt::Force,
        "force",
        Kind::Flag,
        "Restore even if the check of the free space or of the data directory fails",
    ),
    advanced(
        Opt::Probe,
        "probe",
        Kind::Flag,
        "Have Barman log in on this node, by a restore into a scratch directory that it refuses as not empty: nothing is copied, and an operation that has FAILED is left in the API's list",
    )
    .only(CHECK),
    advanced(Opt::Strict, "strict", Kind::Flag, "Call every warning a failure").only(CHECK),
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
