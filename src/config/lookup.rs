//! Options by name, as typed on a command line, in a configuration or in C; also near misses. Pure.

use strsim::osa_distance;

use crate::config::error::ConfigError;
use crate::config::options::{Command, OPTIONS, Opt, OptionSpec};
use crate::text::one_line;

impl Opt {
    /// The option with this name, with `-` or `_` between its words; aliases work too.
    #[must_use]
    pub fn named(name: &str) -> Option<Opt> {
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
    #[must_use]
    pub fn nearest(name: &str) -> Option<Opt> {
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
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
}
