//! Names of options: in full, mistyped, as a prefix, or meant for another program. Pure.

use strsim::osa_distance;

use crate::config::options::{Command, ConfigError, OPTIONS, Opt, OptionSpec};
use crate::text::one_line;

impl Opt {
    /// The option with this name, with `-` or `_` between its words; aliases work too.
    fn named(name: &str) -> Option<Opt> {
        let dashed = name.replace('_', "-");
        let found = OPTIONS.iter().find(|spec| names(spec).any(|known| known == dashed));
        found.map(|spec| spec.option)
    }

    /// The same, for hosts that pass names through.
    ///
    /// # Errors
    /// There is no such option. The text names the nearest one, if there is one.
    pub fn find(name: &str) -> Result<Opt, ConfigError> {
        Opt::named(name).ok_or_else(|| {
            let hint = Opt::nearest(name).map(|near| format!(", did you mean '{}'?", near.spec().name));
            let hint = hint.unwrap_or_default();
            ConfigError::new(format!("there is no option '{}'{hint}", one_line(name)))
        })
    }

    /// The option whose name was most likely mistyped.
    fn nearest(name: &str) -> Option<Opt> {
        Opt::named(nearest(name, OPTIONS.iter().flat_map(names))?)
    }
}

impl Command {
    /// The command with this name.
    ///
    /// # Errors
    /// There is no such command. The text names those that there are.
    pub fn find(name: &str) -> Result<Command, ConfigError> {
        Command::ALL.iter().copied().find(|command| command.name() == name).ok_or_else(|| {
            let known: Vec<_> = Command::ALL.iter().map(|command| command.name()).collect();
            ConfigError::new(format!("there is no command '{}', only {}", one_line(name), known.join(", ")))
        })
    }
}

fn names(spec: &OptionSpec) -> impl Iterator<Item = &'static str> + use<> {
    [spec.name, spec.alias].into_iter().filter(|name| !name.is_empty())
}

/// The one of these names that was most likely mistyped as `name`: it differs in one letter, or in two if it is long.
/// Two swapped letters count as one; `-` and `_` are the same.
fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = letters(name);
    let most = match typed.chars().count() {
        0..=3 => 0,
        4..=7 => 1,
        8..=40 => 2,
        _ => return None, // option names are short, so this is not a mistyped one, and stopping here costs nothing
    };
    let near = names.into_iter().map(|known| (osa_distance(&typed, &letters(known)), known));
    near.filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn letters(name: &str) -> String {
    name.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// What Patroni itself passes to each hook (`patroni/postgresql/bootstrap.py`).
const PATRONIS: [&str; 6] = ["scope", "role", "connstring", "no_leader", "keep_data", "no_params"];

/// The options of the Python program, those of its sub-commands first. As in that program, they may be
/// abbreviated. Other options may not, so that a prefix keeps its meaning.
const PYTHONS: [&[&str]; 2] = [
    &[
        "barman-server",
        "backup-id",
        "ssh-command",
        "data-directory",
        "datadir",
        "loop-wait",
        "barman-model",
        "reset",
        "switch-when",
    ],
    &["api-url", "cert-file", "key-file", "retry-wait", "max-retries", "log-file"],
];

/// The beginnings of `barman recover` options that can't be passed through the API, and what to do instead.
const BARMANS: [(&[&str], &str); 7] = [
    (&["remote-ssh-command"], "its name is --ssh-command here"),
    (
        &["target", "exclusive"],
        "to recover to a point in time, set the target in 'recovery_conf' of Patroni's bootstrap method",
    ),
    (
        &["get-wal", "no-get-wal", "standby-mode"],
        "set 'restore_command' in 'recovery_conf' of Patroni's bootstrap method",
    ),
    (&["tablespace"], "tablespaces are restored to where they were"),
    (
        &[
            "jobs",
            "parallel",
            "bwlimit",
            "network-compression",
            "no-network-compression",
            "retry-",
            "no-retry",
        ],
        "set 'parallel_jobs', 'bandwidth_limit', 'network_compression' or 'basebackup_retry_times' in Barman's configuration of the server",
    ),
    (
        &["recovery-staging-path", "local-staging-path", "staging", "no-staging", "combine-mode"],
        "set the staging options in Barman's configuration of the server",
    ),
    (
        &["recovery-conf-filename", "snapshot-recovery", "gcp-zone", "azure-resource-group", "aws-region"],
        "run 'barman recover' on the Barman host for that",
    ),
];

/// What a name on a command line means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Typed<'a> {
    /// This option.
    Option(&'a str),
    /// Something that Patroni passes to every hook.
    Patronis,
    /// Unknown, and to be ignored, as Patroni passes everything in its configuration.
    Unknown,
}

/// What a name, without its dashes, means if these are the option names, aliases included. `-` and `_` are the same,
/// and an unambiguous prefix is enough for an option of the Python program.
///
/// # Errors
/// The name must not be ignored, because then a different restore would be made than the one intended: it is a prefix
/// of several options, most likely a mistyped one, or an option of `barman recover` that can't be passed through the
/// API.
pub fn typed<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Result<Typed<'a>, String> {
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    let dashed = name.replace('_', "-");
    if let Some(exact) = names.iter().find(|known| **known == dashed) {
        return Ok(Typed::Option(exact));
    }
    if PATRONIS.contains(&name) {
        return Ok(Typed::Patronis);
    }
    if name.is_empty() {
        return Ok(Typed::Unknown);
    }
    for pythons in PYTHONS {
        let mut hits: Vec<&str> = names.iter().copied().filter(|known| pythons.contains(known)).collect();
        hits.retain(|known| known.starts_with(&dashed));
        hits.sort_unstable();
        hits.dedup();
        match hits.as_slice() {
            [] => {}
            [one] | ["data-directory", one @ "datadir"] => return Ok(Typed::Option(one)),
            several => {
                let several: Vec<String> = several.iter().map(|name| format!("--{name}")).collect();
                return Err(format!("ambiguous option: --{name} could match {}", several.join(", ")));
            }
        }
    }
    let is_one = |names: &[&str]| names.iter().any(|known| dashed.starts_with(known));
    if let Some((_, instead)) = BARMANS.into_iter().find(|(names, _)| is_one(names)) {
        return Err(format!(
            "unknown option --{name}: pg-backup-api passes only the backup, the directory and the ssh command on to Barman; {instead}"
        ));
    }
    match nearest(name, names) {
        Some(near) => Err(format!("unknown option --{name}: did you mean --{near}?")),
        None => Ok(Typed::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_by_every_spelling_of_their_names() {
        for spec in OPTIONS {
            for name in names(spec) {
                assert_eq!(Opt::named(name), Some(spec.option), "{name}");
                assert_eq!(Opt::named(&name.replace('-', "_")), Some(spec.option), "{name}");
                assert_eq!(Opt::named(&name.to_uppercase()), None, "{name}");
            }
        }
        for name in ["", "-", "--api-url", "api", "datadir2"] {
            assert_eq!(Opt::named(name), None, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        assert_eq!(Opt::find("loop_wait"), Ok(Opt::LoopWait));
        let why = |name: &str| Opt::find(name).unwrap_err().to_string();
        assert_eq!(why("lop-wait"), "there is no option 'lop-wait', did you mean 'loop-wait'?");
        assert_eq!(why("target\ntime"), "there is no option 'target time'");
        assert!(why(&"x".repeat(100_000)).len() < 600);
    }

    #[test]
    fn a_slip_is_recognized() {
        for (typed, option) in [
            ("backupid", Opt::BackupId),
            ("backup-di", Opt::BackupId),
            ("Backup_Id", Opt::BackupId),
            ("datadri", Opt::DataDirectory),
            ("data-dir", Opt::DataDirectory),
            ("data_directroy", Opt::DataDirectory),
            ("ssh-comand", Opt::SshCommand),
            ("api-ulr", Opt::ApiUrl),
            ("barmanserver", Opt::BarmanServer),
            ("loop-wiat", Opt::LoopWait),
            ("no-leese", Opt::NoLease),
        ] {
            assert_eq!(Opt::nearest(typed), Some(option), "{typed}");
        }
    }

    #[test]
    fn what_patroni_and_barman_call_their_own_is_no_slip() {
        for name in [
            "scope",
            "connstring",
            "keep_data",
            "no_params",
            "method",
            "command",
            "recovery_conf",
            "target-time",
            "target-lsn",
            "tablespace",
            "jobs",
            "standby-mode",
            "get-wal",
            "staging-path",
            "log-file",
            "log-level",
            "",
            "é",
            "prefix",
            "host",
            "port",
            "user",
        ] {
            assert_eq!(Opt::nearest(name), None, "{name}");
        }
        assert_eq!(Opt::nearest(&"backup-id".repeat(1_000_000)), None);
    }

    fn what(name: &str) -> Result<Typed<'static>, String> {
        typed(name, OPTIONS.iter().flat_map(|spec| [spec.name, spec.alias]))
    }

    #[test]
    fn a_name_or_a_prefix_is_an_option() {
        for (name, option) in [
            ("backup-id", "backup-id"),
            ("backup_id", "backup-id"),
            ("data_dir", "data-directory"),
            ("l", "loop-wait"),
            ("data", "datadir"),
            ("max", "max-retries"),
            ("c", "cert-file"),
        ] {
            assert_eq!(what(name), Ok(Typed::Option(option)), "{name}");
        }
        assert_eq!(what("create_t"), Ok(Typed::Unknown), "the Python program has no such option");
        assert!(what("b").unwrap_err().starts_with("ambiguous option: --b could match --backup-id, "));
    }

    #[test]
    fn what_must_not_be_ignored_is_refused() {
        for name in [
            "target-time",
            "target_xid",
            "exclusive",
            "tablespace",
            "jobs",
            "get-wal",
            "no-retry",
            "staging-path",
        ] {
            assert!(what(name).unwrap_err().contains(": pg-backup-api passes only"), "{name}");
        }
        assert_eq!(what("backupid").unwrap_err(), "unknown option --backupid: did you mean --backup-id?");
    }

    #[test]
    fn what_patroni_and_its_configuration_pass_is_ignored() {
        for name in PATRONIS.into_iter().filter(|name| *name != "role") {
            assert_eq!(what(name), Ok(Typed::Patronis), "{name}");
        }
        for name in ["", "method", "x", "checkpoint", "user", "host"] {
            assert_eq!(what(name), Ok(Typed::Unknown), "{name}");
        }
        for (names, _) in BARMANS {
            let ours = OPTIONS.iter().flat_map(|spec| [spec.name, spec.alias]);
            let ours: Vec<_> =
                ours.filter(|name| names.iter().any(|known| name.starts_with(known))).collect();
            assert!(ours.iter().all(|name| name.starts_with("retry-")), "{ours:?}");
        }
    }
}
