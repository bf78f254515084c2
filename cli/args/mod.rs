//! The program's arguments: what Patroni passes and what people type, down to typed options. Made from the
//! library's table of options. Pure, but for reading the environment through a function that is passed in.

mod command;
mod filter;
mod logging;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use barman_recover::{Code, Command as Asked, Config, Opt};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

#[cfg(test)]
pub use command::OWN;
pub use command::{NAME, What, command};
use command::{SUB_COMMANDS, variable, with_environment};
use filter::{Filtered, filter};
pub use logging::{Logging, Show};

/// What the arguments ask for.
pub enum Ask {
    /// Text for standard output, and the exit status.
    Print(String, u8),
    /// Something is wrong with them: text for standard error.
    Wrong(String),
    Run(Box<Run>),
}

/// A sub-command.
pub struct Run {
    pub what: What,
    pub config: Config,
    pub logging: Logging,
    /// The operation's ID, or the node's role.
    pub word: String,
    /// How many rows are wanted at most.
    pub limit: usize,
    /// Whether what is printed is JSON.
    pub json: bool,
    /// Unknown options, without values, that are not Patroni's.
    pub ignored: Vec<String>,
}

/// Reads the arguments; `env` looks up an environment variable.
pub fn parse(argv: impl IntoIterator<Item = OsString>, env: impl Fn(&str) -> Option<OsString>) -> Ask {
    let mut root = with_environment(command(), &env);
    root.build();
    let Filtered { words, names, ignored, command } = match filter(&root, argv) {
        Ok(filtered) => filtered,
        Err((command, why)) => return Ask::Wrong(wrong_usage(command, &why)),
    };
    let mut matches = match root.clone().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Ask::Wrong(wrong_usage(command, &reason(&error))),
        Err(text) => return Ask::Print(text.to_string(), 0),
    };
    while let Some((_, below)) = matches.remove_subcommand() {
        matches = below;
    }
    if names.is_empty() && given(&matches, "api-url").is_some() {
        return Ask::Print(root.render_help().to_string(), Code::NoCommand.exit_status());
    }
    match run(&names.join(" "), &matches) {
        Ok(run) => Ask::Run(Box::new(Run { ignored, ..run })),
        Err(why) => Ask::Wrong(wrong_usage(command, &why)),
    }
}

fn run(name: &str, matches: &ArgMatches) -> Result<Run, String> {
    let sub = SUB_COMMANDS.iter().find(|(known, ..)| *known == name);
    let (_, what, asked, ..) = sub.ok_or("the following arguments are required: --api-url")?;
    let limit = given(matches, "limit").map_or(Some(20), |(limit, _)| limit.to_str()?.parse().ok());
    let limit =
        limit.filter(|limit| *limit > 0).ok_or("argument --limit: takes a whole number, for example 20")?;
    let word = |name| matches.try_get_one::<String>(name).ok().flatten().cloned();
    Ok(Run {
        what: *what,
        config: config(*asked, matches)?,
        logging: logging::logging(matches)?,
        word: word("ID").or(word("role")).unwrap_or_default(),
        limit: if choice(matches, "all", &["false", "true"])? == Some(1) { usize::MAX } else { limit },
        json: choice(matches, "format", &["text", "json"])? == Some(1),
        ignored: Vec::new(),
    })
}

/// The one form of a usage error, after argparse's.
pub fn wrong_usage(command: &Command, why: &str) -> String {
    let usage = command.clone().render_usage().to_string();
    let name = command.get_bin_name().unwrap_or(NAME);
    format!("{usage}\n{name}: error: {why}\nFor more information, try '--help'.\n")
}

/// What clap has to say, without its form.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The value of an option, and what to call its source: the command line, or else the environment.
fn given(matches: &ArgMatches, name: &str) -> Option<(OsString, String)> {
    let value = matches.try_get_one::<OsString>(name).ok()??.clone();
    let is_typed = matches.value_source(name) == Some(ValueSource::CommandLine);
    Some((value, if is_typed { format!("--{name}") } else { variable(name) }))
}

/// Which of the words, in whatever case, an option has.
fn choice(matches: &ArgMatches, name: &str, words: &[&str]) -> Result<Option<usize>, String> {
    let Some((value, source)) = given(matches, name) else { return Ok(None) };
    let place = words.iter().position(|word| value.eq_ignore_ascii_case(word));
    place.map(Some).ok_or_else(|| format!("argument {source}: takes one of {}", words.join(", ")))
}

/// The library's options; it has the defaults.
fn config(asked: Asked, matches: &ArgMatches) -> Result<Config, String> {
    let mut config = Config::new();
    // Of two that exclude each other one that was typed counts, whatever the environment has.
    let [model, reset] = [Opt::BarmanModel, Opt::Reset].map(|option| option.spec().name);
    let is_typed = |name| given(matches, name).is_some_and(|(_, source)| source.starts_with('-'));
    let left_out = match (is_typed(model), is_typed(reset)) {
        (true, false) => reset,
        (false, true) => model,
        _ => "",
    };
    let mut has_model = false;
    for spec in asked.options().filter(|spec| spec.name != left_out) {
        let Some((value, source)) = given(matches, spec.name) else { continue };
        let text = value.to_str().ok_or_else(|| format!("argument {source}: is not UTF-8"))?;
        has_model |= spec.name == model;
        // The library finds an empty model missing, and has the exit status of the Python program for that.
        if spec.name != model || !text.is_empty() {
            config
                .set(spec.option, text)
                .map_err(|error| format!("argument {source}: {}", error.reason()))?;
        }
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
