//! What went wrong and what to do about it, as it is logged and reported. Pure.

use std::fmt;

use crate::text::printable;

/// A message with a hint, each in one printable line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    message: String,
    hint: String,
}

impl Problem {
    /// Without a hint.
    pub(crate) fn new(message: impl AsRef<str>) -> Problem {
        Problem { message: printable(message.as_ref()), hint: String::new() }
    }

    /// With this hint; "" is none.
    pub(crate) fn hint(self, hint: impl AsRef<str>) -> Problem {
        Problem { hint: printable(hint.as_ref()), ..self }
    }

    /// With this hint, if it has none yet.
    pub(crate) fn or_hint(self, hint: impl AsRef<str>) -> Problem {
        if self.hint.is_empty() { self.hint(hint) } else { self }
    }

    /// What happened, where, and what the server said.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it; empty when there is nothing to say.
    pub(crate) fn advice(&self) -> &str {
        &self.hint
    }

    pub(crate) fn into_parts(self) -> (String, String) {
        (self.message, self.hint)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_texts_stay_one_printable_line() {
        let problem = Problem::new("a\nb\x1b[31m").hint("c\td");
        assert_eq!((problem.message(), problem.advice()), ("a b [31m", "c d"));
        assert_eq!(problem.clone().or_hint("other").advice(), "c d");
        assert_eq!(problem.hint("").or_hint("other").into_parts(), ("a b [31m".into(), "other".into()));
    }
}
