//! Finds out what became of operations that nobody followed: those that a lost create may have started, and
//! those of an earlier run that was killed or gave up. Waits for the end of all of them, then judges by the
//! data directory.

use std::collections::{HashMap, HashSet, VecDeque};

use super::watch::Watch;
use super::{Machine, Phase, Seen, Step};
use crate::api::{Request, Status};
use crate::event::Level;
use crate::outcome::{Code, OperationState};
use crate::recovery::backoff::{ID_RESOLUTION, SHORTEST, Told, poll_wait};
use crate::text::first_few;
use crate::world::fs::directory::{Content, Look};
use crate::world::journal::{Ended, Record};

enum Origin {
    /// The reply to our create was lost; why.
    Lost(String),
    LeftOver(Box<Record>),
}

enum Doing {
    /// Goes on with what is open.
    Round,
    List,
    Poll(String),
    /// A 404: does the list have this operation?
    Confirm(String, String),
    Look,
}

pub(super) struct Settle {
    origin: Origin,
    doing: Doing,
    /// Candidates that may still be in progress.
    open: VecDeque<String>,
    /// How many of them were asked about since the last pause.
    asked: usize,
    ended: Vec<(String, Option<Status>)>,
    /// Everything that a look at the list has shown.
    seen: HashSet<String>,
    /// How often the API did not know an operation.
    unknown: HashMap<String, u32>,
    /// Looks at the list since something new was in it, that one included.
    looks: u32,
}

impl Settle {
    fn new(origin: Origin) -> Settle {
        Settle {
            origin,
            doing: Doing::List,
            open: VecDeque::new(),
            asked: 0,
            ended: Vec::new(),
            seen: HashSet::new(),
            unknown: HashMap::new(),
            looks: 0,
        }
    }

    pub(super) fn lost(why: String) -> Settle {
        Settle::new(Origin::Lost(why))
    }

    fn close(&mut self, id: &str, status: Option<Status>) {
        self.open.retain(|open| open != id);
        self.asked = self.asked.saturating_sub(1);
        self.ended.push((id.into(), status));
    }

    /// What became of the candidates, as all have ended.
    fn fate(&self) -> OperationState {
        if self.ended.is_empty() {
            OperationState::NotCreated
        } else if self.ended.iter().any(|(_, status)| *status == Some(Status::Done)) {
            OperationState::Done
        } else {
            OperationState::Failed
        }
    }

    pub(super) fn has_candidates(&self) -> bool {
        !(self.open.is_empty() && self.ended.is_empty())
    }

    /// Whether one of them may still be in progress.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// What to call them in a message.
    pub(super) fn named(&self) -> String {
        format!("one of the operations {}", self.names())
    }

    /// The IDs of all candidates, for messages.
    pub(super) fn names(&self) -> String {
        let ended = self.ended.iter().map(|(id, _)| id.as_str());
        first_few(ended.chain(self.open.iter().map(String::as_str)))
    }
}

impl Machine {
    /// A state file was left over: its operation comes first.
    pub(super) fn left_over(&mut self, record: Record) -> Step {
        (self.identity, self.removed) = (record.identity, record.removed);
        self.known.clone_from(&record.run.known);
        self.operation_id.clone_from(&record.operation_id);
        self.began = self.now;
        self.watch = Watch::new(self.now);
        let operation = match &record.operation_id {
            Some(id) => format!("its operation {id}"),
            None => "an operation that it may have started".into(),
        };
        let pid = record.run.pid;
        self.log(
            Level::Warning,
            format!("an earlier run (pid {pid}) for this data directory was killed or gave up: first waiting for {operation} to end"),
        );
        let ended = record.ended;
        let id = record.operation_id.clone();
        let mut settle = Settle::new(Origin::LeftOver(Box::new(record)));
        match (id, ended) {
            (Some(id), Some(ended)) => {
                let status = if ended == Ended::Done { Status::Done } else { Status::Failed };
                settle.ended.push((id, Some(status)));
            }
            (Some(id), None) => {
                self.set_state(OperationState::InProgress);
                settle.open.push_back(id);
            }
            (None, _) => self.set_state(OperationState::MaybeCreated),
        }
        self.settle(settle)
    }

    pub(super) fn settle(&mut self, mut settle: Settle) -> Step {
        if settle.asked >= settle.open.len() && settle.asked > 0 {
            settle.asked = 0;
            settle.doing = Doing::Round;
            let wait = poll_wait(self.now.saturating_sub(self.began), self.settings.loop_wait);
            return self.pause(wait, Phase::Settling(settle));
        }
        if let Some(id) = settle.open.pop_front() {
            settle.open.push_back(id.clone());
            settle.asked += 1;
            settle.doing = Doing::Poll(id.clone());
            return self.send(Request::Poll(id), Phase::Settling(settle));
        }
        let by_id = matches!(&settle.origin, Origin::LeftOver(record) if record.operation_id.is_some());
        if by_id || settle.looks >= 2 {
            settle.doing = Doing::Look;
            return self.look(Phase::Settling(settle));
        }
        settle.doing = Doing::List;
        if settle.looks == 1 {
            // A create that the API was still busy with shows up a little later.
            let wait = self.settings.retry_wait.max(ID_RESOLUTION);
            return self.wait(wait, Phase::Settling(settle));
        }
        self.send(Request::List, Phase::Settling(settle))
    }

    pub(super) fn settling(&mut self, mut settle: Settle, seen: Seen) -> Step {
        if let Seen::Waited = seen {
            // Either the pause before the second look at the list is over, or that after a round of polls.
            return match settle.doing {
                Doing::List => self.send(Request::List, Phase::Settling(settle)),
                _ => self.settle(settle),
            };
        }
        let retry_after = Self::retry_after(&seen);
        match (std::mem::replace(&mut settle.doing, Doing::Round), seen) {
            (Doing::Round, _) => self.settle(settle),
            (Doing::List, seen) => match Self::recoveries(&seen) {
                Ok(list) => {
                    self.good_answer();
                    settle.looks += 1;
                    self.candidates(settle, list)
                }
                Err(why) => {
                    settle.doing = Doing::List;
                    self.miss(&format!("list of operations: {why}"), retry_after, Phase::Settling(settle))
                }
            },
            (Doing::Poll(id), seen) => self.candidate(settle, id, seen),
            (Doing::Confirm(id, why), seen) => self.confirm(settle, &id, &why, &seen),
            (Doing::Look, Seen::Looked(look)) => self.judge(settle, &look),
            (Doing::Look, _) => {
                settle.doing = Doing::Look;
                self.look(Phase::Settling(settle))
            }
        }
    }

    /// Recoveries that were not there before the create. Whose they are, nothing tells.
    fn candidates(&mut self, mut settle: Settle, list: Vec<String>) -> Step {
        for id in list {
            let old = self.known.as_ref().is_some_and(|known| known.contains(&id));
            if !old && settle.seen.insert(id.clone()) {
                self.log(self.about_candidates(), format!("operation {id} is new: it may be the one"));
                settle.open.push_back(id);
                settle.looks = 1; // its end is followed by another look
            }
        }
        self.settle(settle)
    }

    /// When the list before the create failed, every operation ever is a candidate: nobody wants to read that.
    fn about_candidates(&self) -> Level {
        if self.known.is_some() { Level::Info } else { Level::Debug }
    }

    fn candidate(&mut self, mut settle: Settle, id: String, seen: Seen) -> Step {
        let retry_after = Self::retry_after(&seen);
        let answer = match seen {
            Seen::Reply(reply) => match reply.operation() {
                Err(why) if reply.status == 404 => {
                    settle.doing = Doing::Confirm(id, why);
                    return self.send(Request::List, Phase::Settling(settle));
                }
                answer => answer,
            },
            Seen::Unanswered(none) => Err(none.text),
            _ => return self.settle(settle),
        };
        match answer {
            Ok(Status::InProgress) => {
                self.good_answer();
                settle.unknown.remove(&id);
                self.tell_progress(&id);
                self.settle(settle)
            }
            Ok(ended) => {
                self.good_answer();
                let word = if ended == Status::Done { "done" } else { "failed" };
                self.log(self.about_candidates(), format!("operation {id} has ended: {word}"));
                settle.close(&id, Some(ended));
                self.settle(settle)
            }
            Err(why) => {
                settle.asked = 0;
                self.miss(&why, retry_after, Phase::Settling(settle))
            }
        }
    }

    /// A 404 for an operation: unknown only when the list doesn't have it either, and twice.
    fn confirm(&mut self, mut settle: Settle, id: &str, why: &str, seen: &Seen) -> Step {
        let list = match Self::recoveries(seen) {
            Ok(list) if !list.iter().any(|other| other == id) => list,
            _ => {
                settle.unknown.remove(id);
                settle.asked = 0;
                return self.miss(why, Self::retry_after(seen), Phase::Settling(settle));
            }
        };
        self.good_answer();
        let times = settle.unknown.entry(id.into()).or_default();
        *times += 1;
        if *times < 2 {
            settle.asked = 0;
            let wait = self.settings.retry_wait.max(SHORTEST);
            return self.pause(wait, Phase::Settling(settle));
        }
        self.log(Level::Info, format!("operation {id} is unknown to the API"));
        settle.close(id, None);
        if self.known.is_some() {
            // Under which ID does it run, then?
            return self.candidates(settle, list);
        }
        self.settle(settle)
    }

    fn judge(&mut self, settle: Settle, look: &Look) -> Step {
        let _ = self.note(look); // the record ends here
        if look.postmaster.is_some() {
            self.set_state(settle.fate());
        }
        if let Some(busy) = self.postgres_runs(look) {
            return busy;
        }
        match &settle.origin {
            Origin::LeftOver(record) => self.judge_left_over(record, &settle, look),
            Origin::Lost(why) => {
                let why = why.clone();
                self.judge_lost(settle, look, &why)
            }
        }
    }

    fn judge_lost(&mut self, settle: Settle, look: &Look, why: &str) -> Step {
        let names = settle.names();
        let directory = self.settings.data_directory.clone();
        if settle.ended.is_empty() && (look.content != Content::Something || self.untouched(look)) {
            return self.create_anew(&format!("{why}; no operation was created"), settle.seen);
        }
        let done: Vec<&String> = settle
            .ended
            .iter()
            .filter(|(_, status)| *status == Some(Status::Done))
            .map(|(id, _)| id)
            .collect();
        if look.content == Content::Unseen {
            let message = format!(
                "the reply to the create was lost ({why}), and {directory} can't be seen from here to tell whether one of the operations that were new then restored it: {names}"
            );
            return self.finish(
                Code::HttpError,
                message,
                "see on the Barman host which operation was for this node",
            );
        }
        if self.removed {
            self.set_state(OperationState::Failed);
            return self.data_gone(&names);
        }
        match look.content {
            Content::Something if self.restored(look) && !done.is_empty() => {
                if let [id] = done.as_slice() {
                    self.operation_id = Some((*id).clone());
                }
                self.set_state(OperationState::Done);
                self.log(
                    Level::Info,
                    format!("{directory} holds a data directory that is new: restored by {names}"),
                );
                self.done()
            }
            Content::Something => {
                self.set_state(OperationState::Failed);
                let message = format!(
                    "Recovery operation failed. The reply to the create was lost ({why}); what has ended since ({names}) left only pieces in {directory}, which Barman refuses to restore into"
                );
                self.finish(Code::RecoveryFailed, message, "empty the data directory and restore again")
            }
            _ => self.create_anew(
                &format!("{why}; what was created since ({names}) has ended elsewhere"),
                settle.seen,
            ),
        }
    }

    /// Whether the data directory is as it was before the create.
    fn untouched(&self, look: &Look) -> bool {
        self.before.as_ref().is_some_and(|before| before.content == look.content)
    }

    fn judge_left_over(&mut self, record: &Record, settle: &Settle, look: &Look) -> Step {
        let directory = self.settings.data_directory.clone();
        let names = settle.names();
        // A directory that was seen then and can't be now may hold anything.
        let out_of_sight = look.content == Content::Unseen && record.identity.is_some();
        if look.content != Content::Something && !out_of_sight {
            self.log(
                Level::Info,
                "nothing of the earlier run is in progress or in the data directory: starting anew".into(),
            );
            self.operation_id = None;
            self.set_state(OperationState::NotCreated);
            (self.identity, self.removed) = (None, false);
            self.told_progress = Told::default();
            return self.ask_status(1);
        }
        if self.completed_by(record, settle, look) {
            self.set_state(OperationState::Done);
            self.log(
                Level::Info,
                format!("{directory} holds what operation {names} of the earlier run has restored"),
            );
            return self.done();
        }
        self.set_state(OperationState::Failed);
        let message = format!(
            "Recovery operation failed. The rest of an earlier restore (operation {names}) lies in {directory}, and nothing tells that it is the whole of backup {}",
            self.settings.backup_id
        );
        self.finish(
            Code::RecoveryFailed,
            message,
            "empty the data directory and restore again (Patroni does so by itself)",
        )
    }

    /// Whether the earlier run's operation restored the backup that is asked for now, and nobody has touched
    /// the directory that it wrote into.
    fn completed_by(&self, record: &Record, settle: &Settle, look: &Look) -> bool {
        let done = |(id, status): &(String, Option<Status>)| {
            Some(id) == record.operation_id.as_ref() && *status == Some(Status::Done)
        };
        // Noted before it had a mark, a directory that was emptied in place would be the same.
        let same = matches!((&record.identity, &look.identity), (Some(then), Some(now))
            if then.became(now) && (then.is_marked() || look.removable));
        let wanted = record.run.backup_id == self.settings.backup_id;
        wanted && settle.ended.iter().any(done) && same && !self.removed && look.complete()
    }
}
