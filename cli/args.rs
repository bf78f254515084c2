//! The program's arguments: what Patroni passes and what people type, down to typed options. Made from the
//! library's table of options. Pure, but for reading the environment through a function that is passed in.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use barman_recover::{Config, Kind, OPTIONS, OptionSpec};
use clap::{Arg, ArgAction, ArgMatches, Command};

pub const NAME: &str = "patroni_barman";
const RECOVER: &str = "recover";
const LOG_FILE: &str = "log-file";
const LOG_FILE_ENV: &str = "BARMAN_RECOVER_LOG_FILE";

/// What Patroni passes by itself to each hook (`patroni/postgresql/bootstrap.py`).
const PATRONIS: [&str; 6] = ["scope", "role", "connstring", "no_leader", "keep_data", "no_params"];

/// The options of the Python program, those of `recover` first: their prefixes mean what they meant there,
/// whatever options have come since.
const PYTHONS: [[&str; 6]; 2] = [
    ["barman-server", "backup-id", "ssh-command", "data-directory", "datadir", "loop-wait"],
    ["api-url", "cert-file", "key-file", "retry-wait", "max-retries", LOG_FILE],
];

/// What the arguments ask for.
pub enum Ask {
    /// Text for standard output.
    Print(String),
    /// No sub-command: the help text.
    NoCommand(String),
    /// Something is wrong with them: text for standard error.
    Wrong(String),
    Recover(Box<Recover>),
}

/// A recovery.
pub struct Recover {
    pub config: Config,
    pub log_file: Option<PathBuf>,
    /// Unknown options, without values, that are not Patroni's.
    pub ignored: Vec<String>,
}

/// Reads the arguments; `env` looks up an environment variable.
pub fn parse(argv: impl IntoIterator<Item = OsString>, env: impl Fn(&str) -> Option<OsString>) -> Ask {
    let mut root = command();
    root.build();
    let (known, ignored) = match filter(&root, argv) {
        Ok(filtered) => filtered,
        Err(why) => return wrong(&root, &why),
    };
    let matches = match root.clone().try_get_matches_from(known) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Ask::Wrong(error.to_string()),
        Err(error) => return Ask::Print(error.to_string()),
    };
    let Some((_, recover)) = matches.subcommand() else {
        let has_url = matches.contains_id("api-url") || env("BARMAN_RECOVER_API_URL").is_some();
        return if has_url {
            Ask::NoCommand(root.render_help().to_string())
        } else {
            wrong(&root, "the following arguments are required: --api-url")
        };
    };
    let sub = root.find_subcommand(RECOVER).unwrap_or(&root);
    match options(recover, env) {
        Ok((config, log_file)) => Ask::Recover(Box::new(Recover { config, log_file, ignored })),
        Err(why) => wrong(sub, &why),
    }
}

fn wrong(command: &Command, why: &str) -> Ask {
    let usage = command.clone().render_usage().to_string();
    let name = command.get_bin_name().unwrap_or(NAME);
    Ask::Wrong(format!("{usage}\n{name}: error: {why}\nFor more information, try '--help'.\n"))
}

/// The commands, made from the table of options.
pub fn command() -> Command {
    let globals =
        OPTIONS.iter().filter(|spec| spec.global).map(|spec| arg(spec).global(true).help_heading(GLOBAL));
    let log_file = Arg::new(LOG_FILE)
        .long(LOG_FILE)
        .value_name("PATH")
        .global(true)
        .help_heading(GLOBAL)
        .num_args(1)
        .overrides_with(LOG_FILE)
        .value_parser(clap::value_parser!(OsString))
        .help(format!("File to log to instead of standard error [env: {LOG_FILE_ENV}]"));
    let recover = Command::new(RECOVER)
        .about("Restore a Barman backup onto this node ('barman recover' through pg-backup-api)")
        .next_line_help(true)
        .args(OPTIONS.iter().filter(|spec| !spec.global).map(arg))
        .after_help(EXIT_STATUS);
    Command::new(NAME)
        .version(version())
        .about("Restores Barman backups through pg-backup-api: Patroni's hook for bootstrap and replica creation")
        .next_line_help(true)
        .args(globals)
        .arg(log_file)
        .subcommand(recover)
        .disable_help_subcommand(true)
        .after_help(EXIT_STATUS)
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

const GLOBAL: &str = "Options of every sub-command";

const EXIT_STATUS: &str = "Exit status: 0 the backup was restored; 1 the recovery failed; 2 HTTP error, or wrong usage; \
254 the API is not OK, nothing was started; 255 no sub-command; 251 the deadline passed; 250 the data directory or \
its state file is in use; 249 a bug. A signal ends the program by that signal.\n\
Options that it does not know are ignored, as Patroni passes options of its own.";

fn arg(spec: &OptionSpec) -> Arg {
    let mut help = spec.help.to_string();
    if spec.required {
        help.push_str(" (required)");
    }
    if !spec.default.is_empty() {
        help = format!("{help} [default: {}]", spec.default);
    }
    help = format!("{help} [env: {}]", spec.env());
    let arg = Arg::new(spec.name)
        .long(spec.name)
        .help(help)
        .action(ArgAction::Set)
        .overrides_with(spec.name)
        .value_parser(clap::value_parser!(OsString));
    let arg = if spec.alias.is_empty() { arg } else { arg.visible_alias(spec.alias) };
    match spec.kind {
        Kind::Flag => {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("true|false")
        }
        // A missing value must not swallow the next option; that of ssh may begin with a dash.
        _ => arg
            .num_args(1)
            .value_name(spec.kind.value_name())
            .allow_negative_numbers(true)
            .allow_hyphen_values(spec.name == "ssh-command"),
    }
}

/// Command line, then environment; the defaults are the library's.
fn options(
    matches: &ArgMatches,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<(Config, Option<PathBuf>), String> {
    let mut config = Config::new();
    let mut missing = Vec::new();
    let operation_given = given(matches, "operation-id", "BARMAN_RECOVER_OPERATION_ID", &env).is_some();
    for spec in OPTIONS {
        let Some((value, source)) = given(matches, spec.name, &spec.env(), &env) else {
            let needed = spec.required && !(spec.name == "ssh-command" && operation_given);
            if needed {
                missing.push(format!("--{}", spec.name));
            }
            continue;
        };
        let text = value.to_str().ok_or_else(|| format!("argument {source}: is not UTF-8"))?;
        config.set(spec.option, text).map_err(|error| {
            let error = error.to_string();
            let why = error.strip_prefix(&format!("--{}: ", spec.name)).unwrap_or(&error);
            format!("argument {source}: {why}")
        })?;
    }
    if !missing.is_empty() {
        return Err(format!("the following arguments are required: {}", missing.join(", ")));
    }
    let log_file = match given(matches, LOG_FILE, LOG_FILE_ENV, &env) {
        Some((path, source)) if path.is_empty() => {
            return Err(format!("argument {source}: must not be empty"));
        }
        log_file => log_file.map(|(path, _)| path.into()),
    };
    Ok((config, log_file))
}

/// The value of an option, and what to call its source.
fn given(
    matches: &ArgMatches,
    name: &str,
    variable: &str,
    env: impl Fn(&str) -> Option<OsString>,
) -> Option<(OsString, String)> {
    let typed = matches.get_one::<OsString>(name).map(|value| (value.clone(), format!("--{name}")));
    typed.or_else(|| env(variable).map(|value| (value, variable.to_string())))
}

/// Keeps what the commands know, with prefixes written out; returns the names of the other options. What
/// clap itself offers for this would also accept wrong values of known options.
fn filter(
    root: &Command,
    argv: impl IntoIterator<Item = OsString>,
) -> Result<(Vec<OsString>, Vec<String>), String> {
    let (mut keep, mut ignored) = (Vec::new(), Vec::new());
    let mut words = argv.into_iter().peekable();
    keep.extend(words.next());
    let mut command = root;
    let mut after_unknown = false;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let was_unknown = std::mem::take(&mut after_unknown);
        if matches!(text.as_str(), "-h" | "-V") {
            keep.push(word);
        } else if let Some(long) = text.strip_prefix("--").filter(|long| !long.is_empty()) {
            let (name, inline) = match long.split_once('=') {
                Some((name, _)) => (name, true),
                None => (long, false),
            };
            let Some(found) = find(command, name)? else {
                after_unknown = !inline;
                if !PATRONIS.contains(&name) {
                    ignored.push(format!("--{name}"));
                }
                continue;
            };
            keep.push(written_out(found.name, &word, inline));
            if found.takes_word && !inline {
                keep.extend(
                    words.next_if(|next| found.any_word || !next.to_string_lossy().starts_with("--")),
                );
            }
        } else if !text.starts_with('-') && command.has_subcommands() {
            match command.find_subcommand(&text) {
                Some(sub) => command = sub,
                None if was_unknown => continue, // its value
                None => {}                       // clap says what is wrong with it
            }
            keep.push(word);
        } else if text.starts_with('-') && text.len() > 1 && !text.starts_with("--") {
            ignored.push("-".to_string() + &text.chars().skip(1).take(1).collect::<String>());
        }
    }
    ignored.dedup();
    Ok((keep, ignored))
}

/// `--name=value` with the whole name, whatever bytes the value has.
fn written_out(name: &str, word: &OsStr, inline: bool) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut whole = format!("--{name}").into_bytes();
    if inline {
        let bytes = word.as_bytes();
        let at = bytes.iter().position(|b| *b == b'=').unwrap_or(bytes.len());
        whole.extend_from_slice(bytes.get(at..).unwrap_or_default());
    }
    OsString::from_vec(whole)
}

struct Found<'a> {
    name: &'a str,
    takes_word: bool,
    /// Whether its value may look like an option.
    any_word: bool,
}

/// The option of this name or of this unambiguous prefix.
fn find<'a>(command: &'a Command, prefix: &str) -> Result<Option<Found<'a>>, String> {
    let names: Vec<(&Arg, &str)> = command
        .get_arguments()
        .flat_map(|arg| {
            arg.get_long_and_visible_aliases().unwrap_or_default().into_iter().map(move |name| (arg, name))
        })
        .collect();
    let mut hits: Vec<&(&Arg, &str)> = names.iter().filter(|(_, name)| *name == prefix).collect();
    if hits.is_empty() {
        hits = names.iter().filter(|(_, name)| !prefix.is_empty() && name.starts_with(prefix)).collect();
    }
    hits.dedup_by_key(|(arg, _)| arg.get_id()); // an option and its alias
    for pythons in PYTHONS {
        if hits.len() > 1 {
            let same: Vec<_> = hits.iter().copied().filter(|(_, name)| pythons.contains(name)).collect();
            if !same.is_empty() {
                hits = same;
            }
        }
    }
    match hits.as_slice() {
        [] => Ok(None),
        [(arg, name)] => Ok(Some(Found {
            name,
            takes_word: arg.get_action().takes_values() && !arg.is_require_equals_set(),
            any_word: arg.is_allow_hyphen_values_set(),
        })),
        several => {
            let names: Vec<String> = several.iter().map(|(_, name)| format!("--{name}")).collect();
            Err(format!("ambiguous option: --{prefix} could match {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests;
