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
//! operations whose ID or fate is unknown.

mod poll;
mod settle;
mod start;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::time::Duration;

use crate::backoff::{self, Outage, Random, SHORTEST};
use crate::config::Settings;
use crate::data_directory::{Content, Identity, Look};
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState, Outcome};
use crate::protocol::{NoReply, Reply, Request};
use crate::record::{Ended, Line, Record};

pub(crate) use start::{ID_RESOLUTION, refusal_hint};

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
    Forget(Option<Line>),
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
    NoReply(NoReply),
    Waited,
    /// Instead of a wait, a claim or a request: the host wants an end.
    Cancelled,
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

enum Phase {
    FirstLook,
    Claiming,
    ApiStatus {
        attempt: u32,
    },
    Baseline,
    LookBefore,
    SaveRun,
    Creating,
    /// The API failed to create: is it because another node was served in that second?
    Collision {
        why: String,
        retry_after: Option<Duration>,
    },
    CreateAgain,
    SaveOperation,
    Polling,
    /// A 404 for an operation that never gave a good answer: does the list have it?
    PollUnknown {
        why: String,
        retry_after: Option<Duration>,
    },
    DoneLook,
    Settling(settle::Settle),
    /// Between two requests about operations: look, note what was seen, wait.
    Pause {
        wait: Duration,
        then: Box<Phase>,
    },
    Finishing(Box<Outcome>),
}

/// One recovery.
pub(crate) struct Machine {
    settings: Settings,
    random: Random,
    now: Duration,
    events: Vec<Event>,
    phase: Phase,
    /// Whether the state file is ours.
    claimed: bool,
    operation_id: Option<String>,
    state: OperationState,
    http_status: Option<u16>,
    /// The recoveries that were there before the create.
    known: Option<HashSet<String>>,
    /// The data directory before the create.
    before: Option<Look>,
    identity: Option<Identity>,
    removed: bool,
    /// Creates that failed without another node in the way.
    attempts: u32,
    collisions: u32,
    outage: Outage,
    /// When the operation was created, or first heard of.
    began: Duration,
    told_progress: Option<Duration>,
    /// Whether an answer about the operation has been good.
    answered: bool,
    unknown: u32,
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
            operation_id: None,
            state: OperationState::NotCreated,
            http_status: None,
            known: None,
            before: None,
            identity: None,
            removed: false,
            attempts: 0,
            collisions: 0,
            outage: Outage::default(),
            began: Duration::ZERO,
            told_progress: None,
            answered: false,
            unknown: 0,
        }
    }

    /// Takes what was seen at `now` (time since the start) and tells what to do. Events come before the step.
    pub(crate) fn advance(&mut self, seen: Seen, now: Duration) -> (Vec<Event>, Step) {
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

    fn react(&mut self, seen: Seen) -> Step {
        match std::mem::replace(&mut self.phase, Phase::FirstLook) {
            Phase::FirstLook => self.first_look(seen),
            Phase::Claiming => self.claiming(seen),
            Phase::ApiStatus { attempt } => self.api_status(attempt, seen),
            Phase::Baseline => self.baseline(&seen),
            Phase::LookBefore => self.look_before(seen),
            Phase::SaveRun => {
                self.saved(&seen);
                self.create()
            }
            Phase::Creating => self.creating(seen),
            Phase::Collision { why, retry_after } => self.collision(&why, retry_after, &seen),
            Phase::CreateAgain => self.create(),
            Phase::SaveOperation => {
                self.saved(&seen);
                self.pause(SHORTEST, Phase::Polling)
            }
            Phase::Polling => self.polling(seen),
            Phase::PollUnknown { why, retry_after } => self.poll_unknown(&why, retry_after, &seen),
            Phase::DoneLook => self.done_look(seen),
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
        if let Seen::Saved(Some(why)) = seen {
            self.claimed = false;
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
            Seen::Looked(look) => match self.note(&look) {
                Some(line) => self.save(vec![line], Phase::Pause { wait, then }),
                None => self.wait(wait, *then),
            },
            seen => {
                self.saved(&seen);
                self.wait(wait, *then)
            }
        }
    }

    /// Keeps in mind which directory the operation writes into, and whether that was removed meanwhile.
    fn note(&mut self, look: &Look) -> Option<Line> {
        let gone =
            self.identity.is_some() && look.content != Content::Unseen && look.identity != self.identity;
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
        let found = look.identity.filter(|_| self.identity.is_none())?;
        self.identity = Some(found);
        Some(Line::Identity(found))
    }

    // The end

    fn finish(&mut self, code: Code, message: impl Into<String>, hint: impl Into<String>) -> Step {
        let (message, hint) = (message.into(), hint.into());
        if code == Code::Cancelled {
            self.log(Level::Warning, message.clone());
        } else if code != Code::RecoveryDone {
            self.log(Level::Error, message.clone());
            if !hint.is_empty() {
                self.log(Level::Error, format!("HINT: {hint}"));
            }
        }
        if code != Code::Cancelled {
            let line =
                ended_line(code.name(), code as i32, self.now, self.operation_id.as_deref(), self.state);
            self.log(Level::Info, line);
        }
        let outcome = Outcome {
            code,
            message,
            hint,
            operation_id: self.operation_id.clone(),
            operation_state: self.state,
            http_status: self.http_status,
            elapsed: self.now,
        };
        if !self.claimed || self.state.may_be_running() {
            return Step::Finish(outcome);
        }
        let ended = match self.state {
            OperationState::Done => Some(Line::Ended(Ended::Done)),
            OperationState::Failed => Some(Line::Ended(Ended::Failed)),
            _ => None,
        };
        self.phase = Phase::Finishing(Box::new(outcome));
        Step::Forget(ended)
    }

    /// Ends a run that was told to end or whose time is up.
    fn interrupted(&mut self, code: Code) -> Step {
        match std::mem::replace(&mut self.phase, Phase::FirstLook) {
            Phase::Finishing(outcome) => return Step::Finish(*outcome),
            // The create was about to be sent, and is not.
            Phase::Creating => self.state = OperationState::NotCreated,
            _ => {}
        }
        let what = if code == Code::TimedOut {
            format!("the deadline of {} has passed", seconds(self.settings.deadline.unwrap_or_default()))
        } else {
            "cancelled".into()
        };
        let server = &self.settings.barman_server;
        let message = match (&self.operation_id, self.state) {
            (Some(id), state) if state.may_be_running() => {
                format!("{what}: recovery operation {id} of server {server} goes on at the Barman host")
            }
            (_, state) if state.may_be_running() => format!(
                "{what}: a recovery operation of server {server} may have been created and goes on at the Barman host then"
            ),
            (Some(id), state) => format!("{what}: recovery operation {id} has ended ({})", state.name()),
            _ => format!("{what}: no recovery operation was started"),
        };
        let hint = match &self.operation_id {
            Some(id) if self.state.may_be_running() => {
                format!(
                    "follow it with --operation-id {id}; do not let anything else write into {} meanwhile",
                    self.settings.data_directory
                )
            }
            _ => String::new(),
        };
        self.finish(code, message, hint)
    }

    /// Nothing that takes time begins after the deadline, or lasts beyond it.
    fn within_deadline(&mut self, step: Step) -> Step {
        let Some(deadline) = self.settings.deadline else { return step };
        step.within(deadline.saturating_sub(self.now)).unwrap_or_else(|| self.interrupted(Code::TimedOut))
    }

    // What several phases share

    fn log(&mut self, level: Level, message: String) {
        self.events.push(Event::Log { level, message });
    }

    fn set_state(&mut self, state: OperationState) {
        if self.state != state {
            self.state = state;
            self.events.push(Event::State { state, operation_id: self.operation_id.clone() });
        }
    }

    /// The known line, once per loop wait.
    fn tell_progress(&mut self, id: &str) {
        if self.told_progress.is_none_or(|told| self.now.saturating_sub(told) >= self.settings.loop_wait) {
            self.told_progress = Some(self.now);
            self.log(Level::Info, format!("Recovery operation {id} is still in progress"));
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
        let spent = self.outage.miss(self.now);
        let (budget, misses) = (self.settings.max_outage, self.outage.misses);
        let operation = match &self.operation_id {
            Some(id) => format!("operation {id}"),
            None => "a recovery operation".into(),
        };
        if spent >= budget && misses >= self.settings.min_misses {
            let server = &self.settings.barman_server;
            return self.finish(
                Code::HttpError,
                format!(
                    "Maximum number of retries exceeded, exiting. {operation} of server {server} may still be running: no good answer from {} for {} ({misses} tries), the last: {why}",
                    self.settings.api_url,
                    seconds(spent),
                ),
                "a restore may still be writing into the data directory; look on the Barman host, or follow it with --operation-id",
            );
        }
        self.log(
            Level::Warning,
            format!(
                "Attempt {misses} to ask about {operation} failed: {why} (for {} of at most {})",
                seconds(spent),
                seconds(budget)
            ),
        );
        let (first, cap) = (self.settings.retry_wait, self.settings.loop_wait);
        let wait = backoff::retry_wait(misses, first, cap, retry_after, &mut self.random);
        let left = budget.saturating_sub(spent);
        let wait = if left.is_zero() { wait } else { wait.min(left).max(SHORTEST) };
        self.pause(wait, then)
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
            Seen::Reply(reply) => reply.recoveries(),
            Seen::NoReply(none) => Err(none.text.clone()),
            _ => Err("no answer".into()),
        }
    }
}

/// `12.3 s`
pub(crate) fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// The last line of a run.
pub(crate) fn ended_line(
    code: &str,
    number: i32,
    time: Duration,
    operation_id: Option<&str>,
    state: OperationState,
) -> String {
    let operation = match (operation_id, state) {
        (_, OperationState::NotCreated) => String::new(),
        (Some(id), state) => format!("; operation {id}: {}", state.name()),
        (None, state) => format!("; operation: {}", state.name()),
    };
    format!("Ended with {code} ({number}) after {}{operation}", seconds(time))
}
