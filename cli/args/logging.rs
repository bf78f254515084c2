//! The options of the log: the program's own, as the library prints nothing.

use std::path::PathBuf;

use barman_recover::Level;
use clap::ArgMatches;

use super::command::LEVELS;
use super::{choice, given};

/// Where the log goes, what is in it and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    pub file: Option<PathBuf>,
    /// To standard error beside the file; without a file it goes there anyway.
    pub stderr: bool,
    /// An object a line, instead of what Python's `logging` writes.
    pub json: bool,
    /// Lines below this are left out.
    pub level: Level,
    pub progress: Show,
}

/// Whether progress is shown beside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Where standard error is a terminal.
    Auto,
    Always,
    Never,
}

/// Reads them; an error names the option or variable.
pub fn logging(matches: &ArgMatches) -> Result<Logging, String> {
    let file = given(matches, "log-file");
    if let Some((_, source)) = file.as_ref().filter(|(path, _)| path.is_empty()) {
        return Err(format!("argument {source}: must not be empty"));
    }
    let level = choice(matches, "log-level", &LEVELS)?.unwrap_or(1) + usize::from(matches.get_count("quiet"));
    let level = level.saturating_sub(matches.get_count("verbose").into());
    Ok(Logging {
        file: file.map(|(path, _)| path.into()),
        stderr: choice(matches, "log-stderr", &["false", "true"])? == Some(1),
        json: choice(matches, "log-format", &["text", "json"])? == Some(1),
        level: [Level::Debug, Level::Info, Level::Warning].get(level).copied().unwrap_or(Level::Error),
        progress: match choice(matches, "progress", &["auto", "always", "never"])? {
            Some(1) => Show::Always,
            Some(2) => Show::Never,
            _ => Show::Auto,
        },
    })
}
