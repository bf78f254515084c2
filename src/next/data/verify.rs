//! What a restore has left in the data directory, for people and programs: from its files alone, without the API.

use std::path::Path;

use serde::Serialize;

use crate::next::data::DataDirectory;
use crate::next::world::{Backup, Completeness, MissingWal};
use crate::outcome::Problem;
use crate::text::{printable, receivers};

/// Whether a restore is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Everything is here.
    Complete,
    /// Something is missing, or nothing is here.
    Incomplete,
    /// Everything that must be here is; only what Barman writes last can't be told from what the backup brought.
    Unproven,
    /// It can't be seen.
    Unknown,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Verified {
    pub(crate) data_directory: String,
    pub(crate) state: State,
    /// What was found, in one line.
    pub(crate) detail: String,
    /// The backup that was restored; None if it is not here as far as that it can be told.
    pub(crate) backup: Option<Restored>,
    pub(crate) wal: Wal,
    pub(crate) warnings: Vec<Problem>,
}

/// The backup, as the data directory names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Restored {
    /// None if the data directory does not say.
    pub(crate) id: Option<String>,
    pub(crate) server: String,
    pub(crate) begin_time: String,
}

/// WAL files, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub(crate) struct Wal {
    /// The newest one.
    pub(crate) last: Option<String>,
    /// The last one that the backup needs, if some are missing and Barman knew it.
    pub(crate) needed: Option<String>,
    /// The last one that is there without a gap, if some are missing.
    pub(crate) there: Option<String>,
}

/// Reads what is in a data directory.
pub(crate) fn verify(path: &Path) -> Verified {
    let directory = DataDirectory::new(path);
    let name = printable(&path.display().to_string());
    let mut verified = judge(&name, directory.examine());
    match directory.strangers() {
        Ok(0) => {}
        Ok(count) => verified.warnings.push(Problem::new(
            format!("a restore is writing into {name} ({})", receivers(count)),
            "ask again when it has ended",
        )),
        Err(why) => {
            verified
                .warnings
                .push(Problem::new(format!("whether a restore is writing can't be seen: {why}"), ""));
        }
    }
    verified
}

fn judge(name: &str, found: Completeness) -> Verified {
    let (state, detail, backup, missing) = match found {
        Completeness::Complete(backup) => {
            let detail = format!("{name} holds a complete restore of {}", in_words(&backup));
            (State::Complete, detail, Some(backup), None)
        }
        Completeness::NoProof(backup, why) => {
            let detail =
                format!("{name} holds a restore of {}, which may be complete: {why}", in_words(&backup));
            (State::Unproven, detail, Some(backup), None)
        }
        Completeness::WalMissing(backup, missing) => {
            let detail = format!(
                "{name} holds a restore of {} without all its WAL: {}",
                in_words(&backup),
                lacks(&missing)
            );
            (State::Incomplete, detail, Some(backup), Some(missing))
        }
        Completeness::Incomplete(why) | Completeness::Unchanged(why) => {
            (State::Incomplete, format!("{name} holds no complete restore: {why}"), None, None)
        }
        Completeness::Unknown(why) => (State::Unknown, format!("{name} can't be seen: {why}"), None, None),
    };
    let missing = missing.unwrap_or(MissingWal { needed: None, there: None });
    let last = backup.as_ref().and_then(|backup| backup.last_wal.clone());
    Verified {
        data_directory: name.into(),
        state,
        detail: printable(&detail),
        wal: Wal { last, needed: missing.needed, there: missing.there },
        warnings: backup.as_ref().map(|backup| backup.warnings.clone()).unwrap_or_default(),
        backup: backup.map(|Backup { id, server, begin_time, .. }| Restored { id, server, begin_time }),
    }
}

fn in_words(backup: &Backup) -> String {
    let id = backup.id.as_ref().map_or("a backup".into(), |id| format!("backup {id}"));
    format!("{id} of server {}, taken {}", backup.server, backup.begin_time)
}

/// `it needs WAL up to X and has up to Y: Barman has not archived the rest yet`
fn lacks(missing: &MissingWal) -> String {
    let there =
        missing.there.as_deref().map_or("has none of it".into(), |there| format!("has it up to {there}"));
    match &missing.needed {
        Some(needed) => format!("it needs WAL up to {needed} and {there}"),
        None => format!("Barman did not know yet which WAL it needs, and it {there}"),
    }
}
