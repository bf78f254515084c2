//! Option names as typed on a command line: in full, as a prefix, mistyped, or meant for another program. Pure.

use crate::config::lookup::nearest;

/// What Patroni itself passes to each hook (`patroni/postgresql/bootstrap.py`).
const PATRONIS: [&str; 6] = ["scope", "role", "connstring", "no_leader", "keep_data", "no_params"];

/// The options of the Python program, those of its sub-commands first: their prefixes keep the meaning that they had
/// there, whatever options have been added since.
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
/// and an unambiguous prefix is enough.
///
/// # Errors
/// The name must not be ignored, because then a different restore would be made than the one intended: it is a prefix
/// of several options, most likely a mistyped one, or an option of `barman recover` that can't be passed through the
/// API.
pub fn typed<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Result<Typed<'a>, String> {
    let mut names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    let dashed = name.replace('_', "-");
    if let Some(exact) = names.iter().find(|known| **known == dashed) {
        return Ok(Typed::Option(exact));
    }
    if PATRONIS.contains(&name) {
        return Ok(Typed::Patronis);
    }
    let mut hits: Vec<&str> = names.iter().copied().filter(|known| known.starts_with(&dashed)).collect();
    for pythons in PYTHONS {
        if hits.len() > 1 && hits.iter().any(|hit| pythons.contains(hit)) {
            hits.retain(|hit| pythons.contains(hit));
        }
    }
    match hits.as_slice() {
        _ if name.is_empty() => return Ok(Typed::Unknown),
        [] => {}
        [one] | ["data-directory", one @ "datadir"] => return Ok(Typed::Option(one)),
        several => {
            let several: Vec<String> = several.iter().map(|name| format!("--{name}")).collect();
            return Err(format!("ambiguous option: --{name} could match {}", several.join(", ")));
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
    use crate::config::options::OPTIONS;

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
            ("create_t", "create-timeout"),
        ] {
            assert_eq!(what(name), Ok(Typed::Option(option)), "{name}");
        }
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
