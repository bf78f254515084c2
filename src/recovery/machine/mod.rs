//! The recovery as a state machine: what was seen goes in, what to do next comes out. No I/O, no clock, no
//! randomness of its own. The laws it keeps:
//!
//! 1. Never two restores into one data directory: a second create only when the first provably started
//!    nothing, or when everything that it may have started has ended.
//! 2. 0 means that the data is there: an operation that the API did not name in its reply to our create is
//!    believed only with the evidence of the data directory.
//! 3. Giving up is the dangerous direction: patience while a restore may be running, speed where none is.
//!
//! `start.rs` leads up to the create, `poll.rs` follows the operation, `settle.rs` finds out what became of
//! operations whose ID or fate is unknown, `end.rs` ends the run. `watch.rs` keeps the figures of what arrives.

mod end;
mod poll;
mod settle;
mod start;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashSet;
use std::time::Duration;

use crate::api::{OperationKind, Reply, Request, TransportError};
use crate::config::Settings;
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState, Outcome};
use crate::recovery::backoff::{Outage, Random, SHORTEST, Told};
use crate::text::seconds;
use crate::world::fs::directory::{Content, Identity, Look};
use crate::world::journal::{Line, Record};
use watch::Watch;

pub(crate) use end::ended_line;
pub(crate) use start::refusal_hint;

/// A pure state machine that leads to an outcome.
pub(crate) trait Course {
    /// How it can end.
    type Code;

    /// Takes what was seen at `now` (time since the start) and tells what to do. Events come before the step.
    fn advance(&mut self, seen: Seen, now: Duration) -> (Vec<Event>, Step<Self::Code>);

    /// What of the data directory's bytes the next look is to count.
    fn counting(&self) -> Counting {
        Counting::Nothing
    }
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step<C = Code> {
    /// Look at the data directory.
    Look,
    /// Lock and read the state file, without waiting for the lock.
    Claim,
    /// Append to the state file, in one write, and sync it.
    Save(Vec<Line>),
    /// Append to the state file, remove it and give up its lock.
    Forget(Vec<Line>),
    /// Send a request and wait for the reply at most this long.
    Send(Request, Duration),
    Wait(Duration),
    Finish(Outcome<C>),
}

impl<C> Step<C> {
    /// This step, ended in time; none when it would take time and none is left.
    pub(crate) fn within(self, left: Duration) -> Option<Step<C>> {
        match self {
            Step::Wait(_) | Step::Send(..) | Step::Claim if left.is_zero() => None,
            Step::Wait(wait) => Some(Step::Wait(wait.min(left))),
            Step::Send(request, timeout) => Some(Step::Send(request, timeout.min(left))),
            step => Some(step),
        }
    }
}

/// What came of the last step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Start,
    Looked(Look),
    Claimed(Claim),
    /// The error, if there was one.
    Saved(Option<String>),
    Forgotten(Option<String>),
    Reply(Reply),
    Unanswered(TransportError),
    Waited,
    /// Instead of a wait, a claim or a request: the host wants an end.
    Cancelled,
}

/// What of the data directory's bytes a look is to count: nothing, some, or at the end all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    Nothing,
    Some,
    All,
}

/// The state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Ours, locked. `record` is what an earlier run left, or, after a wait, what the other run wrote last;
    /// `garbage` why what was in it could not be read.
    Mine { record: Option<Record>, garbage: Option<String> },
    /// Another run has it.
    Held(Option<Record>),
    /// It can't be had; why.
    Unavailable(String),
}

/// While an operation runs, the data directory is looked at this often.
const LOOKS: Duration = Duration::from_secs(1);

enum Phase {
    FirstLook,
    Claiming,
    ApiStatus {
        attempt: u32,
    },
    /// `again`: whether it was asked for before.
    Baseline {
        again: bool,
    },
    LookBefore,
    SaveRun,
    Creating,
    /// The API failed to create: is it because another node was served in that second?
    Collision {
        why: String,
        retry_after: Option<Duration>,
    },
    CreateAgain,
    /// The reply to the create named an operation that was there before.
    OldName {
        id: String,
    },
    SaveOperation,
    Polling,
    /// A 404 for an operation that never gave a good answer: does the list have it?
    PollUnknown {
        why: String,
        retry_after: Option<Duration>,
    },
    DoneLook,
    /// The operation has failed: is nothing written into the data directory any more?
    Ebbing(poll::Ebb),
    Settling(settle::Settle),
    /// Between two requests about operations: look, note what was seen, wait.
    Pause {
        wait: Duration,
        then: Box<Phase>,
    },
    Finishing(Box<Outcome>),
}

/// One recovery.
#[allow(clippy::struct_excessive_bools)] // facts that don't depend on each other
pub(crate) struct Machine {
    settings: Settings,
    random: Random,
    now: Duration,
    events: Vec<Event>,
    phase: Phase,
    /// Whether the state file is ours.
    claimed: bool,
    /// Whether it tells of an earlier run, which this one does not settle.
    inherited: bool,
    operation_id: Option<String>,
    state: OperationState,
    http_status: Option<u16>,
    /// The recoveries that were there before the create.
    known: Option<HashSet<String>>,
    /// The data directory before the create.
    before: Option<Look>,
    /// The directory that the operation writes into, once it was seen with something in it.
    identity: Option<Identity>,
    /// Whether that was removed or emptied since.
    removed: bool,
    /// Creates that failed without another node in the way.
    attempts: u32,
    collisions: u32,
    /// How many of the last ones brought exactly one recovery.
    singles: u32,
    outage: Outage,
    /// When the operation was created, or first heard of.
    began: Duration,
    told_progress: Told,
    watch: Watch,
    told_unsaved: bool,
    /// Whether an answer about the operation has been good.
    answered: bool,
    /// How often neither a poll nor the list knew it.
    unknown: u32,
}

impl Course for Machine {
    type Code = Code;

    fn advance(&mut self, seen: Seen, now: Duration) -> (Vec<Event>, Step) {
        self.now = now;
        if let Seen::Reply(reply) = &seen {
            self.http_status = Some(reply.status);
        }
        let step = match seen {
            Seen::Cancelled => self.interrupted(Code::Cancelled),
            seen => self.react(seen),
        };
        let step = self.within_deadline(step);
        (std::mem::take(&mut self.events), step)
    }

    fn counting(&self) -> Counting {
        match (self.state, &self.phase) {
            (OperationState::Done, _) | (_, Phase::Ebbing(_)) => Counting::All,
            (state, _) if state.may_be_running() => Counting::Some,
            _ => Counting::Nothing,
        }
    }
}

impl Machine {
    pub(crate) fn new(settings: Settings, seed: u64) -> Machine {
        Machine {
            settings,
            random: Random::new(seed),
            now: Duration::ZERO,
            events: Vec::new(),
            phase: Phase::FirstLook,
            claimed: false,
            inherited: false,
            operation_id: None,
            state: OperationState::NotCreated,
            http_status: None,
            known: None,
            before: None,
            identity: None,
            removed: false,
            attempts: 0,
            collisions: 0,
            singles: 0,
            outage: Outage::default(),
            began: Duration::ZERO,
            told_progress: Told::default(),
            watch: Watch::default(),
            told_unsaved: false,
            answered: false,
            unknown: 0,
        }
    }

    fn react(&mut self, seen: Seen) -> Step {
        match std::mem::replace(&mut self.phase, Phase::FirstLook) {
            Phase::FirstLook => self.first_look(seen),
            Phase::Claiming => self.claiming(seen),
            Phase::ApiStatus { attempt } => self.api_status(attempt, seen),
            Phase::Baseline { again } => self.baseline(again, &seen),
            Phase::LookBefore => self.look_before(seen),
            Phase::SaveRun => {
                self.saved(&seen);
                self.create()
            }
            Phase::Creating => self.creating(seen),
            Phase::Collision { why, retry_after } => self.collision(&why, retry_after, &seen),
            Phase::CreateAgain => self.create(),
            Phase::OldName { id } => self.old_name(id, &seen),
            Phase::SaveOperation => {
                self.saved(&seen);
                self.pause(SHORTEST, Phase::Polling)
            }
            Phase::Polling => self.polling(seen),
            Phase::PollUnknown { why, retry_after } => self.poll_unknown(&why, retry_after, &seen),
            Phase::DoneLook => self.done_look(seen),
            Phase::Ebbing(ebb) => self.ebbing(ebb, seen),
            Phase::Settling(settle) => self.settling(settle, seen),
            Phase::Pause { wait, then } => self.pausing(wait, then, seen),
            Phase::Finishing(outcome) => {
                if let Seen::Forgotten(Some(why)) = seen {
                    self.log(Level::Warning, format!("the state file could not be removed: {why}"));
                }
                Step::Finish(*outcome)
            }
        }
    }

    // Steps

    fn send(&mut self, request: Request, phase: Phase) -> Step {
        let timeout = request.timeout(&self.settings);
        self.phase = phase;
        Step::Send(request, timeout)
    }

    fn wait(&mut self, wait: Duration, phase: Phase) -> Step {
        self.phase = phase;
        Step::Wait(wait)
    }

    fn look(&mut self, phase: Phase) -> Step {
        self.phase = phase;
        Step::Look
    }

    fn save(&mut self, lines: Vec<Line>, phase: Phase) -> Step {
        self.phase = phase;
        if self.claimed { Step::Save(lines) } else { self.react(Seen::Saved(None)) }
    }

    fn saved(&mut self, seen: &Seen) {
        if let Seen::Saved(Some(why)) = seen
            && !std::mem::replace(&mut self.told_unsaved, true)
        {
            self.log(
                Level::Warning,
                format!("the state file can't be written ({why}): going on without it, a run after a kill won't know of this one"),
            );
        }
    }

    /// Looks at the data directory, notes what it is, waits, and goes on with `then`.
    fn pause(&mut self, wait: Duration, then: Phase) -> Step {
        self.look(Phase::Pause { wait, then: Box::new(then) })
    }

    fn pausing(&mut self, wait: Duration, then: Box<Phase>, seen: Seen) -> Step {
        match seen {
            Seen::Waited => return self.look(Phase::Pause { wait, then }),
            Seen::Looked(look) => {
                if let Some(end) = self.watch(&look, &then) {
                    return end;
                }
                if let Some(line) = self.note(&look) {
                    return self.save(vec![line], Phase::Pause { wait, then });
                }
            }
            seen => self.saved(&seen),
        }
        // A long wait has several looks, for the figures.
        let slice = wait.min(LOOKS);
        let rest = wait.saturating_sub(slice);
        self.wait(slice, if rest.is_zero() { *then } else { Phase::Pause { wait: rest, then } })
    }

    /// Keeps the figures, tells them, and ends the run when nothing has arrived for too long.
    fn watch(&mut self, look: &Look, then: &Phase) -> Option<Step> {
        self.watch.see(look.arrived?, self.now);
        self.events.extend(self.watch.progress(self.now).map(Event::Progress));
        let operation = match (&self.operation_id, then) {
            (Some(id), _) => format!("operation {id}"),
            (None, Phase::Settling(settle)) if settle.is_open() => settle.named(),
            _ => return None,
        };
        let stalled = self.watch.stalled(self.now)?;
        let directory = self.settings.data_directory.clone();
        let what = format!("nothing new has arrived in {directory} for {}", seconds(stalled));
        let server = &self.settings.barman_server;
        let hint = format!(
            "see on the Barman host whether 'barman recover' of server {server} still runs: an operation whose process died stays in progress for ever{}",
            self.forget_hint()
        );
        if self.settings.stall_timeout.is_some_and(|limit| stalled >= limit) {
            let message = format!(
                "Recovery operation failed. {what}, and {operation} is in progress (--stall-timeout)"
            );
            return Some(self.finish(Code::RecoveryFailed, message, hint));
        }
        if self.watch.warns(stalled) {
            self.log(Level::Warning, format!("{what}, while {operation} is in progress"));
            self.log(Level::Warning, format!("HINT: {hint}"));
        }
        None
    }

    /// Keeps in mind which directory the operation writes into, and whether that was removed meanwhile.
    fn note(&mut self, look: &Look) -> Option<Line> {
        let gone = match (&self.identity, &look.identity) {
            (Some(then), Some(now)) => !then.became(now),
            (Some(_), None) => look.content != Content::Unseen,
            (None, _) => false,
        };
        if gone && !self.removed {
            self.removed = true;
            self.log(
                Level::Warning,
                format!(
                    "the data directory {} was removed or emptied while the operation runs: what it restores will be incomplete",
                    self.settings.data_directory
                ),
            );
            return Some(Line::Removed(true));
        }
        let grown = look.content == Content::Something && !gone && self.identity != look.identity;
        let found = look.identity.filter(|_| grown)?;
        self.identity = Some(found);
        Some(Line::Identity(found))
    }

    // What several phases share

    fn log(&mut self, level: Level, message: String) {
        self.events.push(Event::log(level, &message));
    }

    fn set_state(&mut self, state: OperationState) {
        if self.state != state {
            self.state = state;
            self.events.push(Event::State { state, operation_id: self.operation_id.clone() });
        }
    }

    /// The known line, once per loop wait.
    fn tell_progress(&mut self, id: &str) {
        if self.told_progress.is_due(self.now, self.settings.loop_wait) {
            let figures = self.watch.progress(self.now).map(|progress| format!(": {progress}"));
            self.log(
                Level::Info,
                format!("Recovery operation {id} is still in progress{}", figures.unwrap_or_default()),
            );
        }
    }

    fn good_answer(&mut self) {
        self.answered = true;
        if let Some(outage) = self.outage.over(self.now) {
            self.log(Level::Info, format!("the API answers again, after {}", seconds(outage)));
        }
    }

    /// Anything but a good answer while an operation may be running: waits and goes on with `then`, or gives
    /// up when the outage budget is used up.
    fn miss(&mut self, why: &str, retry_after: Option<Duration>, then: Phase) -> Step {
        let cap = self.settings.loop_wait;
        let miss = self.outage.miss(self.now, &self.settings, cap, retry_after, &mut self.random);
        let (lasted, tries) = (seconds(miss.lasted), miss.tries);
        let operation = match &self.operation_id {
            Some(id) => format!("operation {id}"),
            None => match &then {
                Phase::Settling(settle) if settle.has_candidates() => settle.named(),
                _ => "a recovery operation".into(),
            },
        };
        if miss.too_long {
            let server = &self.settings.barman_server;
            return self.finish(
                Code::HttpError,
                format!(
                    "Maximum number of retries exceeded, exiting. {operation} of server {server} may still be running: no good answer from {} for {lasted} ({tries} tries), the last: {why}",
                    self.settings.api_url,
                ),
                "a restore may still be writing into the data directory; look on the Barman host, or follow it with --operation-id",
            );
        }
        self.log(
            Level::Warning,
            format!(
                "Attempt {tries} to ask about {operation} failed: {why} (for {lasted} of at most {})",
                seconds(self.settings.max_outage)
            ),
        );
        self.pause(miss.wait, then)
    }

    fn retry_after(seen: &Seen) -> Option<Duration> {
        match seen {
            Seen::Reply(reply) => reply.retry_after,
            _ => None,
        }
    }

    /// The recoveries of a reply to `List`, or why there are none.
    fn recoveries(seen: &Seen) -> Result<Vec<String>, String> {
        match seen {
            Seen::Reply(reply) => reply.ids(OperationKind::Recovery),
            Seen::Unanswered(none) => Err(none.text.clone()),
            _ => Err("no answer".into()),
        }
    }
}
