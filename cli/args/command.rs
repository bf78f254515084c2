//! The commands and their help texts, made from the library's table of options.

use std::ffi::OsString;

use barman_recover::{Command as Asked, Kind, OPTIONS, OptionSpec};
use clap::{Arg, ArgAction, Command};

use super::logging;

pub const NAME: &str = "patroni_barman";
pub const RECOVER: &str = "recover";

const GLOBAL: &str = "Options of every sub-command";

const EXIT_STATUS: &str = "Exit status: 0 the backup was restored; 1 the recovery failed; 2 HTTP error, or wrong usage; \
254 the API is not OK, nothing was started; 255 no sub-command; 251 the deadline passed; 250 the data directory or \
its state file is in use; 249 a bug. A signal ends the program by that signal.\n\
Options that it does not know are ignored, as Patroni passes options of its own.";

/// The program's commands.
pub fn command() -> Command {
    let globals = OPTIONS.iter().filter(|spec| spec.is_global()).map(arg);
    let recover = sub(RECOVER, Asked::Recover)
        .about("Restore a Barman backup onto this node ('barman recover' through pg-backup-api)")
        .after_help(EXIT_STATUS);
    Command::new(NAME)
        .version(version())
        .about("Restores Barman backups through pg-backup-api: Patroni's hook for bootstrap and replica creation")
        .next_line_help(true)
        .args(globals.chain(logging::args()).map(|arg| arg.global(true).help_heading(GLOBAL)))
        .subcommand(recover)
        .disable_help_subcommand(true)
        .after_help(EXIT_STATUS)
}

/// A sub-command with its own options.
fn sub(name: &'static str, asked: Asked) -> Command {
    Command::new(name).next_line_help(true).args(asked.options().filter(|spec| !spec.is_global()).map(arg))
}

/// What a bug report needs.
fn version() -> String {
    format!(
        "{} (library barman-recover {}, {} {})",
        env!("CARGO_PKG_VERSION"),
        barman_recover::VERSION,
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}

fn arg(spec: &OptionSpec) -> Arg {
    let mut help = spec.help.to_string();
    if spec.required {
        help.push_str(" (required)");
    }
    let arg = option(spec.name, help, spec.default, &spec.env());
    let arg = if spec.alias.is_empty() { arg } else { arg.visible_alias(spec.alias) };
    match spec.kind {
        Kind::Flag => flag(arg),
        // A missing value must not swallow the next option; that of ssh may begin with a dash.
        _ => arg
            .num_args(1)
            .value_name(spec.kind.value_name())
            .allow_negative_numbers(true)
            .allow_hyphen_values(spec.name == "ssh-command"),
    }
}

/// An option, whose last value wins.
pub fn option(name: &'static str, mut help: String, default: &str, env: &str) -> Arg {
    if !default.is_empty() {
        help = format!("{help} [default: {default}]");
    }
    Arg::new(name)
        .long(name)
        .help(format!("{help} [env: {env}]"))
        .action(ArgAction::Set)
        .overrides_with(name)
        .value_parser(clap::value_parser!(OsString))
}

/// `--name`, `--name=true` or `--name=false`.
pub fn flag(arg: Arg) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("true|false")
}
