//! The commands and their help texts, made from the library's table of options.

use std::env::consts;
use std::ffi::OsString;

use barman_recover::{Command as Asked, Kind, OPTIONS, Opt, OptionSpec};
use clap::{Arg, ArgAction, Command};

pub const NAME: &str = "patroni_barman";

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A sub-command.
pub struct SubCommand {
    /// The full name, which begins with the parent's: `operations list`.
    pub name: &'static str,
    /// The command of the library that it runs, and whose options it has.
    pub runs: Asked,
    /// A line, then examples and the exit status.
    help: &'static str,
    /// Its other options and its positional arguments.
    pub more: &'static [&'static str],
}

/// Every sub-command.
pub const SUB_COMMANDS: [SubCommand; 8] = [
    sub_command("recover", Asked::Recover, include_str!("../help/recover.txt"), &[]),
    sub_command("check", Asked::Check, include_str!("../help/check.txt"), FORMAT),
    sub_command("verify", Asked::Verify, include_str!("../help/verify.txt"), FORMAT),
    sub_command("settle", Asked::Settle, include_str!("../help/settle.txt"), FORMAT),
    sub_command("backups", Asked::Backups, include_str!("../help/backups.txt"), FORMAT),
    sub_command("operations", Asked::Operations, include_str!("../help/operations.txt"), LIST),
    sub_command("operations list", Asked::Operations, include_str!("../help/list.txt"), LIST),
    sub_command("config-switch", Asked::ConfigSwitch, include_str!("../help/switch.txt"), CALLBACK),
];

/// Makes a row of [`SUB_COMMANDS`].
const fn sub_command(
    name: &'static str,
    runs: Asked,
    help: &'static str,
    more: &'static [&'static str],
) -> SubCommand {
    SubCommand { name, runs, help, more }
}

const FORMAT: &[&str] = &["format"];
const LIST: &[&str] = &["format", "all"];
/// What Patroni appends to its callbacks.
const CALLBACK: &[&str] = &["action", "role", "cluster"];
const LOG: [&str; 5] = ["log-file", "log-stderr", "log-format", "log-level", "progress"];

/// The program's own options and positional arguments: name, kind of value, default, help.
pub const OWN: [(&str, Kind, &str, &str); 10] = [
    ("format", Kind::Word(&["text", "json"]), "text", "How to print: text or json"),
    ("all", Kind::Flag, "", "Every operation, as --limit=0"),
    ("action", Kind::Word(&["on_role_change"]), "", "Name of the callback, as Patroni appends it"),
    ("role", Kind::Word(&ROLES), "", "New role of this node, as Patroni appends it"),
    ("cluster", Kind::Text, "", "Name of the Patroni cluster, as Patroni appends it"),
    ("log-file", Kind::Path, "", "File to log to instead of standard error"),
    ("log-stderr", Kind::Flag, "", "Log to standard error as well as to the file"),
    ("log-format", Kind::Word(&["text", "json"]), "text", "text, or json for one JSON object a line"),
    (
        "log-level",
        Kind::Word(&["debug", "info", "warning", "error"]),
        "info",
        "Lowest level that is logged: debug, info, warning or error",
    ),
    ("progress", Kind::Word(&["auto", "always", "never"]), "auto", PROGRESS),
];

const ROLES: [&str; 5] = ["primary", "promoted", "standby_leader", "replica", "demoted"];
const PROGRESS: &str =
    "When to show progress: auto (a bar, on a terminal), always (elsewhere a line a second), never";

/// The program's commands.
pub fn command() -> Command {
    let version = format!("{} ({} {})", barman_recover::VERSION, consts::ARCH, consts::OS);
    let root = described(NAME, None, include_str!("../help/program.txt"), &[]).version(version);
    SUB_COMMANDS.iter().fold(root, |root, SubCommand { name, runs, help, more, .. }| {
        match name.split_once(' ') {
            None => root.subcommand(described(name, Some(*runs), help, more)),
            Some((above, name)) => {
                let command = described(name, Some(*runs), help, more);
                root.mut_subcommand(above, |above| above.subcommand(command))
            }
        }
    })
}

/// A command with its options, or the root with the global ones, in the order of their groups; the log options last.
fn described(name: &'static str, asked: Option<Asked>, help: &'static str, more: &[&str]) -> Command {
    // The role of a callback is not typed as an option: Patroni appends it.
    let is_word = |spec: &OptionSpec| spec.option == Opt::Role && asked == Some(Asked::ConfigSwitch);
    let is_its = |spec: &&OptionSpec| {
        !is_word(spec) && asked.map_or(spec.is_global(), |asked| spec.commands.contains(&asked))
    };
    let mut options: Vec<_> = OPTIONS.iter().filter(is_its).collect();
    options.sort_by_key(|spec| spec.group);
    let (about, rest) = help.split_once("\n\n").unwrap_or((help, ""));
    let counted = [('v', "verbose", "more"), ('q', "quiet", "less")].map(|(short, id, level)| {
        let help = format!("Log a level {level} than --log-level; may be repeated");
        Arg::new(id).short(short).action(ArgAction::Count).help(help)
    });
    let log = LOG.into_iter().filter_map(own).chain(counted).map(|arg| arg.help_heading("Log"));
    let command = Command::new(name).about(about).after_help(rest).next_line_help(true);
    command.args(options.into_iter().map(library_option)).args(more.iter().copied().filter_map(own)).args(log)
}

fn library_option(spec: &OptionSpec) -> Arg {
    let help = if spec.required { format!("{} (required)", spec.help) } else { spec.help.into() };
    let arg = option(spec.name, spec.kind, spec.default, &help).help_heading(spec.group.heading());
    if spec.alias.is_empty() { arg } else { arg.visible_alias(spec.alias) }
}

fn own(name: &str) -> Option<Arg> {
    let (name, kind, default, help) = *OWN.iter().find(|(own, ..)| *own == name)?;
    Some(match kind {
        _ if !CALLBACK.contains(&name) => option(name, kind, default, help),
        Kind::Word(words) => Arg::new(name).required(true).help(help).value_parser(words.to_vec()),
        _ => Arg::new(name).required(true).help(help),
    })
}

fn option(name: &'static str, kind: Kind, default: &str, help: &str) -> Arg {
    let default = if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
    let arg = Arg::new(name).long(name).help(format!("{help}{default} [env: {}]", variable(name)));
    let arg = arg.value_name(kind.value_name());
    match kind {
        // `--name`, `--name=true` or `--name=false`
        Kind::Flag => arg.num_args(0..=1).require_equals(true).value_name("true|false"),
        _ => arg.num_args(1).allow_hyphen_values(name == "ssh-command"),
    }
}

/// The environment variable of an option.
pub fn variable(name: &str) -> String {
    format!("BARMAN_RECOVER_{}", name.to_uppercase().replace('-', "_"))
}
