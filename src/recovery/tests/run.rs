//! One run of the recovery in the simulated world: the world as it sees it, what ends it from outside, and what
//! it did.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::api::{Exchange, Kind, no_reply};
use super::clock::Shared;
use super::file::StateFile;
use super::state::{State, ms};
use crate::api::{NoReply, Phase, Reply, Request, TransportError};
use crate::event::{Event, Level};
use crate::outcome::{Code, OperationState, Outcome};
use crate::world::inspection::Inspection;
use crate::world::journal::Journal;
use crate::world::snapshot::Snapshot;
use crate::world::{GRACE, Interrupt, World};

/// No run takes more steps, or longer.
const MOST_STEPS: usize = 300_000;
pub(super) const LONGEST: Duration = Duration::from_secs(200_000);

/// What ends a run from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The process dies before this step of it.
    Kill(usize),
    /// In the middle of it.
    KillDuring(usize),
    /// The process dies then, counted from its start.
    KillAt(Duration),
    Cancel(Duration),
    Detach(Duration),
}

/// The payload of the unwinding that stands for a kill.
pub(super) struct Killed;

/// What a step changes.
pub(super) enum Effect<'a> {
    Lock,
    Append(usize, &'a [u8]),
    Leave,
    Send,
    Wait,
    EndReceivers,
}

/// What a run did.
#[derive(Debug, Default, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Ran {
    pub(super) node: usize,
    pub(super) started: Duration,
    pub(super) ended: Option<Duration>,
    pub(super) cuts: Vec<Cut>,
    pub(super) deadline: Option<Duration>,
    pub(super) grace: bool,
    /// None when it was killed.
    pub(super) outcome: Option<Outcome>,
    pub(super) log: Vec<(Duration, Level, String)>,
    pub(super) states: Vec<(OperationState, Option<String>)>,
    /// What was sent, and when (time since the start of the run).
    pub(super) requests: Vec<(Duration, Request)>,
    pub(super) steps: usize,
    /// When each was taken (time since the start of the run), and whether it was a wait.
    pub(super) times: Vec<(Duration, bool)>,
    /// Whether it has the state file now, and whether it has closed it.
    pub(super) locked: bool,
    pub(super) closed: bool,
    /// Whether it ever ended receivers.
    pub(super) ended_receivers: usize,
    /// Whether it has given up the lock and left the file.
    pub(super) left: bool,
    pub(super) backup_id: String,
    /// Whether it keeps a state file.
    pub(super) remembers: bool,
    /// Since when nothing counts for it, and whether that has been reported.
    pub(super) idle: Option<Duration>,
    /// When a request of it last met a fault.
    pub(super) faulted: Duration,
    pub(super) lawless: bool,
    /// What it knows of receivers and of the directory.
    pub(super) trees: HashSet<usize>,
    pub(super) receivers_seen: Option<(Duration, usize)>,
    pub(super) seen: (u64, u64, Option<usize>),
    pub(super) changes: u64,
}

impl Ran {
    pub(super) fn creates(&self) -> usize {
        self.requests.iter().filter(|(_, request)| Kind::of(request) == Kind::Create).count()
    }

    pub(super) fn polls(&self) -> usize {
        self.requests.iter().filter(|(_, request)| Kind::of(request) == Kind::Poll).count()
    }

    /// The time between one request of this kind and the next.
    pub(super) fn gaps(&self, kind: Kind) -> Vec<Duration> {
        let of = |(_, request): &&(Duration, Request)| Kind::of(request) == kind;
        let times: Vec<Duration> = self.requests.iter().filter(of).map(|(at, _)| *at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// The state of the operation that was reported last.
    pub(super) fn reported(&self) -> OperationState {
        self.states.last().map_or(OperationState::NotCreated, |(state, _)| *state)
    }

    pub(super) fn says(&self, text: &str) -> bool {
        let outcome = self.outcome.iter().any(|o| o.message.contains(text) || o.hint.contains(text));
        outcome || self.log.iter().any(|(_, level, line)| format!("{level}: {line}").contains(text))
    }

    pub(super) fn code(&self) -> Option<Code> {
        self.outcome.as_ref().map(|outcome| outcome.code)
    }

    /// Whether it has asked for this backup: by its ID, or by a word for any.
    pub(super) fn wants(&self, backup: &str) -> bool {
        !self.backup_id.contains('T') || self.backup_id == backup
    }

    fn interrupt(&self) -> Option<(Duration, Interrupt)> {
        let cuts = self.cuts.iter().filter_map(|cut| match cut {
            Cut::Cancel(at) => Some((self.started + *at, Interrupt::Cancelled)),
            Cut::Detach(at) => Some((self.started + *at, Interrupt::Detached)),
            _ => None,
        });
        let deadline = self.deadline.map(|at| (self.started + at, Interrupt::DeadlinePassed));
        let (at, why) = cuts.chain(deadline).min_by_key(|(at, _)| *at)?;
        Some((if self.grace { at + GRACE } else { at }, why))
    }

    /// How long after it was told to end it has ended.
    pub(super) fn overdue(&self) -> Option<Duration> {
        let (at, _) = Ran { grace: false, ..self.clone() }.interrupt()?;
        self.ended?.checked_sub(at)
    }

    fn killed_at(&self) -> Option<Duration> {
        self.cuts.iter().find_map(|cut| match cut {
            Cut::KillAt(at) => Some(self.started + *at),
            _ => None,
        })
    }
}

impl State {
    /// A run takes a step, or dies before it, or in the middle.
    pub(super) fn effect(&mut self, run: usize, effect: &Effect) -> bool {
        self.check_waiting(run);
        let ran = &mut self.runs[run];
        let step = ran.steps;
        ran.steps += 1;
        ran.times.push((self.now - ran.started, matches!(effect, Effect::Wait)));
        assert!(step < MOST_STEPS, "it does not end");
        let during = ran.cuts.contains(&Cut::KillDuring(step));
        if during && let Effect::Append(file, bytes) = effect {
            self.files[*file].bytes.extend(&bytes[..bytes.len() / 2]);
        }
        let now = matches!(effect, Effect::Append(..) | Effect::Lock | Effect::Leave | Effect::EndReceivers);
        let dead = self.runs[run].killed_at().is_some_and(|at| at <= self.now);
        if dead || self.runs[run].cuts.contains(&Cut::Kill(step)) || (during && now) {
            self.kill(run);
        }
        during
    }

    fn kill(&mut self, run: usize) -> ! {
        let node = self.runs[run].node;
        self.tell(|| format!("node {node}: the run is killed"));
        resume_unwind(Box::new(Killed));
    }
}

/// The world of one run.
pub(super) struct Here {
    pub(super) shared: Arc<Shared>,
    pub(super) run: usize,
    pub(super) node: usize,
    pub(super) thread: usize,
    pub(super) file: Option<StateFile>,
    pub(super) random: u64,
}

impl Here {
    /// Lets time pass; the process may die meanwhile.
    fn pass<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        until: Duration,
        during: bool,
    ) -> MutexGuard<'a, State> {
        let ran = &state.runs[self.run];
        assert!(until < ran.started + state.longest.unwrap_or(LONGEST), "it does not end");
        let middle = state.now + (until - state.now) / 2;
        let death = ran.killed_at().or(during.then_some(middle)).filter(|at| *at <= until);
        let now = state.now;
        let mut state = self.shared.until(state, self.thread, death.map_or(until, |at| at.max(now)));
        if death.is_some() {
            state.kill(self.run);
        }
        state
    }
}

impl World for Here {
    fn now(&self) -> Duration {
        let state = self.shared.lock();
        state.now - state.runs[self.run].started
    }

    fn send(&mut self, request: &Request, limit: Duration) -> Result<Reply, TransportError> {
        let mut state = self.shared.lock();
        let create = Kind::of(request) == Kind::Create;
        let interrupt = state.runs[self.run].interrupt();
        if interrupt.is_some_and(|(at, _)| at <= state.now) {
            return Err(no_reply(false, "interrupted"));
        }
        let during = state.effect(self.run, &Effect::Send);
        let since = state.now - state.runs[self.run].started;
        state.runs[self.run].requests.push((since, request.clone()));
        if create {
            state.check_sent_create(self.run);
        }
        let (exchange, ticket) = state.send(request, self.run);
        let begun = state.now;
        let mut end = begun + limit;
        if let Some((at, why)) = interrupt {
            let waits = create && !state.runs[self.run].grace && why != Interrupt::DeadlinePassed;
            end = end.min(if waits { at + GRACE } else { at });
        }
        let ready = match &exchange {
            Exchange::Answer(after, _) | Exchange::Broken(after, _) => Some(begun + *after),
            Exchange::Silence => None,
        };
        let answered = ready.filter(|at| *at <= end);
        let mut state = self.pass(state, answered.unwrap_or(end), during);
        if state.now - begun > ms(1000) {
            state.runs[self.run].faulted = state.now; // nobody looks meanwhile
        }
        if answered.is_none() {
            let timed_out = begun + limit <= end;
            let (kind, text) = if timed_out {
                (NoReply::TimedOut(Phase::Answer), "no answer in time")
            } else {
                (NoReply::Interrupted, "interrupted")
            };
            return Err(TransportError { kind, ..no_reply(true, text) });
        }
        let answer = match exchange {
            Exchange::Answer(_, Some(reply)) => Ok(reply),
            Exchange::Answer(_, None) => Ok(state.answer(request, ticket)),
            Exchange::Broken(_, error) => Err(error),
            Exchange::Silence => unreachable!(),
        };
        state.tell_exchange(self.run, request, &answer);
        answer
    }

    fn pause(&mut self, time: Duration) -> Result<(), Interrupt> {
        let mut state = self.shared.lock();
        let interrupt = state.runs[self.run].interrupt();
        let during = !time.is_zero() && state.effect(self.run, &Effect::Wait);
        let end = state.now + time;
        let interrupt = interrupt.filter(|(at, _)| *at <= end);
        let until = interrupt.map_or(end, |(at, _)| at.max(state.now));
        drop(self.pass(state, until, during));
        interrupt.map_or(Ok(()), |(_, why)| Err(why))
    }

    fn grant_grace(&mut self) {
        self.shared.lock().runs[self.run].grace = true;
    }

    fn look(&mut self) -> Snapshot {
        self.shared.lock().look(self.run)
    }

    fn receivers(&mut self) -> usize {
        self.shared.lock().count_receivers(self.run)
    }

    fn end_receivers(&mut self) -> usize {
        let mut state = self.shared.lock();
        state.effect(self.run, &Effect::EndReceivers);
        let ended = state.end_receivers(self.run);
        state.runs[self.run].ended_receivers += ended;
        ended
    }

    fn ask_size(&mut self) {}

    fn inspect(&mut self) -> Inspection {
        Inspection::NOTHING
    }

    fn journal(&mut self) -> Option<&mut dyn Journal> {
        self.file.as_mut().map(|file| file as &mut dyn Journal)
    }

    fn report(&mut self, event: Event) {
        let mut state = self.shared.lock();
        let since = state.now - state.runs[self.run].started;
        match event {
            Event::Log { level, message } => {
                let node = self.node;
                state.tell(|| format!("node {node} {level}: {message}"));
                state.runs[self.run].log.push((since, level, message));
            }
            Event::State { state: what, operation_id } => {
                state.runs[self.run].states.push((what, operation_id));
            }
            Event::Progress(_) | Event::Tick => {}
        }
    }

    fn random(&mut self) -> u64 {
        super::dice::mix(&mut self.random)
    }
}
