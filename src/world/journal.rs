//! The content of the state file: JSON lines, only ever appended, so that after a kill or a power cut at any instant
//! the earlier lines are intact. The first line is written before the create; later ones add what has become known
//! since. Pure; `state_file.rs` reads and writes.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::outcome::OperationState;
use crate::world::snapshot::{Identity, Stamps};

/// The state file of a run: a lock, and lines for the next run after a kill.
pub(crate) trait Journal {
    /// Its path, for messages.
    fn path(&self) -> String;

    /// Locks and reads the file, creating it if needed. Does not wait for the lock.
    fn lock(&mut self) -> Lock;

    /// Appends lines in one write, and syncs them.
    fn append(&mut self, lines: &[Line]) -> Result<(), String>;

    /// Removes the file if it is still this run's own, and gives up the lock. The last lines are for a run that waits
    /// for the lock.
    fn close(&mut self, last: &[Line]) -> Result<(), String>;

    /// Gives up the lock and leaves the file to the next run.
    fn leave(&mut self);
}

/// The result of locking the state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lock {
    /// This run has locked it. `left_over` is what an earlier run left or, after a wait, what the other run wrote
    /// last; `garbage` says why the content could not be read.
    Ours { left_over: Option<Record>, garbage: Option<String> },
    /// Another run has locked it.
    Held(Option<Record>),
    /// It can't be used, for this reason.
    Unavailable(String),
}

/// The run that the state file describes, and how far it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) run: Run,
    /// The operation, once the API has named it.
    pub(crate) operation_id: Option<String>,
    /// The data directory that the operation writes into, recorded once there was something in it.
    pub(crate) identity: Option<Identity>,
    /// Whether that directory was removed or emptied during the operation.
    pub(crate) removed: bool,
    /// How the operation ended.
    pub(crate) ended: Option<Ended>,
}

/// The first line: a create is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) pid: u32,
    pub(crate) api_url: String,
    pub(crate) barman_server: String,
    pub(crate) backup_id: String,
    pub(crate) data_directory: String,
    /// The recoveries that existed before the create; `None` if they could not be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<HashSet<String>>,
    /// What was in the data directory before the create.
    #[serde(default)]
    pub(crate) before: Stamps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Ended {
    Done,
    Failed,
    /// Nothing was started, or nothing of it is left.
    NothingStarted,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Run(Run),
    Operation(String),
    Identity(Identity),
    Removed(bool),
    Ended(Ended),
}

impl Line {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default(); // strings and numbers always serialize
        bytes.push(b'\n');
        bytes
    }
}

impl Record {
    /// Parses the lines of a state file. `Ok(None)` for an empty file; an error for a file without a complete first
    /// line. Anything after the last complete line was being written when the run died and is ignored.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Record>, String> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut record: Option<Record> = None;
        for line in bytes.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n")) {
            let Ok(line) = serde_json::from_slice(line) else { continue };
            match (line, &mut record) {
                (Line::Run(run), _) => record = Some(Record::new(run)),
                (line, Some(record)) => record.add(line),
                (_, None) => {}
            }
        }
        record.map(Some).ok_or_else(|| "it was not written by this program".into())
    }

    pub(crate) fn new(run: Run) -> Record {
        Record { run, operation_id: None, identity: None, removed: false, ended: None }
    }

    /// Whether its operation is running, or has ended and brought data.
    pub(crate) fn can_count(&self) -> bool {
        matches!(self.ended, None | Some(Ended::Done))
    }

    /// Whether the current content of the data directory may come from its operation.
    pub(crate) fn is_about(&self, now: Option<Identity>) -> bool {
        self.removed || self.identity.zip(now).is_none_or(|(then, now)| then.became(&now))
    }

    /// The state of its operation, as long as nothing says that it has ended.
    pub(crate) fn open_state(&self) -> OperationState {
        if self.operation_id.is_some() { OperationState::InProgress } else { OperationState::MaybeCreated }
    }

    pub(crate) fn add(&mut self, line: Line) {
        match line {
            Line::Run(run) => *self = Record::new(run),
            Line::Operation(id) => self.operation_id = Some(id),
            Line::Identity(identity) => self.identity = Some(identity),
            Line::Removed(removed) => self.removed = removed,
            Line::Ended(ended) => self.ended = Some(ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            pid: 7,
            api_url: "http://h".into(),
            barman_server: "main".into(),
            backup_id: "latest".into(),
            data_directory: "/d".into(),
            known: Some(HashSet::from(["a".to_string()])),
            before: Stamps::default(),
        }
    }

    fn file(lines: &[Line]) -> Vec<u8> {
        lines.iter().flat_map(Line::to_bytes).collect()
    }

    #[test]
    fn lines_add_up() {
        let bytes = file(&[Line::Run(run()), Line::Operation("x".into()), Line::Ended(Ended::Done)]);
        let record = Record::parse(&bytes).unwrap().unwrap();
        assert_eq!((record.operation_id.as_deref(), record.ended), (Some("x"), Some(Ended::Done)));
        assert_eq!(record.run, run());
    }

    #[test]
    fn a_later_create_forgets_what_was_known_of_the_one_before() {
        let bytes = file(&[Line::Run(run()), Line::Operation("x".into()), Line::Run(run())]);
        assert_eq!(Record::parse(&bytes).unwrap().unwrap().operation_id, None);
    }

    #[test]
    fn a_file_cut_anywhere_tells_what_was_whole_before_the_cut() {
        let bytes = file(&[Line::Run(run()), Line::Operation("x".into()), Line::Ended(Ended::Failed)]);
        let first = Line::Run(run()).to_bytes().len();
        for end in 0..=bytes.len() {
            let parsed = Record::parse(&bytes[..end]);
            match end {
                0 => assert_eq!(parsed, Ok(None)),
                _ if end < first => assert!(parsed.is_err()),
                _ => assert_eq!(parsed.unwrap().unwrap().run, run()),
            }
        }
    }

    #[test]
    fn garbage_is_told_from_emptiness() {
        for garbage in [&b"x"[..], b"{}\n", b"\xff\xfe\n", b"{\"operation\":\"x\"}\n", &vec![b'['; 100_000]] {
            assert!(Record::parse(garbage).is_err());
        }
    }
}
