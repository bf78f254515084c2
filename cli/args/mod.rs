//! Parses the program's arguments, from Patroni or typed by people, into typed options. Based on the library's table
//! of options. Pure, except that it reads the environment through a function that is passed in.

mod command;
mod filter;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use barman_recover::{Code, Command as Asked, Config, Level, Opt};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use command::{Env, LEVELS, SUB_COMMANDS, variable, with_environment};
pub use command::{NAME, What, command};
use filter::filter;

/// The same as in argparse and clap.
pub const WRONG_USAGE: u8 = 2;

/// A text to print instead of a run, and the exit status: what is wrong with the arguments, or the requested help.
pub type Said = (String, u8);

/// A sub-command.
pub struct Run {
    pub what: What,
    pub config: Config,
    pub logging: Logging,
    /// Whether the output is JSON.
    pub json: bool,
    /// The names of unknown options that are not among those that Patroni passes to every hook.
    pub ignored: Vec<String>,
}

/// Where the log goes, what it contains and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    pub file: Option<PathBuf>,
    /// Also log to standard error when there is a file; without a file that is where the log goes anyway.
    pub stderr: bool,
    /// One JSON object per line, instead of the format of Python's `logging`.
    pub json: bool,
    /// Lines below this are left out.
    pub level: Level,
    /// Whether progress is shown; by default if standard error is a terminal.
    pub progress: Option<bool>,
}

/// Parses the arguments.
pub fn parse(argv: Vec<OsString>, env: Env) -> Result<Run, Said> {
    let mut root = with_environment(command(), env);
    root.build();
    let filtered = filter(&root, argv).map_err(|(command, why)| wrong_usage(command, &why))?;
    let command = filtered.command;
    let matches = root.clone().try_get_matches_from(filtered.words());
    let mut matches = matches.map_err(|error| {
        if error.use_stderr() { wrong_usage(command, &reason(&error)) } else { (error.to_string(), 0) }
    })?;
    while let Some((_, below)) = matches.remove_subcommand() {
        matches = below;
    }
    if filtered.names.is_empty() && given(&matches, "api-url").is_some() {
        return Err((root.render_help().to_string(), Code::NoCommand.exit_status()));
    }
    run(&filtered.names.join(" "), &matches, filtered.ignored).map_err(|why| wrong_usage(command, &why))
}

fn run(name: &str, matches: &ArgMatches, ignored: Vec<String>) -> Result<Run, String> {
    let sub = SUB_COMMANDS.iter().find(|(known, ..)| *known == name);
    let (_, what, asked, ..) = sub.ok_or("the following arguments are required: --api-url")?;
    Ok(Run {
        what: *what,
        config: config(*asked, matches)?,
        logging: logging(matches)?,
        json: choice(matches, "format", &["text", "json"])? == Some(1),
        ignored,
    })
}

/// The log options. They are the program's own, as the library prints nothing.
fn logging(matches: &ArgMatches) -> Result<Logging, String> {
    let file = given(matches, "log-file");
    if let Some((_, source)) = file.as_ref().filter(|(path, _)| path.is_empty()) {
        return Err(format!("argument {source}: must not be empty"));
    }
    let level = choice(matches, "log-level", &LEVELS)?.unwrap_or(1) + usize::from(matches.get_count("quiet"));
    let level = level.saturating_sub(matches.get_count("verbose").into());
    let progress = choice(matches, "progress", &["auto", "always", "never"])?.unwrap_or(0);
    Ok(Logging {
        file: file.map(|(path, _)| path.into()),
        stderr: choice(matches, "log-stderr", &["false", "true"])? == Some(1),
        json: choice(matches, "log-format", &["text", "json"])? == Some(1),
        level: [Level::Debug, Level::Info, Level::Warning].get(level).copied().unwrap_or(Level::Error),
        progress: [None, Some(true), Some(false)].get(progress).copied().flatten(),
    })
}

/// Formats every usage error, in the style of argparse.
pub fn wrong_usage(command: &Command, why: &str) -> Said {
    let usage = command.clone().render_usage().to_string();
    let name = command.get_bin_name().unwrap_or(NAME);
    (format!("{usage}\n{name}: error: {why}\nFor more information, try '--help'.\n"), WRONG_USAGE)
}

/// Clap's error message without its formatting.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The value of an option, and a description of its source: the command line, or else the environment.
fn given(matches: &ArgMatches, name: &str) -> Option<(OsString, String)> {
    let value = matches.try_get_one::<OsString>(name).ok()??.clone();
    let is_typed = matches.value_source(name) == Some(ValueSource::CommandLine);
    Some((value, if is_typed { format!("--{name}") } else { variable(name) }))
}

/// The word that an option has, in upper or lower case.
fn choice(matches: &ArgMatches, name: &str, words: &[&str]) -> Result<Option<usize>, String> {
    let Some((value, source)) = given(matches, name) else { return Ok(None) };
    let place = words.iter().position(|word| value.eq_ignore_ascii_case(word));
    place.map(Some).ok_or_else(|| format!("argument {source}: takes one of {}", words.join(", ")))
}

/// The library's options; the library knows their defaults.
fn config(asked: Asked, matches: &ArgMatches) -> Result<Config, String> {
    let mut config = Config::new();
    let [model, reset] = [Opt::BarmanModel, Opt::Reset].map(|option| option.spec().name);
    // If two options exclude each other, a typed one takes precedence over the environment.
    let typed = |name| given(matches, name).is_some_and(|(_, source)| source.starts_with('-'));
    let is_out = |name| (name == model && typed(reset) || name == reset && typed(model)) && !typed(name);
    let has_model = given(matches, model).is_some() && !is_out(model);
    for spec in asked.options().filter(|spec| !is_out(spec.name)) {
        let Some((value, source)) = given(matches, spec.name) else { continue };
        let text = value.to_str().ok_or_else(|| format!("argument {source}: is not UTF-8"))?;
        // The library treats an empty model as missing, and returns the exit status of the Python program for that.
        if spec.name != model || !text.is_empty() {
            config.set(spec.option, text).map_err(|why| format!("argument {source}: {}", why.reason()))?;
        }
    }
    if let Some(role) = matches.try_get_one::<String>("role").ok().flatten() {
        config.set(Opt::Role, role.as_str()).map_err(|why| format!("argument role: {}", why.reason()))?;
    }
    if choice(matches, "all", &["false", "true"])? == Some(1) {
        config.set(Opt::Limit, 0).map_err(|why| why.to_string())?;
    }
    let missing: Vec<String> = config.missing(asked).map(|spec| format!("--{}", spec.name)).collect();
    match (has_model, config.is_on(Opt::Reset)) {
        _ if !missing.is_empty() => {
            Err(format!("the following arguments are required: {}", missing.join(", ")))
        }
        (true, true) => Err(format!("argument --{reset}: not allowed with argument --{model}")),
        (false, false) if asked == Asked::ConfigSwitch => {
            Err(format!("one of the arguments --{model} --{reset} is required"))
        }
        _ => Ok(config),
    }
}
