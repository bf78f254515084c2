//! Keeps those of the words that the commands know, as Python's `parse_known_args` does: Patroni passes options
//! of its own, and prefixes of names are accepted.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// What Patroni passes by itself to each hook (`patroni/postgresql/bootstrap.py`).
const PATRONIS: [&str; 6] = ["scope", "role", "connstring", "no_leader", "keep_data", "no_params"];

/// The options of the Python program, those of its sub-commands first: their prefixes mean what they meant
/// there, whatever options have come since.
const PYTHONS: [&[&str]; 2] = [
    &[
        "barman-server",
        "backup-id",
        "ssh-command",
        "data-directory",
        "datadir",
        "loop-wait",
        "barman-model",
        "reset",
        "switch-when",
    ],
    &["api-url", "cert-file", "key-file", "retry-wait", "max-retries", "log-file"],
];

/// Keeps what the commands know, with prefixes written out; returns the names of the other options. What
/// clap itself offers for this would also accept wrong values of known options.
pub fn filter(
    root: &Command,
    argv: impl IntoIterator<Item = OsString>,
) -> Result<(Vec<OsString>, Vec<String>), String> {
    let (mut keep, mut ignored) = (Vec::new(), Vec::new());
    let mut words = argv.into_iter().peekable();
    keep.extend(words.next());
    let mut command = root;
    let mut after_unknown = false;
    let mut strays = Vec::new();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let was_unknown = std::mem::take(&mut after_unknown);
        if is_short(command, &text) {
            keep.push(word);
        } else if let Some(long) = text.strip_prefix("--").filter(|long| !long.is_empty()) {
            let (name, inline) = match long.split_once('=') {
                Some((name, _)) => (name, true),
                None => (long, false),
            };
            let Some(found) = find(command, name)? else {
                after_unknown = !inline;
                if !PATRONIS.contains(&name) {
                    ignored.push(format!("--{}", as_far_as_a_name(name)));
                }
                continue;
            };
            keep.push(written_out(found.name, &word, inline));
            if found.takes_word && !inline {
                keep.extend(
                    words.next_if(|next| found.any_word || !next.to_string_lossy().starts_with("--")),
                );
            }
        } else if !text.starts_with('-') && command.has_subcommands() {
            match command.find_subcommand(&text) {
                Some(sub) => command = sub,
                None if was_unknown => continue, // its value
                None => no_url(&text)?,          // clap says what is wrong with it
            }
            keep.push(word);
        } else if text.starts_with('-') && text.len() > 1 && !text.starts_with("--") {
            ignored.push("-".to_string() + &text.chars().skip(1).take(1).collect::<String>());
        } else if !text.starts_with('-') {
            strays.push(word);
        }
    }
    // Patroni appends the words of a callback: those before them are values of options that are not known.
    let wanted = command.get_positionals().count();
    for word in strays.drain(strays.len().saturating_sub(wanted)..) {
        no_url(&word.to_string_lossy())?;
        keep.push(word);
    }
    ignored.dedup();
    Ok((keep, ignored))
}

/// What of a mistyped word can be an option's name: behind it may be a URL with a password.
fn as_far_as_a_name(word: &str) -> &str {
    let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    end.map_or(word, |end| word.get(..end).unwrap_or_default())
}

/// A word of no option goes into the error, and a URL may hold a password.
fn no_url(word: &str) -> Result<(), String> {
    if word.contains("://") { Err("a URL where none belongs (is it for --api-url?)".into()) } else { Ok(()) }
}

/// `--name=value` with the whole name, whatever bytes the value has.
fn written_out(name: &str, word: &OsStr, inline: bool) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut whole = format!("--{name}").into_bytes();
    if inline {
        let bytes = word.as_bytes();
        let at = bytes.iter().position(|b| *b == b'=').unwrap_or(bytes.len());
        whole.extend_from_slice(bytes.get(at..).unwrap_or_default());
    }
    OsString::from_vec(whole)
}

struct Found<'a> {
    name: &'a str,
    takes_word: bool,
    /// Whether its value may look like an option.
    any_word: bool,
}

/// The option of this name or of this unambiguous prefix.
fn find<'a>(command: &'a Command, prefix: &str) -> Result<Option<Found<'a>>, String> {
    let names: Vec<(&Arg, &str)> = command
        .get_arguments()
        .flat_map(|arg| {
            arg.get_long_and_visible_aliases().unwrap_or_default().into_iter().map(move |name| (arg, name))
        })
        .collect();
    let mut hits: Vec<&(&Arg, &str)> = names.iter().filter(|(_, name)| *name == prefix).collect();
    if hits.is_empty() {
        hits = names.iter().filter(|(_, name)| !prefix.is_empty() && name.starts_with(prefix)).collect();
    }
    hits.dedup_by_key(|(arg, _)| arg.get_id()); // an option and its alias
    for pythons in PYTHONS {
        if hits.len() > 1 {
            let same: Vec<_> = hits.iter().copied().filter(|(_, name)| pythons.contains(name)).collect();
            if !same.is_empty() {
                hits = same;
            }
        }
    }
    match hits.as_slice() {
        [] => Ok(None),
        [(arg, name)] => Ok(Some(Found {
            name,
            takes_word: arg.get_action().takes_values() && !arg.is_require_equals_set(),
            any_word: arg.is_allow_hyphen_values_set(),
        })),
        several => {
            let names: Vec<String> = several.iter().map(|(_, name)| format!("--{name}")).collect();
            Err(format!("ambiguous option: --{prefix} could match {}", names.join(", ")))
        }
    }
}

/// One or several short options, none of which takes a value: `-v`, `-vv`.
fn is_short(command: &Command, text: &str) -> bool {
    let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) else { return false };
    letters.chars().all(|c| command.get_arguments().any(|arg| arg.get_short() == Some(c)))
}
