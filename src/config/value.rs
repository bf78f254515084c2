//! The kinds of option values, and how they are parsed: as on a command line, whoever
//! sets them. Pure.

use serde::Serialize;

use crate::config::url::{Scheme, Url};

/// A value that was accepted.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    Text(String),
    Url(Url),
    Number(u32),
    Flag(bool),
}

/// The kind of an option's value; serialized as the field `kind`, and for a word the field `words`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "words", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// Text that is not empty.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The path of a file or directory.
    Path,
    /// An `http://` or `https://` URL.
    Url,
    /// Whole seconds, 0 to 4294967295.
    Seconds,
    /// A whole number, 0 to 4294967295.
    Count,
    /// On or off; off unless given.
    Flag,
}

impl Kind {
    /// The placeholder for the value in help texts; empty for a flag.
    #[must_use]
    pub fn value_name(self) -> &'static str {
        match self {
            Kind::Text => "TEXT",
            Kind::Word(_) => "WORD",
            Kind::Path => "PATH",
            Kind::Url => "URL",
            Kind::Seconds => "SECONDS",
            Kind::Count => "N",
            Kind::Flag => "",
        }
    }

    /// Parses a value of this kind; an error is the reason for refusing it.
    pub(crate) fn read(self, text: &str) -> Result<Stored, String> {
        match self {
            Kind::Text | Kind::Path => some_text(text).map(|text| Stored::Text(text.into())),
            Kind::Url => Url::parse(some_text(text)?).map(Stored::Url),
            Kind::Seconds => number(text, "takes whole seconds without a unit, for example 10"),
            Kind::Count => number(text, "takes a whole number, for example 5"),
            Kind::Flag => truth(text).map(Stored::Flag).ok_or_else(|| "takes true or false".into()),
            Kind::Word(words) if words.contains(&text) => Ok(Stored::Text(text.into())),
            Kind::Word(words) => Err(format!("takes one of {}", words.join(", "))),
        }
    }
}

fn some_text(text: &str) -> Result<&str, String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.contains('\0') { Err("must not contain a NUL character".into()) } else { Ok(text) }
}

fn number(digits: &str, what: &str) -> Result<Stored, String> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(what.into());
    }
    digits.parse().map(Stored::Number).map_err(|_| "is too large (at most 4294967295)".into())
}

/// What a flag is set to by a word, in upper or lower case: `true`, `on`, `yes`, `1` and their opposites; None for any
/// other word.
#[must_use]
pub fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Further requirements on a value besides its kind; an error is the reason for refusing it.
pub(crate) type Requirement = fn(&Stored) -> Result<(), &'static str>;

/// A time limit of 0 is refused, because nothing could succeed in no time.
pub(crate) fn at_least_one(value: &Stored) -> Result<(), &'static str> {
    if *value == Stored::Number(0) { Err("must be at least 1") } else { Ok(()) }
}

/// The API answers any other word with 404, but only after a restore has been tried. Patroni passes such
/// words if its YAML is wrong, for example `None` or `['latest']`.
pub(crate) fn backup_id(value: &Stored) -> Result<(), &'static str> {
    match value {
        Stored::Text(text) if !is_backup_id(text) && !ALIASES.contains(&text.as_str()) => Err(
            "takes an ID as 'patroni_barman backups' lists them (20261122T102257), or latest, last, oldest, first or last-failed",
        ),
        _ => Ok(()),
    }
}

/// What the API takes in place of an ID.
const ALIASES: [&str; 5] = ["latest", "last", "oldest", "first", "last-failed"];

/// Whether it is the ID of a backup, `20261122T102257`, and no alias.
pub(crate) fn is_backup_id(text: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('T').is_some_and(|(date, time)| digits(date, 8) && digits(time, 6))
}

/// Barman takes what stands before a colon for a host.
pub(crate) fn directory(value: &Stored) -> Result<(), &'static str> {
    match value {
        Stored::Text(text) if text.contains(':') => {
            Err("must not contain a colon: rsync takes what stands before it for a host")
        }
        _ => Ok(()),
    }
}

pub(crate) fn no_query(value: &Stored) -> Result<(), &'static str> {
    match value {
        Stored::Url(url) if !url.query.is_empty() => Err("must not have a query ('?...')"),
        _ => Ok(()),
    }
}

pub(crate) fn proxy(value: &Stored) -> Result<(), &'static str> {
    match value {
        Stored::Url(url) if url.scheme == Scheme::Https || !url.path.is_empty() || !url.query.is_empty() => {
            Err("takes 'http://host:port' or 'http://user:password@host:port'")
        }
        _ => Ok(()),
    }
}
