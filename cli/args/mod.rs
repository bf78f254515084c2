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

use command::{RECOVER, command};
use filter::filter;

pub use command::NAME;
pub use logging::{Format, Logging};

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
    let Some((name, matches)) = matches.subcommand() else {
        let has_url = matches.contains_id("api-url") || env("BARMAN_RECOVER_API_URL").is_some();
        return if has_url {
            Ask::NoCommand(root.render_help().to_string())
        } else {
            wrong(&root, "the following arguments are required: --api-url")
        };
    };
    let sub = root.find_subcommand(name).unwrap_or(&root);
    let asked = |what, asked| -> Result<Run, String> {
        let config = options(asked, matches, &env)?;
        let logging = logging::logging(matches, &env)?;
        Ok(Run { what, config, logging, ignored })
    };
    let run = match name {
        RECOVER => asked(What::Recover, Asked::Recover),
        other => Err(format!("no such sub-command: {other}")),
    };
    run.map_or_else(|why| wrong(sub, &why), |run| Ask::Run(Box::new(run)))
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
    let mut missing = Vec::new();
    let mut operation_given = false;
    for spec in asked.options() {
        let Some((value, source)) = given(matches, spec.name, &spec.env(), &env) else {
            if spec.required {
                missing.push(spec.name);
            }
            continue;
        };
        operation_given |= spec.name == "operation-id";
        let text = value.to_str().ok_or_else(|| format!("argument {source}: is not UTF-8"))?;
        config.set(spec.option, text).map_err(|error| {
            let error = error.to_string();
            let why = error.strip_prefix(&format!("--{}: ", spec.name)).unwrap_or(&error);
            format!("argument {source}: {why}")
        })?;
    }
    missing.retain(|name| !(*name == "ssh-command" && operation_given));
    if missing.is_empty() {
        return Ok(config);
    }
    let names: Vec<String> = missing.iter().map(|name| format!("--{name}")).collect();
    Err(format!("the following arguments are required: {}", names.join(", ")))
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
