//! What a run tells while it goes on. Plain values: the program and the C border format them. Pure.

use std::fmt;

use crate::outcome::OperationState;

/// How serious a log line is. The numbers are part of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Level {
    /// For those who look for a fault.
    Debug = 0,
    /// The course of things.
    Info = 1,
    /// Something is odd, and the run goes on.
    Warning = 2,
    /// The run ends because of this, or a hint to it.
    Error = 3,
}

impl Level {
    /// The level's name in log lines, as Python's `logging` prints it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that happened during a run. No event carries a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A line for the log: one line, without control characters.
    Log {
        /// How serious it is.
        level: Level,
        /// The text.
        message: String,
    },
    /// The operation is known now, or its state has changed.
    State {
        /// What is known about the operation.
        state: OperationState,
        /// Its ID, when known.
        operation_id: Option<String>,
    },
    /// Nothing happened; sent about once a second so that a host can look after itself.
    Tick,
}

/// One printable line of at most 500 characters: what a server says goes into logs and terminals.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(500) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_become_one_printable_line() {
        assert_eq!(one_line(" a\r\nb\x1b[31m\tc\0"), "a b [31m c");
        assert_eq!(one_line(&"é".repeat(600)).chars().count(), 503);
    }
}
