//! Parses the program's arguments, from Patroni or typed by people, into typed options. Based on the library's table
//! of options. Pure, except that it reads the environment through a function that is passed in.

mod command;
#[cfg(test)]
mod tests;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use barman_recover::{Code, Command as Asked, Config, Kind, Level, Opt, OptionSpec};
use clap::Command;

use command::{Env, OWN, SUB_COMMANDS, variable};
pub use command::{NAME, command};
use words::Typing;

/// The same as in argparse and clap.
pub const WRONG_USAGE: u8 = 2;

/// In order, beginning with the level that logs most.
const LEVELS: [Level; 4] = [Level::Debug, Level::Info, Level::Warning, Level::Error];

/// A text to print instead of a run, and the exit status: what is wrong with the arguments, or the requested help.
pub type Said = (String, u8);

/// A sub-command.
pub struct Run {
    pub command: Asked,
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
    let mut root = command();
    root.build();
    let typing = words::read(&root, argv).map_err(|(command, why)| wrong_usage(command, &why))?;
    let command = typing.command;
    if let Some(words) = typing.asks_for_help() {
        let error = root.clone().try_get_matches_from(words).err();
        let Some(error) = error else { return Err((root.render_help().to_string(), 0)) };
        return Err(if error.use_stderr() {
            wrong_usage(&root, &reason(&error))
        } else {
            (error.to_string(), 0)
        });
    }
    let given = Given { typing, env };
    let run = given.run().map_err(|why| wrong_usage(command, &why))?;
    run.ok_or_else(|| (root.render_help().to_string(), Code::NoCommand.exit_status()))
}

/// What was typed, and the environment behind it.
struct Given<'a> {
    typing: Typing<'a>,
    env: Env<'a>,
}

impl Given<'_> {
    /// None without a sub-command.
    fn run(&self) -> Result<Option<Run>, String> {
        let name = self.typing.names.join(" ");
        let words = self.typing.positionals()?;
        let Some(sub) = SUB_COMMANDS.iter().find(|sub| sub.name == name) else {
            let needed = "the following arguments are required: --api-url";
            return self.value("api-url").map(|_| None).ok_or_else(|| needed.into());
        };
        Ok(Some(Run {
            command: sub.runs,
            config: self.config(sub.runs, &words)?,
            logging: self.logging()?,
            json: sub.more.contains(&"format") && self.word("format")? == "json",
            ignored: self.typing.ignored.clone(),
        }))
    }

    /// The value of an option, and a description of its source: the command line, or else the environment.
    fn value(&self, name: &str) -> Option<(OsString, String)> {
        let typed = self.typing.value(name).map(|value| (value.to_owned(), format!("--{name}")));
        typed.or_else(|| Some(((self.env)(&variable(name))?, variable(name))))
    }

    /// The word that one of the program's own options has, in upper or lower case, or else its default.
    fn word(&self, name: &str) -> Result<&'static str, String> {
        let Some((_, Kind::Word(words), default, _)) = OWN.iter().find(|(own, ..)| *own == name) else {
            return Ok("");
        };
        let Some((value, source)) = self.value(name) else { return Ok(default) };
        let word = words.iter().find(|word| value.eq_ignore_ascii_case(word));
        word.copied().ok_or_else(|| format!("argument {source}: takes one of {}", words.join(", ")))
    }

    /// As the library reads the flags of its own.
    fn is_on(&self, flag: &str) -> Result<bool, String> {
        let Some((value, source)) = self.value(flag) else { return Ok(false) };
        value
            .to_str()
            .and_then(barman_recover::truth)
            .ok_or_else(|| format!("argument {source}: takes true or false"))
    }

    /// The log options. They are the program's own, as the library prints nothing.
    fn logging(&self) -> Result<Logging, String> {
        let file = self.value("log-file");
        if let Some((_, source)) = file.as_ref().filter(|(path, _)| path.is_empty()) {
            return Err(format!("argument {source}: must not be empty"));
        }
        let word = self.word("log-level")?;
        let level =
            LEVELS.iter().position(|level| level.name().eq_ignore_ascii_case(word)).unwrap_or_default();
        let level = (level + self.typing.count('q')).saturating_sub(self.typing.count('v'));
        Ok(Logging {
            file: file.map(|(path, _)| path.into()),
            stderr: self.is_on("log-stderr")?,
            json: self.word("log-format")? == "json",
            level: LEVELS.get(level).copied().unwrap_or(Level::Error),
            progress: match self.word("progress")? {
                "always" => Some(true),
                "never" => Some(false),
                _ => None,
            },
        })
    }

    /// The library's options; the library knows their defaults.
    fn config(&self, asked: Asked, words: &[&str]) -> Result<Config, String> {
        let mut config = Config::new();
        let [model, reset] = [Opt::BarmanModel, Opt::Reset].map(|option| option.spec().name);
        // If two options exclude each other, a typed one takes precedence over the environment.
        let typed = |name| self.typing.value(name).is_some();
        let is_out = |name| (name == model && typed(reset) || name == reset && typed(model)) && !typed(name);
        let has_model = self.value(model).is_some() && !is_out(model);
        let is_word = |spec: &OptionSpec| spec.option == Opt::Role && !words.is_empty();
        for spec in asked.options().filter(|spec| !is_out(spec.name) && !is_word(spec)) {
            let Some((value, source)) = self.value(spec.name) else { continue };
            let text = value.to_str().ok_or_else(|| format!("argument {source}: is not UTF-8"))?;
            // The library treats an empty model as missing, and returns the exit status of the Python program for that.
            if spec.name != model || !text.is_empty() {
                config
                    .set(spec.option, text)
                    .map_err(|why| format!("argument {source}: {}", why.reason()))?;
            }
        }
        if let [_, role, _] = words {
            config.set(Opt::Role, role).map_err(|why| format!("argument role: {}", why.reason()))?;
        }
        let lists_all = typed("all") || !typed(Opt::Limit.spec().name);
        if asked == Asked::Operations && lists_all && self.is_on("all")? {
            config.set(Opt::Limit, "0").map_err(|why| why.to_string())?;
        }
        let missing: Vec<String> = config.missing(asked).map(|spec| format!("--{}", spec.name)).collect();
        match (has_model, config.is_on(Opt::Reset)) {
            _ if !missing.is_empty() => {
                Err(format!("the following arguments are required: {}", missing.join(", ")))
            }
            _ if asked != Asked::ConfigSwitch => Ok(config),
            (true, true) => Err(format!("argument --{reset}: not allowed with argument --{model}")),
            (false, false) => Err(format!("one of the arguments --{model} --{reset} is required")),
            _ => Ok(config),
        }
    }
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
