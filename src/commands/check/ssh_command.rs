//! Parses an ssh command: the program, where it logs in, and as which user. Pure.

/// Letters of ssh options that take a value.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";

/// A command that a shell on the Barman host runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SshCommand {
    /// The name of the program, without its folder.
    pub(super) program: String,
    pub(super) user: Option<String>,
    pub(super) host: Option<String>,
    /// Whether words follow the host: Barman appends its own command there.
    pub(super) has_more: bool,
}

impl SshCommand {
    /// `None` if a quote is not closed.
    pub(super) fn parse(command: &str) -> Option<SshCommand> {
        let mut words = words(command)?.into_iter().skip_while(|word| is_assignment(word));
        let program = words.next().unwrap_or_default();
        let mut found = SshCommand {
            program: program.rsplit('/').next().unwrap_or_default().into(),
            ..SshCommand::default()
        };
        while let Some(word) = words.next() {
            match word.strip_prefix('-') {
                Some("-") => {
                    if let Some(host) = words.next() {
                        found.to(&host);
                    }
                }
                Some(letters) => {
                    if let Some((letter, value)) = option(letters, &mut words) {
                        found.set(letter, &value);
                    }
                    continue;
                }
                None => found.to(&word),
            }
            break;
        }
        found.has_more = words.next().is_some();
        Some(found)
    }

    /// Whether it is ssh itself, and not a site's own program.
    pub(super) fn is_ssh(&self) -> bool {
        self.program == "ssh"
    }

    fn set(&mut self, letter: char, value: &str) {
        match (letter, value.split_once(['=', ' '])) {
            ('l', _) => self.user = Some(value.into()),
            ('o', Some((key, value))) if key.eq_ignore_ascii_case("User") => {
                self.user = Some(value.trim().into());
            }
            _ => {}
        }
    }

    /// `user@host`, or `ssh://user@host:port`. A user given as an option takes precedence.
    fn to(&mut self, destination: &str) {
        let url = destination.strip_prefix("ssh://");
        let place = url.map_or(destination, |url| url.split('/').next().unwrap_or_default());
        let (user, mut host) =
            place.rsplit_once('@').map_or((None, place), |(user, host)| (Some(user), host));
        if url.is_some()
            && let Some((name, port)) = host.rsplit_once(':')
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            host = name;
        }
        self.host = Some(host.into()).filter(|host: &String| !host.is_empty());
        self.user = self.user.take().or(user.map(Into::into));
    }
}

/// The option with a value in a word like `-4p22` or `-o`.
fn option(letters: &str, words: &mut impl Iterator<Item = String>) -> Option<(char, String)> {
    let (at, letter) = letters.char_indices().find(|(_, letter)| WITH_VALUE.contains(*letter))?;
    let value = letters.get(at + letter.len_utf8()..).filter(|value| !value.is_empty());
    Some((letter, value.map(Into::into).or_else(|| words.next())?))
}

/// `NAME=value` before a command.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The words of a command, split as a shell does; `None` if a quote is not closed.
fn words(command: &str) -> Option<Vec<String>> {
    let (mut all, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().push(characters.next()?),
            (None, space) if space.is_whitespace() => all.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    all.extend(word);
    quote.is_none().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_host_are_found_as_ssh_finds_them() {
        for (command, user, host) in [
            ("ssh postgres@node1", Some("postgres"), Some("node1")),
            ("/usr/bin/ssh -p 22 node1", None, Some("node1")),
            ("ssh -p22 -4v -o BatchMode=yes -i '/a key' u@h", Some("u"), Some("h")),
            ("ssh -l u h", Some("u"), Some("h")),
            ("ssh -lu x@h", Some("u"), Some("h")),
            ("ssh -o User=u x@h", Some("u"), Some("h")),
            ("ssh -o 'user u' h", Some("u"), Some("h")),
            ("ssh -oUser=u h", Some("u"), Some("h")),
            ("ssh -- u@h", Some("u"), Some("h")),
            ("ssh ssh://u@h:2222/", Some("u"), Some("h")),
            ("ssh u@[::1]", Some("u"), Some("[::1]")),
            ("ssh u@ldap@h", Some("u@ldap"), Some("h")),
            ("SSH_AUTH_SOCK=/x ssh u@h", Some("u"), Some("h")),
            ("ssh -p 22", None, None),
            ("ssh", None, None),
            ("ssh -p", None, None),
            ("ssh u@", Some("u"), None),
            ("", None, None),
        ] {
            let found = SshCommand::parse(command).unwrap();
            assert_eq!((found.user.as_deref(), found.host.as_deref()), (user, host), "{command}");
            assert!(found.is_ssh() || command.is_empty(), "{command}");
            assert!(!found.has_more, "{command}");
        }
    }

    #[test]
    fn what_is_odd_is_seen() {
        for open in ["ssh 'h", "ssh \"h", "ssh h\\"] {
            assert_eq!(SshCommand::parse(open), None, "{open}");
        }
        assert!(SshCommand::parse("ssh h true").unwrap().has_more);
        assert!(!SshCommand::parse("my-ssh h").unwrap().is_ssh());
    }
}
