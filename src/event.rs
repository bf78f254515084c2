//! Events that a run reports. Plain values: the program formats them, and C gets them as JSON. Pure.

use std::fmt;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::outcome::OperationState;
use crate::text::{clock, printable, size};

/// How serious a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Level {
    /// Details for troubleshooting.
    Debug,
    /// What the run does.
    Info,
    /// Something is wrong, and the run goes on.
    Warning,
    /// Why the run ends, or a hint about it.
    Error,
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
    /// The state of the operation has changed: [`OperationState::MaybeCreated`] comes before the create is sent, and
    /// [`OperationState::NotCreated`] again if it has started nothing.
    State {
        /// What is known about the operation.
        state: OperationState,
        /// Its ID, when known.
        operation_id: Option<String>,
    },
    /// What has arrived in the data directory, from the first byte on, if it can be seen; sent about once a second
    /// while an operation runs, more often in its first seconds.
    Progress(Progress),
}

impl Event {
    /// A line for the log; line breaks are replaced.
    pub(crate) fn log(level: Level, message: &str) -> Event {
        Event::Log { level, message: printable(message) }
    }
}

impl Serialize for Event {
    /// Each has `kind` (`log`, `state` or `progress`), `level` and `message`; then its own fields.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_map(None)?;
        let mut common = |kind: &str, level: Level, message: &str| {
            fields.serialize_entry("kind", kind)?;
            fields.serialize_entry("level", &level)?;
            fields.serialize_entry("message", message)
        };
        match self {
            Event::Log { level, message } => common("log", *level, message)?,
            Event::State { state, operation_id } => {
                let operation =
                    operation_id.as_ref().map_or("the operation".into(), |id| format!("operation {id}"));
                common("state", Level::Info, &printable(&format!("{operation} is {}", state.name())))?;
                fields.serialize_entry("operation_id", operation_id)?;
                fields.serialize_entry("operation_state", state)?;
            }
            Event::Progress(progress) => {
                common("progress", Level::Info, &progress.to_string())?;
                fields.serialize_entry("percent", &progress.percent())?;
                fields.serialize_entry("bytes", &progress.bytes)?;
                fields.serialize_entry("total_bytes", &progress.total)?;
                fields.serialize_entry("wal_bytes", &progress.wal_bytes)?;
                fields.serialize_entry("bytes_per_second", &progress.bytes_per_second)?;
                fields.serialize_entry("elapsed_seconds", &progress.elapsed.as_secs())?;
                fields.serialize_entry("left_seconds", &progress.left.map(|left| left.as_secs()))?;
            }
        }
        fields.end()
    }
}

/// How far a restore has got, by what has arrived in the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that have arrived in the data directory, its tablespaces and its WAL directory. They may exceed the
    /// total while WAL arrives.
    pub bytes: u64,
    /// Size of the backup, without WAL, once known.
    pub total: Option<u64>,
    /// Bytes of WAL, once the base backup is complete and WAL is arriving.
    pub wal_bytes: Option<u64>,
    /// Rate over the last seconds; over the whole time once it is done.
    pub bytes_per_second: u64,
    /// Time since the operation began.
    pub elapsed: Duration,
    /// Estimated time left, while the base backup arrives and its size is known.
    pub left: Option<Duration>,
    /// Whether these are the last figures of a restore that is done.
    pub is_done: bool,
}

impl Progress {
    /// The share that has arrived: at most 99 % until the restore is done; `None` when the size is not known.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        if self.is_done {
            return Some(100);
        }
        let total = self.total.filter(|total| *total > 0)?;
        Some(u64::try_from(u128::from(self.bytes) * 100 / u128::from(total)).unwrap_or(u64::MAX).min(99))
    }
}

impl fmt::Display for Progress {
    /// `1.2 GB of 2.0 GB (60 %), 110 MB/s, 12 s, about 8 s left`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.wal_bytes.filter(|_| !self.is_done), self.total.zip(self.percent())) {
            (Some(wal), _) => write!(f, "base backup copied, copying WAL: {}", size(wal))?,
            (None, Some((total, percent))) => {
                write!(f, "{} of {} ({percent} %)", size(self.bytes), size(total))?;
            }
            (None, None) => f.write_str(&size(self.bytes))?,
        }
        write!(f, ", {}/s, {}", size(self.bytes_per_second), clock(self.elapsed))?;
        self.left.map_or(Ok(()), |left| write!(f, ", about {} left", clock(left)))
    }
}
