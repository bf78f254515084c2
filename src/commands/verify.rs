//! What a restore has left in the data directory, for people and programs: from its files alone, without the API.

use std::path::Path;

use serde::Serialize;

use crate::commands::answer;
use crate::config::Config;
use crate::config::options::Command;
use crate::outcome::{Answer, Code, Problem};
use crate::text::{printable, receivers};
use crate::world::data::DataDirectory;
use crate::world::real::absolute;
use crate::world::{Backup, Completeness, MissingWal};

/// What is in a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RestoreState {
    /// Everything is here.
    Complete,
    /// Something is missing, or nothing is here.
    Incomplete,
    /// Everything that must be here is here, but nothing proves that Barman has written its last file.
    Unproven,
    /// It can't be seen.
    Unknown,
}

impl RestoreState {
    /// In one word, for people and programs: `complete`, `incomplete`, `unproven`, `unknown`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RestoreState::Complete => "complete",
            RestoreState::Incomplete => "incomplete",
            RestoreState::Unproven => "unproven",
            RestoreState::Unknown => "unknown",
        }
    }
}

/// What [`verify`] has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// The data directory, as an absolute path.
    pub data_directory: String,
    /// What is in it.
    pub state: RestoreState,
    /// What was found, in one line.
    pub detail: String,
    /// The backup that was restored; `None` if there is none, or too little of it is here.
    pub backup: Option<RestoredBackup>,
    /// Its WAL.
    pub wal: RestoredWal,
    /// What an operator should know all the same.
    pub warnings: Vec<Problem>,
}

/// A backup, as the data directory names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RestoredBackup {
    /// `None` if the data directory does not say.
    pub id: Option<String>,
    /// The Barman server that it belonged to when it was taken.
    pub server: String,
    /// When it began, as Barman writes it: `2026-11-24 16:37:15.488941+00:00`.
    pub begin_time: String,
}

/// WAL files, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[non_exhaustive]
pub struct RestoredWal {
    /// The newest one.
    pub last: Option<String>,
    /// The last one that the backup needs, if some are missing and Barman knew it.
    pub needed: Option<String>,
    /// The last one that is there without a gap, if some are missing.
    pub there: Option<String>,
}

/// Reads whether the data directory holds a complete restore. Needs only the option `data-directory`, and sends
/// nothing. Ends with [`Code::RecoveryFailed`] unless the restore is complete.
#[must_use]
pub fn verify(config: &Config) -> Answer<Option<Verified>> {
    let mut answer = answer(|| Ok(Some(looked(&absolute(config.paths(Command::Verify)?)?.data_directory))));
    if let Some(verified) = answer.found.as_ref().filter(|found| found.state != RestoreState::Complete) {
        answer.message.clone_from(&verified.detail);
        answer.code = Code::RecoveryFailed;
    }
    answer
}

pub(crate) fn looked(path: &str) -> Verified {
    let directory = DataDirectory::new(Path::new(path));
    let name = printable(path);
    let mut verified = described(&name, directory.examine());
    let writing = match directory.strangers() {
        Ok(0) => return verified,
        Ok(count) => Problem::new(
            format!("something is writing into {name} ({})", receivers(count)),
            "ask again when it has ended",
        ),
        Err(why) => {
            Problem::without_hint(format!("it is unknown whether something is writing into {name}: {why}"))
        }
    };
    verified.warnings.push(writing);
    verified
}

fn described(name: &str, found: Completeness) -> Verified {
    let (state, detail, backup, missing) = match found {
        Completeness::Complete(backup) => {
            let detail = format!("{name} holds a complete restore of {}", in_words(&backup));
            (RestoreState::Complete, detail, Some(backup), None)
        }
        Completeness::NoProof(backup, why) => {
            let detail =
                format!("{name} holds a restore of {}, which may be complete: {why}", in_words(&backup));
            (RestoreState::Unproven, detail, Some(backup), None)
        }
        Completeness::WalMissing(backup, missing) => {
            let detail = format!(
                "{name} holds a restore of {}, but WAL is missing: {}",
                in_words(&backup),
                lacks(&missing)
            );
            (RestoreState::Incomplete, detail, Some(backup), Some(missing))
        }
        Completeness::Incomplete(why) | Completeness::Unchanged(why) => {
            (RestoreState::Incomplete, format!("{name} holds no complete restore: {why}"), None, None)
        }
        Completeness::Unknown(why) => {
            (RestoreState::Unknown, format!("{name} can't be seen: {why}"), None, None)
        }
    };
    let missing = missing.unwrap_or(MissingWal { needed: None, there: None });
    let last = backup.as_ref().and_then(|backup| backup.last_wal.clone());
    Verified {
        data_directory: name.into(),
        state,
        detail: printable(&detail),
        wal: RestoredWal { last, needed: missing.needed, there: missing.there },
        warnings: backup.as_ref().map(|backup| backup.warnings.clone()).unwrap_or_default(),
        backup: backup.map(|Backup { id, server, begin_time, .. }| RestoredBackup { id, server, begin_time }),
    }
}

fn in_words(backup: &Backup) -> String {
    let id = backup.id.as_ref().map_or("a backup".into(), |id| format!("backup {id}"));
    format!("{id} of server {}, taken {}", backup.server, backup.begin_time)
}

/// Which WAL is missing, and what is here of it.
fn lacks(missing: &MissingWal) -> String {
    let there = missing
        .there
        .as_deref()
        .map_or("none of it is here".into(), |there| format!("WAL up to {there} is here"));
    match &missing.needed {
        Some(needed) => format!("the backup needs WAL up to {needed}; {there}"),
        None => format!("Barman did not know yet which WAL the backup needs; {there}"),
    }
}
