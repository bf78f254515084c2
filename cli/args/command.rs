//! The commands and their help texts, made from the library's table of options.

use std::ffi::OsString;

use barman_recover::{Command as Asked, Kind, OPTIONS, OptionSpec};
use clap::{Arg, ArgAction, Command};

use super::logging;

pub const NAME: &str = "patroni_barman";
const RECOVER: &str = "recover";
pub const CHECK: &str = "check";
pub const CONFIG_SWITCH: &str = "config-switch";
pub const OPERATIONS: &str = "operations";

/// What Patroni appends to its callbacks.
pub const CALLBACK: [&str; 3] = ["action", "role", "cluster"];
pub const ALL: &str = "all";
pub const FORMAT: &str = "format";
pub const ID: &str = "ID";

const GLOBAL: &str = "Options of every sub-command";

const IGNORED: &str = "Options that it does not know are ignored, as Patroni passes options of its own.";

const EXIT_STATUS: &str = "Exit status: 0 the backup was restored; 1 the recovery failed; 2 HTTP error, or wrong usage; \
254 the API is not OK, nothing was started; 255 no sub-command; 251 the deadline passed; 250 the data directory or \
its state file is in use; 249 a bug. A signal ends the program by that signal.";

const SWITCH_STATUS: &str = "Exit status: 0 the configuration was switched; 1 skipped, as the role is not one for it; \
2 the switch failed, or wrong usage; 3 HTTP error; 4 invalid arguments; 254 the API is not OK; 251 the deadline passed. \
A signal ends the program by that signal.";

const CHECK_STATUS: &str = "Exit status: 0 a restore can begin (there may be warnings); 1 it can't; 2 wrong usage.\n\
It takes every option of recover, so that the arguments of the Patroni configuration can be pasted. It starts nothing \
and writes nothing; the API asks every PostgreSQL server of the Barman host for it, once.";

const OPERATIONS_STATUS: &str = "Exit status: 0 answered, or the operation is done; 1 the operation failed (wait); \
2 HTTP error, or wrong usage; 251 the deadline passed.";

/// The program's commands.
pub fn command() -> Command {
    let globals = OPTIONS.iter().filter(|spec| spec.is_global()).map(arg);
    let recover = sub(RECOVER, Asked::Recover)
        .about("Restore a Barman backup onto this node ('barman recover' through pg-backup-api)")
        .after_help(format!("{EXIT_STATUS}\n{IGNORED}"));
    let check = sub(CHECK, Asked::Check)
        .about("Tell whether this node could restore: the API, the backup, space, the data directory")
        .after_help(CHECK_STATUS);
    Command::new(NAME)
        .version(version())
        .about(
            "Restores Barman backups and switches Barman's configuration through pg-backup-api: \
            Patroni's hook for bootstrap, replica creation and role changes",
        )
        .next_line_help(true)
        .args(globals.chain(logging::args()).map(|arg| arg.global(true).help_heading(GLOBAL)))
        .subcommands([recover, check, config_switch(), operations()])
        .disable_help_subcommand(true)
        .after_help(format!(
            "The --help of a sub-command tells its exit status; 255 without a sub-command.\n{IGNORED}"
        ))
}

/// A sub-command with its own options.
fn sub(name: &'static str, asked: Asked) -> Command {
    Command::new(name).next_line_help(true).args(asked.options().filter(|spec| !spec.is_global()).map(arg))
}

fn config_switch() -> Command {
    let roles = ["primary", "promoted", "standby_leader", "replica", "demoted"];
    let [action, role, cluster] = CALLBACK;
    sub(CONFIG_SWITCH, Asked::ConfigSwitch)
        .about("Switch the configuration of a Barman server at a role change ('barman config-switch')")
        .after_help(SWITCH_STATUS)
        .arg(
            positional(action, "Name of the callback, as Patroni appends it")
                .value_parser(["on_role_change"]),
        )
        .arg(positional(role, "New role of this node, as Patroni appends it").value_parser(roles))
        .arg(positional(cluster, "Name of the Patroni cluster, as Patroni appends it"))
}

fn operations() -> Command {
    let all = flag(Arg::new(ALL).long(ALL)).help("Every operation, not only the 20 newest");
    let format = Arg::new(FORMAT)
        .long(FORMAT)
        .num_args(1)
        .overrides_with(FORMAT)
        .default_value("table")
        .value_parser(["table", "json"])
        .help("How to print");
    let question = |name: &'static str, about: &'static str| {
        sub(name, Asked::Operations).about(about).after_help(OPERATIONS_STATUS).arg(format.clone())
    };
    let one = |name, about| question(name, about).arg(positional(ID, "ID of the operation"));
    Command::new(OPERATIONS)
        .about("Ask for the operations of a Barman server")
        .subcommand(question("list", "List the operations, with the status of each").arg(all))
        .subcommand(one("show", "Show one operation"))
        .subcommand(one("wait", "Wait for the end of an operation"))
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .after_help(OPERATIONS_STATUS)
}

fn positional(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).required(true).help(help)
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
