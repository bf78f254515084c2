//! Follows an operation whose ID is known to its end, and judges what it left.

use std::collections::HashSet;
use std::time::Duration;

use super::watch::Watch;
use super::{Machine, Phase, Seen, Step};
use crate::api::{Request, Status};
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState};
use crate::recovery::backoff::poll_wait;
use crate::world::fs::directory::{Content, Look};
use crate::world::journal::Line;

/// How often the data directory is looked at once the operation has failed, and for how many looks nothing new
/// has to have come.
const EBB: Duration = Duration::from_secs(1);
const QUIET: u32 = 3;

/// What still comes into the data directory of an operation that has failed. Two nodes' creates that the API
/// gave one ID are two restores into one directory, of which one makes the other fail, and goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ebb {
    /// What was there at the last look.
    bytes: Option<u64>,
    /// For how many looks nothing new has come, and whether the contrary was told.
    quiet: u32,
    told: bool,
}

impl Machine {
    /// `--operation-id`: instead of a create. `lines` are for the state file.
    pub(super) fn follow(&mut self, lines: Vec<Line>) -> Step {
        self.operation_id.clone_from(&self.settings.operation_id);
        self.set_state(OperationState::InProgress);
        self.began = self.now;
        self.watch = Watch::new(self.now);
        self.save(lines, Phase::SaveOperation)
    }

    pub(super) fn polling(&mut self, seen: Seen) -> Step {
        let id = self.operation_id.clone().unwrap_or_default();
        let retry_after = Self::retry_after(&seen);
        let answer = match seen {
            Seen::Reply(reply) => match reply.operation() {
                Err(why) if reply.status == 404 && !self.answered => {
                    return self.send(Request::List, Phase::PollUnknown { why, retry_after });
                }
                answer => answer,
            },
            Seen::Unanswered(none) => Err(none.text),
            _ => return self.send(Request::Poll(id), Phase::Polling),
        };
        match answer {
            Ok(Status::InProgress) => {
                self.good_answer();
                self.tell_progress(&id);
                let wait = poll_wait(self.now.saturating_sub(self.began), self.settings.loop_wait);
                self.pause(wait, Phase::Polling)
            }
            Ok(Status::Done) => {
                self.good_answer();
                self.set_state(OperationState::Done);
                self.look(Phase::DoneLook)
            }
            Ok(Status::Failed) => {
                self.good_answer();
                self.set_state(OperationState::Failed);
                self.look(Phase::Ebbing(Ebb::default()))
            }
            Err(why) => self.miss(&why, retry_after, Phase::Polling),
        }
    }

    /// 404 is also the answer to any trouble with an operation that exists, so it must be missing from the
    /// list too, and twice.
    pub(super) fn poll_unknown(&mut self, why: &str, retry_after: Option<Duration>, seen: &Seen) -> Step {
        let id = self.operation_id.clone().unwrap_or_default();
        let list = match Self::recoveries(seen) {
            Ok(list) if !list.contains(&id) => list,
            _ => {
                self.unknown = 0;
                return self.miss(why, retry_after, Phase::Polling);
            }
        };
        self.unknown += 1;
        if self.unknown < 2 {
            return self.miss(why, retry_after, Phase::Polling);
        }
        if self.settings.operation_id.is_none() {
            let new = |known: &HashSet<String>| list.iter().any(|id| !known.contains(id));
            // The API named an operation that it doesn't have, and has one that it didn't name.
            if self.known.as_ref().is_some_and(new) {
                self.operation_id = None;
                return self.lost(format!("it named operation {id}, which the API does not know"));
            }
            return self.miss(why, retry_after, Phase::Polling);
        }
        self.set_state(OperationState::NotCreated);
        self.claimed &= !self.inherited; // what the earlier run started may be running
        let (server, url) = (&self.settings.barman_server, &self.settings.api_url);
        let message =
            format!("operation {id} is unknown to the API at {url} as a recovery of server {server}: {why}");
        self.finish(Code::HttpError, message, "check --operation-id and --barman-server")
    }

    /// Whoever is told of a failure empties the directory and lets something else write into it.
    pub(super) fn ebbing(&mut self, mut ebb: Ebb, seen: Seen) -> Step {
        let Seen::Looked(look) = seen else { return self.look(Phase::Ebbing(ebb)) };
        let Some(arrived) = look.arrived else { return self.failed() };
        self.watch.see(arrived, self.now);
        match ebb.bytes.replace(arrived.bytes) {
            None => {}
            Some(before) if before == arrived.bytes => ebb.quiet += 1,
            Some(_) => {
                if !std::mem::replace(&mut ebb.told, true) {
                    let id = self.operation_id.clone().unwrap_or_default();
                    let directory = &self.settings.data_directory;
                    let line = format!(
                        "operation {id} has failed, and something still writes into {directory} (another restore? Two nodes may have got one operation): waiting for its end"
                    );
                    self.log(Level::Warning, line);
                }
                ebb.quiet = 0;
            }
        }
        if ebb.quiet < QUIET { self.wait(EBB, Phase::Ebbing(ebb)) } else { self.failed() }
    }

    pub(super) fn failed(&mut self) -> Step {
        let id = self.operation_id.clone().unwrap_or_default();
        let server = &self.settings.barman_server;
        let hint = format!(
            "the API tells no reason; Barman's own output is in <barman_home>/{server}/output/{id}.json on the Barman host"
        );
        self.finish(Code::RecoveryFailed, "Recovery operation failed.", hint)
    }

    pub(super) fn done_look(&mut self, seen: Seen) -> Step {
        let Seen::Looked(look) = seen else { return self.look(Phase::DoneLook) };
        let _ = self.note(&look); // the record ends here
        if let Some(arrived) = look.arrived {
            self.watch.see(arrived, self.now);
            self.events.extend(self.watch.progress(self.now).map(Event::Progress));
        }
        let id = self.operation_id.clone().unwrap_or_default();
        let directory = self.settings.data_directory.clone();
        if self.removed {
            return self.data_gone(&id);
        }
        let missing = match look.content {
            Content::Unseen if self.settings.verify => {
                format!("{directory} can't be seen from here to verify it")
            }
            Content::Unseen => return self.done(),
            _ if look.complete() => return self.done(),
            Content::Missing => format!("{directory} does not exist"),
            Content::Empty => format!("{directory} is empty"),
            Content::Something => format!("{directory} has no PG_VERSION or no global/pg_control"),
        };
        let message = format!("Barman says that operation {id} is done, but {missing}");
        let hint = "was it restored to another host (--ssh-command), or did two nodes get one operation? Barman's own output names the destination";
        if self.settings.verify {
            return self.finish(Code::RecoveryFailed, format!("Recovery operation failed. {message}"), hint);
        }
        self.log(
            Level::Warning,
            format!("{message}: PostgreSQL will not start from it; --verify makes this a failure ({hint})"),
        );
        self.done()
    }

    /// Whatever Barman says of an operation whose directory was removed under it.
    pub(super) fn data_gone(&mut self, id: &str) -> Step {
        let directory = &self.settings.data_directory;
        let message = format!(
            "Recovery operation failed. The data directory {directory} was removed or emptied while operation {id} wrote into it"
        );
        self.finish(Code::RecoveryFailed, message, "empty the data directory and restore again")
    }

    pub(super) fn done(&mut self) -> Step {
        self.log(Level::Info, "Recovery operation finished successfully.".into());
        self.finish(Code::RecoveryDone, "", "")
    }

    /// Whether the evidence of the data directory shows a restore since the create.
    pub(super) fn restored(&self, look: &Look) -> bool {
        self.before.as_ref().is_some_and(|before| look.restored_since(before))
    }
}
