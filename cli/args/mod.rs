//! The program's arguments: what Patroni passes and what people type, down to typed options. Made from the
//! library's table of options. Pure, but for reading the environment through a function that is passed in.

mod command;
mod filter;
mod logging;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use barman_recover::{Command as Asked, Config};
use clap::{ArgMatches, Command};

pub use command::command;
use command::{ALL, CALLBACK, CHECK, CONFIG_SWITCH, FORMAT, ID, OPERATIONS};
use filter::filter;

pub use command::NAME;
pub use logging::{Format, Logging, Show};

/// What the arguments ask for.
pub enum Ask {
    /// Text for standard output.
    Print(String),
    /// No sub-command: the help text.
    NoCommand(String),
    /// Something is wrong with them: text for standard error.
    Wrong(String),
    Run(Box<Run>),
}

/// A sub-command.
pub struct Run {
    pub what: What,
    pub config: Config,
    pub logging: Logging,
    /// Unknown options, without values, that are not Patroni's.
    pub ignored: Vec<String>,
}

/// Which one, and what it takes beside the library's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Recover,
    Check,
    ConfigSwitch { role: String },
    Operations { question: Question, json: bool },
}

/// What is asked of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    List { all: bool },
    Show(String),
    Wait(String),
}

/// Reads the arguments; `env` looks up an environment variable.
pub fn parse(argv: impl IntoIterator<Item = OsString>, env: impl Fn(&str) -> Option<OsString>) -> Ask {
    let mut root = command();
    root.build();
    let (known, ignored) = match filter(&root, argv) {
        Ok(filtered) => filtered,
        Err(why) => return wrong(&root, &why),
    };
    let matches = match root.try_get_matches_from_mut(known) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Ask::Wrong(error.to_string()),
        Err(error) => return Ask::Print(error.to_string()),
    };
    let Some((name, matches)) = matches.subcommand() else {
        let has_url = matches.contains_id("api-url") || env("BARMAN_RECOVER_API_URL").is_some();
        return if has_url {
            Ask::NoCommand(root.render_help().to_string())
        } else {
            wrong(&root, "the following arguments are required: --api-url")
        };
    };
    let mut sub = root.find_subcommand(name).unwrap_or(&root);
    let (asked, what, matches) = match (name, matches.subcommand()) {
        (CHECK, _) => (Asked::Check, What::Check, matches),
        (CONFIG_SWITCH, _) => {
            let [_, role, _] = CALLBACK;
            (Asked::ConfigSwitch, What::ConfigSwitch { role: text(matches, role) }, matches)
        }
        (OPERATIONS, Some((name, matches))) => {
            sub = sub.find_subcommand(name).unwrap_or(sub);
            let question = match name {
                "show" => Question::Show(text(matches, ID)),
                "wait" => Question::Wait(text(matches, ID)),
                _ => Question::List { all: text(matches, ALL) == "true" },
            };
            (Asked::Operations, What::Operations { question, json: text(matches, FORMAT) == "json" }, matches)
        }
        _ => (Asked::Recover, What::Recover, matches),
    };
    let config = options(asked, matches, &env);
    match config.and_then(|config| Ok((config, logging::logging(matches, &env)?))) {
        Ok((config, logging)) => Ask::Run(Box::new(Run { what, config, logging, ignored })),
        Err(why) => wrong(sub, &why),
    }
}

/// The value of an argument that clap has checked.
fn text(matches: &ArgMatches, name: &str) -> String {
    matches.try_get_one::<String>(name).ok().flatten().cloned().unwrap_or_default()
}

fn wrong(command: &Command, why: &str) -> Ask {
    let usage = command.clone().render_usage().to_string();
    let name = command.get_bin_name().unwrap_or(NAME);
    Ask::Wrong(format!("{usage}\n{name}: error: {why}\nFor more information, try '--help'.\n"))
}

/// Command line, then environment; the defaults are the library's.
fn options(
    asked: Asked,
    matches: &ArgMatches,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Config, String> {
    let mut config = Config::new();
    let left_out = if asked == Asked::ConfigSwitch { not_chosen(matches, &env)? } else { "" };
    for spec in asked.options().filter(|spec| spec.name != left_out) {
        let Some((value, source)) = given(matches, spec.name, &spec.env(), &env) else {
            continue;
        };
        if spec.name == MODEL && value.is_empty() {
            continue; // the library finds it missing, and has the exit status of the Python program for that
        }
        let text = value.to_str().ok_or_else(|| format!("argument {source}: is not UTF-8"))?;
        config.set(spec.option, text).map_err(|error| format!("argument {source}: {}", error.reason()))?;
    }
    let missing: Vec<String> = config.missing(asked).map(|spec| format!("--{}", spec.name)).collect();
    if missing.is_empty() {
        return Ok(config);
    }
    Err(format!("the following arguments are required: {}", missing.join(", ")))
}

const MODEL: &str = "barman-model";
const RESET: &str = "reset";

/// Of the two options that tell the change of a config switch, the one that does not count. As everywhere, the
/// command line comes before the environment.
fn not_chosen(matches: &ArgMatches, env: impl Fn(&str) -> Option<OsString>) -> Result<&'static str, String> {
    let is_on = |value: &OsString| {
        !["false", "off", "no", "0"].contains(&value.to_string_lossy().to_ascii_lowercase().as_str())
    };
    let chosen = |model: Option<OsString>, reset: Option<OsString>| {
        (model.is_some(), reset.is_some_and(|value| is_on(&value)))
    };
    let typed = |name| matches.get_one::<OsString>(name).cloned();
    let mut found = chosen(typed(MODEL), typed(RESET));
    if found == (false, false) {
        found = chosen(env("BARMAN_RECOVER_BARMAN_MODEL"), env("BARMAN_RECOVER_RESET"));
    }
    match found {
        (true, false) => Ok(RESET),
        (false, true) => Ok(MODEL),
        (true, true) => Err(format!("argument --{RESET}: not allowed with argument --{MODEL}")),
        (false, false) => Err(format!("one of the arguments --{MODEL} --{RESET} is required")),
    }
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
