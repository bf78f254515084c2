//! What a run tells while it goes on. Plain values: the program and the C border format them. Pure.

use std::fmt;
use std::time::Duration;

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
    /// The state of the operation has changed: [`OperationState::MaybeCreated`] comes before the create is
    /// sent, and [`OperationState::NotCreated`] again when it has started nothing.
    State {
        /// What is known about the operation.
        state: OperationState,
        /// Its ID, when known.
        operation_id: Option<String>,
    },
    /// What has arrived in the data directory, from the first byte on, where it can be seen; sent about once
    /// a second while an operation runs, more often in its first seconds.
    Progress(Progress),
    /// Nothing happened; sent about once a second so that a host can look after itself.
    Tick,
}

/// How far a restore is, by what is in the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes in the data directory, its tablespaces and its WAL directory.
    pub bytes: u64,
    /// Size of the backup, once known.
    pub total: Option<u64>,
    /// Average since the operation began.
    pub bytes_per_second: u64,
    /// Time since the operation began.
    pub elapsed: Duration,
    /// Estimated time left, if the size is known.
    pub left: Option<Duration>,
}

impl Progress {
    /// The share that has arrived, at most 99 % as WAL follows; `None` when the size is not known.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some(u64::try_from(u128::from(self.bytes) * 100 / u128::from(total)).unwrap_or(u64::MAX).min(99))
    }
}

impl fmt::Display for Progress {
    /// `1.2 GB of 2.0 GB (60 %), 110 MB/s, 12 s, about 8 s left`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&size(self.bytes))?;
        if let (Some(total), Some(percent)) = (self.total, self.percent()) {
            write!(f, " of {} ({percent} %)", size(total))?;
        }
        write!(f, ", {}/s, {}", size(self.bytes_per_second), clock(self.elapsed))?;
        self.left.map_or(Ok(()), |left| write!(f, ", about {} left", clock(left)))
    }
}

/// `1.2 GB`: decimal units, as Barman's and disks'.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 1;
    for name in ["bytes", "kB", "MB", "GB", "TB"] {
        let tenths = bytes / (unit / 10).max(1);
        if unit == 1 && bytes < 1000 {
            return format!("{bytes} {name}");
        }
        if unit > 1 && (tenths < 10_000 || name == "TB") {
            return if tenths < 100 {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            } else {
                format!("{} {name}", tenths / 10)
            };
        }
        unit *= 1000;
    }
    format!("{bytes} bytes")
}

/// `12 s`, `3:07 min`, `2:15 h`
fn clock(time: Duration) -> String {
    match time.as_secs() {
        whole @ 0..=119 => format!("{whole} s"),
        whole @ 120..=7199 => format!("{}:{:02} min", whole / 60, whole % 60),
        whole => format!("{}:{:02} h", whole / 3600, whole / 60 % 60),
    }
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

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (9_999, "9.9 kB"),
            (12_345, "12 kB"),
            (999_999, "999 kB"),
            (1_000_000, "1.0 MB"),
            (2_500_000_000, "2.5 GB"),
            (7_000_000_000_000_000, "7000 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_readable() {
        for (secs, text) in [(0, "0 s"), (119, "119 s"), (187, "3:07 min"), (8_100, "2:15 h")] {
            assert_eq!(clock(Duration::from_secs(secs)), text);
        }
    }
}
