//! The final verdict: compares how an operation ended with what the data directory proves. Pure.

use crate::config::Restore;
use crate::outcome::{Code, OperationState, Problem};
use crate::world::snapshot::{Content, Mark, Snapshot};

use super::evidence::Evidence;
use super::follow::{Ended, Fate};

/// How this run knows about the operations that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The reply to the create named it, or the host did (`--operation-id`).
    Named,
    /// Unknown whose they are: the reply to the create was lost.
    InDoubt { timed_out: bool },
    /// An earlier run started it.
    Earlier,
}

/// The operations that have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operations {
    pub(super) origin: Origin,
    pub(crate) ended: Vec<Ended>,
}

impl Operations {
    /// Whether Barman says that one of them has failed.
    pub(super) fn any_failed(&self) -> bool {
        self.ended.iter().any(|ended| ended.fate == Fate::Failed)
    }

    pub(super) fn names(&self) -> String {
        crate::text::first_few(self.ended.iter().map(|ended| ended.id.as_str()))
    }
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The data is here, or is assumed to be, for the reason in the warning.
    Restored {
        mark: Option<Mark>,
        warning: Option<Problem>,
    },
    /// None of it is here and none of it is running, for the reason given: another create may follow.
    CreateAgain(String),
    Failed(Code, Problem),
}

/// New data with an old mark.
const OLD_MARK: &str = "holds new data, but its .barman-recover.info is from an earlier restore, so that nothing shows whether it is complete";

/// The facts to judge.
pub(super) struct Case<'a> {
    pub(super) operations: &'a Operations,
    pub(super) evidence: Evidence,
    /// The data directory now.
    pub(super) now: &'a Snapshot,
    pub(super) restore: &'a Restore,
    pub(super) server: &'a str,
    /// The hint to give if Barman says that it has failed.
    pub(super) hint_of_failure: String,
}

impl Case<'_> {
    pub(super) fn verdict(self) -> Verdict {
        let origin = self.operations.origin;
        if origin == Origin::Named && self.operations.any_failed() {
            let problem = Problem::new("Recovery operation failed.", self.hint_of_failure);
            return Verdict::Failed(Code::RecoveryFailed, problem);
        }
        match (&self.evidence, origin) {
            (Evidence::Complete(mark), _) | (Evidence::OldMark(mark), Origin::Named) => {
                Verdict::Restored { mark: Some(mark.clone()), warning: None }
            }
            (_, Origin::InDoubt { timed_out }) if self.operations.ended.is_empty() => none_created(timed_out),
            (Evidence::Other(what), _) => self.other(what),
            (Evidence::OldMark(_), _) => self.pieces(OLD_MARK),
            (Evidence::NewFiles, _) => self.new_files(),
            (Evidence::Nothing(what), _) => self.nothing(what),
            (Evidence::Unseen, _) => self.unseen(),
        }
    }

    /// The final state of the operations.
    pub(super) fn state(&self) -> OperationState {
        let states = || self.operations.ended.iter().map(|ended| ended.fate.state());
        [OperationState::Done, OperationState::Failed]
            .into_iter()
            .find(|state| states().any(|other| other == *state))
            .unwrap_or(OperationState::NotCreated)
    }

    fn other(&self, what: &str) -> Verdict {
        let directory = &self.restore.data_directory;
        match self.operations.origin {
            Origin::Named => failed(
                &format!(
                    "{directory} holds {what}, not backup {} of server {}",
                    self.restore.backup_id, self.server
                ),
                "check --backup-id and --barman-server; empty the data directory and restore again",
            ),
            _ => self.pieces(&format!("holds {what}")),
        }
    }

    fn new_files(&self) -> Verdict {
        let directory = &self.restore.data_directory;
        match self.operations.origin {
            Origin::Named => warned(
                format!(
                    "{directory} holds new data, but not the files that Barman writes last: nothing shows whether it is complete"
                ),
                "Barman 3.14 to 3.19 write them; with a different version, check the restored data once by hand",
            ),
            Origin::InDoubt { .. } => {
                self.pieces("holds new data, but not the files that Barman writes last")
            }
            Origin::Earlier => {
                self.pieces("holds data of an earlier restore, but not the files that Barman writes last")
            }
        }
    }

    fn nothing(&self, what: &str) -> Verdict {
        let (directory, names) = (&self.restore.data_directory, self.operations.names());
        let says = format!("Barman says that operation {names} is done, but");
        match self.operations.origin {
            Origin::Named if self.restore.verify => failed(
                &format!("{says} the data is not in {directory}: {what}"),
                "either it was restored to a different host (check --ssh-command), or two nodes were given the same operation; Barman's own output names the destination. --no-verify accepts a restore to a different host",
            ),
            Origin::Named => {
                warned(format!("{says} the data is not in {directory}: {what} (--no-verify)"), "")
            }
            Origin::InDoubt { .. } if self.can_create() => Verdict::CreateAgain(format!(
                "the operations that were created since then ({names}) were for other nodes"
            )),
            Origin::Earlier if self.can_create() => {
                Verdict::CreateAgain("the earlier run left no data and nothing in progress".into())
            }
            Origin::InDoubt { .. } => self.pieces(&format!("does not hold a complete restore: {what}")),
            Origin::Earlier => self.pieces(&format!("holds the remains of an earlier restore: {what}")),
        }
    }

    fn unseen(&self) -> Verdict {
        let (directory, names) = (&self.restore.data_directory, self.operations.names());
        match self.operations.origin {
            Origin::Named => {
                warned(format!("{directory} can't be seen from here: its data was not verified"), "")
            }
            Origin::InDoubt { .. } => http_error(
                &format!(
                    "the reply to the create request was lost, and {directory} can't be seen from here: nothing shows which of the new operations was for this node: {names}"
                ),
                "find out on the Barman host which of them restored to this node",
            ),
            Origin::Earlier if self.restore.verify => http_error(
                &format!(
                    "{directory} can't be seen from here, so nothing shows whether the earlier run ({names}) restored it"
                ),
                "make sure that the data directory is empty, and restore again",
            ),
            Origin::Earlier => Verdict::CreateAgain("the earlier run's operation has ended".into()),
        }
    }

    /// Whether Barman would accept the directory.
    fn can_create(&self) -> bool {
        matches!(self.now.content, Content::Missing | Content::Empty)
    }

    fn pieces(&self, holds: &str) -> Verdict {
        let directory = &self.restore.data_directory;
        failed(
            &format!("{directory} {holds} (operations: {})", self.operations.names()),
            "empty the data directory and restore again (Patroni does so by itself)",
        )
    }
}

fn none_created(timed_out: bool) -> Verdict {
    if !timed_out {
        return Verdict::CreateAgain("no operation was created".into());
    }
    http_error(
        "the API did not answer the create request in time, and no new operation has appeared since then",
        "see the log of pg-backup-api on the Barman host; --create-timeout sets how long to wait for the answer",
    )
}

fn http_error(why: &str, hint: &str) -> Verdict {
    Verdict::Failed(Code::HttpError, Problem::new(why, hint))
}

fn failed(why: &str, hint: &str) -> Verdict {
    Verdict::Failed(Code::RecoveryFailed, Problem::new(format!("Recovery operation failed. {why}"), hint))
}

fn warned(message: String, hint: &str) -> Verdict {
    Verdict::Restored { mark: None, warning: Some(Problem::new(message, hint)) }
}
