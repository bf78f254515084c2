//! Reads the words of the command line, once: which sub-command they name, and which value each option has. As
//! Python's `parse_known_args` it passes over what it does not know, because Patroni passes options of its own.

use std::ffi::{OsStr, OsString};
use std::iter::{self, Peekable};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::vec;

use barman_recover::{Typed, truth, typed};
use clap::{Arg, Command};

use super::command::NAME;

/// Dashes that word processors make from two hyphens count too.
const DASHES: [char; 3] = ['-', '\u{2013}', '\u{2014}'];

type Words = Peekable<vec::IntoIter<OsString>>;

/// What was typed.
pub struct Typing<'a> {
    /// The innermost sub-command, and the names down to it.
    pub command: &'a Command,
    pub names: Vec<&'a str>,
    /// With their names written out, in the order in which they were typed.
    options: Vec<(&'a str, OsString)>,
    /// The short options, one letter each.
    letters: String,
    /// What is neither an option nor a sub-command.
    strays: Vec<OsString>,
    /// The word that asks for help or for the version.
    asks: Option<String>,
    /// The names of unknown options that are not among those that Patroni passes to every hook.
    pub ignored: Vec<String>,
}

/// Reads all words. An error comes with the sub-command that it is about.
pub fn read(root: &Command, argv: Vec<OsString>) -> Result<Typing<'_>, (&Command, String)> {
    let mut typing = Typing {
        command: root,
        names: vec![],
        options: vec![],
        letters: String::new(),
        strays: vec![],
        asks: None,
        ignored: vec![],
    };
    let mut argv = argv.into_iter().peekable();
    argv.next(); // the program
    while typing.asks.is_none()
        && let Some(word) = argv.next()
    {
        typing.word(word, &mut argv).map_err(|why| (typing.command, why))?;
    }
    typing.ignored.dedup();
    Ok(typing)
}

impl<'a> Typing<'a> {
    /// The value of an option; the last one wins.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.options.iter().rev().find(|(typed, _)| *typed == name).map(|(_, value)| value.as_os_str())
    }

    /// How often a short option was given.
    pub fn count(&self, letter: char) -> usize {
        self.letters.chars().filter(|known| *known == letter).count()
    }

    /// The words for which clap prints help, or the version, if that was asked for.
    pub fn asks_for_help(&self) -> Option<Vec<OsString>> {
        let is_asked = self.asks.is_some() || self.names.contains(&"help");
        let names = iter::once(NAME).chain(self.names.iter().copied()).map(OsString::from);
        let last = self.asks.iter().map(OsString::from).chain(self.strays.last().cloned());
        is_asked.then(|| names.chain(last.take(1)).collect())
    }

    /// The positional arguments. Patroni appends them to a callback's command, so any other words before them
    /// are values of unknown options.
    pub fn positionals(&self) -> Result<Vec<&str>, String> {
        let wanted: Vec<&Arg> = self.command.get_positionals().collect();
        if let (true, Some(stray)) = (self.command.has_subcommands(), self.strays.last()) {
            return Err(format!("there is no sub-command '{}'", stray.to_string_lossy().escape_debug()));
        }
        let given = self.strays.get(self.strays.len().saturating_sub(wanted.len())..).unwrap_or_default();
        if let missing @ [_, ..] = wanted.get(given.len()..).unwrap_or_default() {
            let names: Vec<&str> = missing.iter().map(|arg| arg.get_id().as_str()).collect();
            return Err(format!("the following arguments are required: {}", names.join(", ")));
        }
        iter::zip(wanted, given).map(|(arg, word)| positional(arg, word)).collect()
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
            self.letters += text.trim_start_matches('-');
            self.asks = text.contains(['h', 'V']).then(|| text.into_owned());
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
        let mut parts = word.as_bytes().splitn(2, |byte| *byte == b'=');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let value = parts.next().map(|value| OsString::from_vec(value.to_vec()));
        let name = as_far_as_a_name(name.trim_start_matches('-'));
        let found = match self.find(name)? {
            Typed::Option(found) => found,
            other => {
                self.ignored.extend((other == Typed::Unknown).then(|| format!("--{name}")));
                // Also skip its value, unless that may be an argument of a callback.
                let has_words = self.command.get_positionals().next().is_some();
                rest.next_if(|next| value.is_none() && !has_words && self.is_stray(next));
                return Ok(());
            }
        };
        let Some(arg) = all_names(self.command).find(|(_, name)| *name == found).map(|(arg, _)| arg) else {
            return Ok(());
        };
        let value = if !arg.get_action().takes_values() {
            self.asks = Some(format!("--{found}"));
            return Ok(());
        } else if arg.is_require_equals_set() {
            let follows = rest.peek().filter(|_| value.is_none()).and_then(|next| next.to_str());
            if let Some(next) = follows.filter(|next| truth(next).is_some()) {
                return Err(format!("argument --{found}: write --{found}={next}"));
            }
            value.unwrap_or_else(|| "true".into())
        } else {
            self.following(arg, value, rest)?
        };
        self.options.push((arg.get_id().as_str(), value));
        Ok(())
    }

    /// The value of an option that takes one. If the value is missing, the next option must not be taken for
    /// it; but the value of --ssh-command may begin with a dash.
    fn following(&self, arg: &'a Arg, value: Option<OsString>, rest: &mut Words) -> Result<OsString, String> {
        let (name, any) = (arg.get_id(), arg.is_allow_hyphen_values_set());
        let is_option =
            |next: &OsStr| next.as_bytes().starts_with(b"--") || self.is_short(&next.to_string_lossy());
        let value = value.or_else(|| rest.next_if(|next| any || !is_option(next)));
        if let Some(next) = rest.peek().filter(|next| any && self.is_stray(next)) {
            self.refuse_slip(&next.to_string_lossy())?;
            return Err(format!("argument --{name}: quote it, as one word: --{name} 'ssh ...'"));
        }
        value.ok_or_else(|| format!("argument --{name}: expected one argument"))
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

fn positional<'a>(arg: &Arg, word: &'a OsStr) -> Result<&'a str, String> {
    let name = arg.get_id();
    let word = word.to_str().ok_or_else(|| format!("argument {name}: is not UTF-8"))?;
    let known = arg.get_possible_values();
    if known.is_empty() || known.iter().any(|value| value.get_name() == word) {
        return Ok(word);
    }
    let known: Vec<&str> = known.iter().map(clap::builder::PossibleValue::get_name).collect();
    Err(format!("argument {name}: takes one of {}", known.join(", ")))
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
