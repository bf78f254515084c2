//! The options of the log: the program's own, as the library prints nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use barman_recover::Level;
use clap::{Arg, ArgAction, ArgMatches};

use super::command::{flag, option};
use super::given;

/// Where the log goes, what is in it and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    pub file: Option<PathBuf>,
    /// To standard error beside the file; without a file it goes there anyway.
    pub stderr: bool,
    pub format: Format,
    /// Lines below this are left out.
    pub level: Level,
    pub progress: Show,
}

/// Whether figures are shown beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Where standard error is a terminal.
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As Python's `logging` writes.
    Text,
    /// An object a line.
    Json,
}

const FILE: &str = "log-file";
const STDERR: &str = "log-stderr";
const FORMAT: &str = "log-format";
const LEVEL: &str = "log-level";
const PROGRESS: &str = "progress";

const SHOWS: [(&str, Show); 3] = [("auto", Show::Auto), ("always", Show::Always), ("never", Show::Never)];
const FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];
const LEVELS: [(&str, Level); 4] =
    [("debug", Level::Debug), ("info", Level::Info), ("warning", Level::Warning), ("error", Level::Error)];

pub fn args() -> impl Iterator<Item = Arg> {
    let valued = |name, value: &'static str, help: &str, default| {
        option(name, help.into(), default, &variable(name)).num_args(1).value_name(value)
    };
    let counted = |short, id: &'static str, help: &'static str| {
        Arg::new(id).short(short).action(ArgAction::Count).help(help)
    };
    [
        valued(FILE, "PATH", "File to log to instead of standard error", ""),
        flag(option(STDERR, "Log to standard error beside the file".into(), "", &variable(STDERR))),
        valued(FORMAT, "WORD", "How the log looks: text, or json for one JSON object a line", "text"),
        valued(LEVEL, "WORD", "What is logged: debug, info, warning or error, and what is worse", "info"),
        valued(
            PROGRESS,
            "WORD",
            "When to show progress beside the log: auto (a bar, on a terminal), always (elsewhere too: a line a second), never",
            "auto",
        ),
        counted('v', "verbose", "Log a level more than --log-level: -v for debug"),
        counted('q', "quiet", "Log a level less: -q for warning, -qq for error"),
    ]
    .into_iter()
}

/// Reads them; an error names the option or variable.
pub fn logging(matches: &ArgMatches, env: impl Fn(&str) -> Option<OsString>) -> Result<Logging, String> {
    let given = |name| given(matches, name, &variable(name), &env);
    let file = match given(FILE) {
        Some((path, source)) if path.is_empty() => {
            return Err(format!("argument {source}: must not be empty"));
        }
        file => file.map(|(path, _)| path.into()),
    };
    let stderr = match given(STDERR) {
        Some(given) => word(given, &[("true", true), ("false", false)])?,
        None => false,
    };
    let format = given(FORMAT).map_or(Ok(Format::Text), |given| word(given, &FORMATS))?;
    let level = given(LEVEL).map_or(Ok(Level::Info), |given| word(given, &LEVELS))?;
    let progress = given(PROGRESS).map_or(Ok(Show::Auto), |given| word(given, &SHOWS))?;
    let times = |id| usize::from(matches.get_count(id));
    let at = LEVELS.iter().position(|(_, known)| *known == level).unwrap_or(0);
    let at = (at + times("quiet")).saturating_sub(times("verbose")).min(LEVELS.len() - 1);
    let level = LEVELS.get(at).map_or(level, |(_, level)| *level);
    Ok(Logging { file, stderr, format, level, progress })
}

fn variable(name: &str) -> String {
    format!("BARMAN_RECOVER_{}", name.to_uppercase().replace('-', "_"))
}

/// What a word stands for, in whatever case.
fn word<T: Copy>((value, source): (OsString, String), words: &[(&str, T)]) -> Result<T, String> {
    let text = value.to_string_lossy().to_ascii_lowercase();
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("argument {source}: takes one of {}", words.join(", "))
    })
}
