//! The verdict: how the operation ended, as far as the API says, against what the data directory proves. Pure.

use crate::config::Restore;
use crate::config::value::is_backup_id;
use crate::error::Error;
use crate::outcome::{Code, OperationState, Problem};
use crate::world::{Backup, Completeness, MissingWal};

use super::history::Use;

/// How an operation has ended, as far as the API says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    Failed,
    /// It is not known: the API is gone, does not know the operation, or has several that may be it. The text says
    /// which.
    Unclear(String),
    /// Nothing has happened for the stall timeout.
    Stalled(String),
    /// Two restores use one lease.
    SecondBarman,
    /// Nothing was started.
    Nothing(Error),
}

impl Ended {
    /// The state of the operation after that. If the API has not said how it ended, the state stays as it
    /// `was`.
    pub(crate) fn state(&self, was: OperationState) -> OperationState {
        match self {
            Ended::Done => OperationState::Done,
            Ended::Failed => OperationState::Failed,
            Ended::Unclear(_) | Ended::Stalled(_) | Ended::SecondBarman | Ended::Nothing(_) => was,
        }
    }
}

/// The consequence of a restore that has ended and can't write any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The data is here, with what an operator should know all the same.
    Restored(Backup, Vec<Problem>),
    /// Barman says that it failed. The API gives no reason, so that a hint comes from what this node shows.
    FailedByBarman,
    /// The data is not here, for this reason.
    Failed(String),
    /// Nothing of it is here and nothing of it can come: another create may follow.
    Again(Error),
}

/// What is here of the restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    Complete(Backup, Vec<Problem>),
    /// Everything that must be here; the text says which proof of completeness is missing.
    NoProof(Backup, String),
    /// Barman wrote, and something that must be here is not, or is not what was asked for.
    Partial(String),
    /// Barman wrote nothing.
    Nothing(String),
    /// It can't be seen.
    Unseen(String),
}

/// The table 'The end' in docs/restore.md, row for row: how the operation ended, and what is here.
pub(crate) fn verdict(ended: Ended, data: Data, directory: &str) -> Verdict {
    match (ended, data) {
        (Ended::Nothing(failure), _) => Verdict::Again(failure),
        (Ended::SecondBarman, _) => Verdict::Again(again("Barman began two restores for one request")),

        (Ended::Failed, _) => Verdict::FailedByBarman,

        (Ended::Done, Data::Complete(backup, warnings)) => Verdict::Restored(backup, warnings),
        (Ended::Done, Data::NoProof(backup, missing)) => {
            Verdict::Restored(backup, vec![unproven(directory, &missing)])
        }
        (Ended::Done, Data::Nothing(why)) => Verdict::Again(again(&format!(
            "Barman says that the restore is done, but nothing has arrived on this node: {why}"
        ))),
        (Ended::Done, Data::Partial(why)) => {
            Verdict::Failed(format!("Barman says that the restore is done, but {directory} {why}"))
        }

        (Ended::Unclear(what) | Ended::Stalled(what), Data::Complete(backup, mut warnings)) => {
            warnings.push(Problem::without_hint(format!("{what}: {directory} holds the complete restore")));
            Verdict::Restored(backup, warnings)
        }
        (Ended::Unclear(what), Data::Nothing(why)) => {
            Verdict::Again(Error::new(Code::HttpError, format!("{what}; {why}")))
        }
        (Ended::Unclear(what) | Ended::Stalled(what), Data::NoProof(_, why)) => {
            Verdict::Failed(format!("{what}; nothing proves that {directory} is complete: {why}"))
        }
        (Ended::Unclear(what) | Ended::Stalled(what), Data::Partial(why)) => {
            Verdict::Failed(format!("{what}; {directory} {why}"))
        }
        (Ended::Stalled(what), Data::Nothing(_)) => Verdict::Failed(what),

        (Ended::Done | Ended::Unclear(_) | Ended::Stalled(_), Data::Unseen(why)) => Verdict::Failed(format!(
            "{directory} can't be seen: {why}; check that Barman's login is the user that runs this program"
        )),
    }
}

fn again(why: &str) -> Error {
    Error::new(Code::RecoveryFailed, why)
}

fn unproven(directory: &str, missing: &str) -> Problem {
    Problem::new(
        format!("Barman says that {directory} is complete, but its files do not prove it: {missing}"),
        "with Barman 3.5 or later and PostgreSQL 12 or later, the files prove it; with older versions, check the restored data once by hand",
    )
}

/// What is here, by the files of the data directory and by what Barman did through the lease.
pub(crate) fn data(found: Completeness, lease_use: Use, restore: &Restore) -> Data {
    match (lease_use, found) {
        (Use::Nothing, _) => Data::Nothing("Barman never ran a command on this node".into()),
        (Use::Reached, _) => Data::Nothing("Barman ran commands on this node, but wrote nothing".into()),
        (_, Completeness::Complete(backup)) => complete(backup, Vec::new(), restore),
        (_, Completeness::WalMissing(backup, wal)) if restore.replica => {
            let warning = Problem::new(
                missing_wal(&wal),
                "this replica streams the rest, if the primary or an archive still has it",
            );
            complete(backup, vec![warning], restore)
        }
        (_, Completeness::WalMissing(_, wal)) => {
            Data::Partial(format!("is not complete: {}", missing_wal(&wal)))
        }
        (_, Completeness::NoProof(backup, missing)) => match other_backup(&backup, restore) {
            Some(other) => Data::Partial(other),
            None => Data::NoProof(backup, missing),
        },
        (Use::Unknown, Completeness::Unchanged(what)) => Data::Nothing(what),
        (_, Completeness::Incomplete(what) | Completeness::Unchanged(what)) => {
            Data::Partial(format!("is not complete: {what}"))
        }
        (_, Completeness::Unknown(why)) => Data::Unseen(why),
    }
}

fn complete(backup: Backup, mut warnings: Vec<Problem>, restore: &Restore) -> Data {
    if let Some(other) = other_backup(&backup, restore) {
        return Data::Partial(other);
    }
    warnings.extend(backup.warnings.iter().cloned());
    Data::Complete(backup, warnings)
}

fn missing_wal(wal: &MissingWal) -> String {
    let there = wal.there.as_ref().map_or("none of it".into(), |name| format!("WAL up to {name}"));
    match &wal.needed {
        Some(needed) if wal.there.as_ref() == Some(needed) => {
            format!(
                "Barman was still waiting for WAL of the backup when it copied the backup; {there} is here"
            )
        }
        Some(needed) => {
            format!(
                "the backup needs WAL up to {needed} and has {there}: Barman has not archived the rest yet"
            )
        }
        None => format!("the backup needs WAL that Barman does not have yet, and has {there}"),
    }
}

/// The backup that is here, if it is known and is not the one asked for. An alias may stand for any ID.
fn other_backup(backup: &Backup, restore: &Restore) -> Option<String> {
    let id = backup.id.as_ref()?;
    (is_backup_id(&restore.backup_id) && *id != restore.backup_id)
        .then(|| format!("holds backup {id}, not {}", restore.backup_id))
}
