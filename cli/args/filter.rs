//! Keeps only the arguments that the commands know, like Python's `parse_known_args`: Patroni passes options of its
//! own, and option names may be abbreviated.

use std::ffi::{OsStr, OsString};
use std::iter::{self, Peekable};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::vec;

use barman_recover::{Typed, typed};
use clap::{Arg, Command};

use super::command::NAME;

/// Dashes that word processors make from two hyphens count too.
const DASHES: [char; 3] = ['-', '\u{2013}', '\u{2014}'];

type Words = Peekable<vec::IntoIter<OsString>>;

/// The arguments that are kept.
pub struct Filtered<'a> {
    /// The innermost sub-command, and the names down to it.
    pub command: &'a Command,
    pub names: Vec<&'a str>,
    /// Each with its name; "" for a short one.
    options: Vec<(&'a str, Vec<OsString>)>,
    strays: Vec<OsString>,
    /// The names of unknown options that are not among those that Patroni passes to every hook.
    pub ignored: Vec<String>,
}

/// Keeps what the commands know, with names written out. An error comes with the sub-command that it is about. Clap's
/// own way to do this would also accept invalid values of known options.
pub fn filter(root: &Command, argv: Vec<OsString>) -> Result<Filtered<'_>, (&Command, String)> {
    let mut kept =
        Filtered { command: root, names: vec![], options: vec![], strays: vec![], ignored: vec![] };
    let mut argv = argv.into_iter().peekable();
    argv.next(); // the program
    while let Some(word) = argv.next() {
        kept.word(word, &mut argv).map_err(|why| (kept.command, why))?;
    }
    kept.ignored.dedup();
    Ok(kept)
}

impl<'a> Filtered<'a> {
    /// What clap parses: the names of the sub-commands, then options, then the remaining arguments.
    pub fn words(&self) -> impl Iterator<Item = OsString> {
        let command = self.command;
        // An option given before a sub-command need not belong to it.
        let is_own = |name: &str| name.is_empty() || all_names(command).any(|(_, own)| own == name);
        let options = self.options.iter().filter(move |(name, _)| is_own(name)).flat_map(|(_, words)| words);
        // Patroni appends the arguments of a callback: any before them are values of unknown options. Clap refuses an
        // unknown sub-command.
        let wanted = command.get_positionals().count().max(command.has_subcommands().into());
        let strays = self.strays.iter().skip(self.strays.len().saturating_sub(wanted));
        let above = iter::once(NAME).chain(self.names.iter().copied()).map(OsString::from);
        above.chain(options.chain(strays).cloned())
    }

    fn word(&mut self, word: OsString, rest: &mut Words) -> Result<(), String> {
        let text = word.to_string_lossy();
        if text.starts_with("--") {
            return self.option(&word, rest);
        }
        if let Some(sub) = self.command.find_subcommand(&*text) {
            self.names.push(sub.get_name());
            self.command = sub;
        } else if self.is_short(&text) {
            self.options.push(("", vec![word]));
        } else if text.contains("://") {
            return Err("an unexpected URL (is it for --api-url?)".into()); // it may contain a password
        } else {
            self.refuse_slip(&text)?;
            if text.starts_with(DASHES) {
                self.ignored.push(text.chars().take(2).collect());
            } else {
                self.strays.push(word);
            }
        }
        Ok(())
    }

    /// Refuses an option without its two dashes.
    fn refuse_slip(&self, text: &str) -> Result<(), String> {
        let name = as_far_as_a_name(text.trim_start_matches(DASHES));
        let may_be = name.len() > 2 && (text.starts_with(DASHES) || text.contains('='));
        match if may_be { self.find(name)? } else { Typed::Unknown } {
            Typed::Option(meant) => Err(format!("'{name}' without two dashes: did you mean --{meant}?")),
            _ => Ok(()),
        }
    }

    /// `--name value` or `--name=value`.
    fn option(&mut self, word: &OsStr, rest: &mut Words) -> Result<(), String> {
        let end = word.as_bytes().iter().position(|byte| *byte == b'=').unwrap_or(word.len());
        let (name, value) = word.as_bytes().split_at(end);
        let name = String::from_utf8_lossy(name);
        let name = as_far_as_a_name(name.trim_start_matches('-'));
        let found = match self.find(name)? {
            Typed::Option(found) => found,
            other => {
                self.ignored.extend((other == Typed::Unknown).then(|| format!("--{name}")));
                // Also skip its value, unless that may be an argument of a callback.
                let has_words = self.command.get_positionals().next().is_some();
                rest.next_if(|next| value.is_empty() && !has_words && self.is_stray(next));
                return Ok(());
            }
        };
        let mut words = vec![OsString::from_vec([b"--", found.as_bytes(), value].concat())];
        let takes_word = |arg: &&Arg| arg.get_action().takes_values() && !arg.is_require_equals_set();
        let arg = all_names(self.command).find(|(_, name)| *name == found).map(|(arg, _)| arg);
        if let Some(arg) = arg.filter(takes_word) {
            let any = arg.is_allow_hyphen_values_set();
            if value.is_empty() {
                words.extend(rest.next_if(|next| any || !next.as_bytes().starts_with(b"--")));
            }
            if let Some(next) = rest.peek().filter(|next| any && self.is_stray(next)) {
                self.refuse_slip(&next.to_string_lossy())?;
                return Err(format!("argument --{found}: quote it, as one word: --{found} 'ssh ...'"));
            }
        }
        self.options.push((found, words));
        Ok(())
    }

    /// What an option name means. An option of a sub-command must not be ignored before the sub-command.
    fn find(&self, name: &str) -> Result<Typed<'a>, String> {
        let names = |command: &'a Command| all_names(command).map(|(_, name)| name);
        match typed(name, names(self.command))? {
            Typed::Unknown => match typed(name, self.command.get_subcommands().flat_map(names))? {
                Typed::Option(found) => Err(format!("--{found} must come after the sub-command")),
                other => Ok(other),
            },
            known => Ok(known),
        }
    }

    /// Neither an option nor a sub-command.
    fn is_stray(&self, word: &OsStr) -> bool {
        let text = word.to_string_lossy();
        !text.starts_with("--") && !self.is_short(&text) && self.command.find_subcommand(word).is_none()
    }

    /// One or several short options, none of which takes a value: `-v`, `-vv`.
    fn is_short(&self, text: &str) -> bool {
        let known = |letter| self.command.get_arguments().any(|arg| arg.get_short() == Some(letter));
        text.strip_prefix('-').is_some_and(|letters| !letters.is_empty() && letters.chars().all(known))
    }
}

/// Every name of every option.
fn all_names(command: &Command) -> impl Iterator<Item = (&Arg, &str)> {
    command.get_arguments().flat_map(|arg| {
        let names = arg.get_long_and_visible_aliases().unwrap_or_default();
        names.into_iter().map(move |name| (arg, name))
    })
}

/// The part of a mistyped word that can be an option name: a URL with a password may follow it.
fn as_far_as_a_name(word: &str) -> &str {
    word.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))).next().unwrap_or_default()
}
