//! One run of the recovery in the simulated world: the world as it sees it, what ends it from outside, what of it
//! fails, and what it did.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::api::{Exchange, Kind, not_answered, not_sent};
use super::clock::Shared;
use super::state::State;
use crate::api::{Reply, Request};
use crate::cancel::Interrupt;
use crate::error::Error;
use crate::event::{Event, Level};
use crate::outcome::{Answer, Code, OperationState, Recovery};

use crate::world::{Claiming, Completeness, Inspection, Known, Look, World};

/// No run takes more steps, or longer.
const MOST_STEPS: usize = 300_000;
const LONGEST: Duration = Duration::from_secs(20_000);

/// What ends a run from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The process dies before this step of it.
    Kill(usize),
    /// The process dies then, counted from its start: perhaps in the middle of a step.
    KillAt(Duration),
    Cancel(Duration),
}

/// The payload of the unwinding that stands for a kill.
pub(super) struct Killed;

/// What a run did.
#[derive(Debug, Default, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Ran {
    pub(super) node: usize,
    pub(super) backup_id: String,
    pub(super) replica: bool,
    pub(super) has_lease: bool,
    pub(super) verifies: bool,
    pub(super) started: Duration,
    pub(super) ended: Option<Duration>,
    pub(super) cuts: Vec<Cut>,
    pub(super) deadline: Option<Duration>,
    /// Which calls that can fail do, counted from 0, and how many there were.
    pub(super) failing: Vec<Range<usize>>,
    pub(super) calls: usize,
    /// Whether its process has died.
    pub(super) dead: bool,
    /// None when it was killed.
    pub(super) outcome: Option<Answer<Recovery>>,
    pub(super) log: Vec<(Duration, Level, String)>,
    pub(super) states: Vec<(OperationState, Option<String>)>,
    /// When progress was reported (time since the start of the run).
    pub(super) figures: Vec<Duration>,
    /// What was sent, and when (time since the start of the run).
    pub(super) requests: Vec<(Duration, Request)>,
    /// When each step was taken (time since the start of the run), and whether it was a wait.
    pub(super) times: Vec<(Duration, bool)>,
    /// What was in the directory before the create.
    pub(super) remembered: [Option<u64>; 2],
    /// The writes in the directory that were flushed.
    pub(super) flushed: Option<(Option<usize>, u64)>,
    /// Which kinds of requests have met a fault, and when one last did.
    pub(super) faults: [bool; 4],
    pub(super) faulted: Duration,
    /// Since when nothing counts for it.
    pub(super) idle: Option<Duration>,
}

impl Ran {
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = Duration> {
        let of = move |(at, request): &(Duration, Request)| (Kind::of(request) == kind).then_some(*at);
        self.requests.iter().filter_map(of)
    }

    pub(super) fn creates(&self) -> usize {
        self.of(Kind::Create).count()
    }

    /// A request of it had no luck.
    pub(super) fn met_fault(&mut self, kind: Kind, now: Duration) {
        self.faults[kind as usize] = true;
        (self.faulted, self.idle) = (now, None);
    }

    pub(super) fn has_met(&self, kinds: &[Kind]) -> bool {
        kinds.iter().any(|kind| self.faults[*kind as usize])
    }

    /// The state of the operation that was reported last.
    pub(super) fn reported(&self) -> OperationState {
        self.states.last().map_or(OperationState::NotCreated, |(state, _)| *state)
    }

    pub(super) fn says(&self, text: &str) -> bool {
        let outcome = self
            .outcome
            .iter()
            .any(|o| o.message.contains(text) || o.hint.iter().any(|hint| hint.contains(text)));
        outcome || self.log.iter().any(|(_, level, line)| format!("{level}: {line}").contains(text))
    }

    pub(super) fn code(&self) -> Option<Code> {
        self.outcome.as_ref().map(|outcome| outcome.code)
    }

    fn interrupt(&self) -> Option<(Duration, Interrupt)> {
        let cancels = self.cuts.iter().filter_map(|cut| match cut {
            Cut::Cancel(at) => Some((self.started + *at, Interrupt::Cancelled)),
            _ => None,
        });
        let deadline = self.deadline.map(|at| (self.started + at, Interrupt::DeadlinePassed));
        cancels.chain(deadline).min_by_key(|(at, _)| *at)
    }

    /// How long after its cancel, or its deadline, it has ended.
    pub(super) fn overdue(&self) -> Option<Duration> {
        self.ended?.checked_sub(self.interrupt()?.0)
    }

    fn killed_at(&self) -> Option<Duration> {
        self.cuts.iter().find_map(|cut| match cut {
            Cut::KillAt(at) => Some(self.started + *at),
            _ => None,
        })
    }
}

impl State {
    /// A run takes a step, or dies before it.
    pub(super) fn step(&mut self, run: usize) {
        self.check_waiting(run);
        self.check_writers(self.runs[run].node);
        let ran = &mut self.runs[run];
        let step = ran.times.len();
        ran.times.push((self.now - ran.started, false));
        assert!(step < MOST_STEPS, "it does not end");
        let dead = ran.killed_at().is_some_and(|at| at <= self.now);
        if dead || ran.cuts.contains(&Cut::Kill(step)) {
            self.kill(run);
        }
    }

    fn kill(&mut self, run: usize) -> ! {
        let node = self.runs[run].node;
        self.record(|| format!("node {node}: the run is killed"));
        self.dies(run);
        resume_unwind(Box::new(Killed));
    }

    /// A call of the run that may fail.
    pub(super) fn fallible(&mut self, run: usize, what: &str) -> Known<()> {
        let ran = &mut self.runs[run];
        let call = ran.calls;
        ran.calls += 1;
        if !ran.failing.iter().any(|range| range.contains(&call)) {
            return Ok(());
        }
        self.record(|| format!("call {call} of run {run} fails: {what}"));
        Err(format!("{what}: Too many open files (os error 24)"))
    }
}

/// The world of one run.
pub(super) struct Here {
    pub(super) shared: Arc<Shared>,
    pub(super) run: usize,
    pub(super) thread: usize,
    pub(super) random: u64,
}

impl Here {
    /// Locks the world for a step.
    fn step(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.lock();
        state.step(self.run);
        state
    }

    /// Lets time pass; the process may die meanwhile.
    fn pass<'a>(&'a self, state: MutexGuard<'a, State>, until: Duration) -> MutexGuard<'a, State> {
        let (ran, now) = (&state.runs[self.run], state.now);
        assert!(until < ran.started + LONGEST, "it does not end");
        let death = ran.killed_at().filter(|at| *at <= until);
        let mut state = self.shared.until(state, self.thread, death.map_or(until, |at| at.max(now)));
        if death.is_some() {
            state.kill(self.run);
        }
        state
    }

    /// Waits until then, or for an interrupt.
    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        end: Duration,
    ) -> (MutexGuard<'a, State>, Result<(), Interrupt>) {
        let interrupt = state.runs[self.run].interrupt().filter(|(at, _)| *at <= end);
        let now = state.now;
        let state = self.pass(state, interrupt.map_or(end, |(at, _)| at.max(now)));
        (state, interrupt.map_or(Ok(()), |(_, why)| Err(why)))
    }

    fn node(&self, state: &State) -> usize {
        state.runs[self.run].node
    }
}

impl World for Here {
    fn now(&self) -> Duration {
        let state = self.shared.lock();
        state.now - state.runs[self.run].started
    }

    fn send(&mut self, request: &Request, limit: Duration) -> Result<Reply, Error> {
        let mut state = self.shared.lock();
        if state.runs[self.run].interrupt().is_some_and(|(at, _)| at <= state.now) {
            return Err(not_sent("interrupted"));
        }
        state.step(self.run);
        let since = state.now - state.runs[self.run].started;
        state.runs[self.run].requests.push((since, request.clone()));
        if let Request::Create(new) = request {
            state.check_create_sent(self.run, new);
        }
        let (exchange, ticket) = state.send(request, self.run);
        let (begun, end) = (state.now, state.now + limit);
        let ready = match &exchange {
            Exchange::Answer(after, _) | Exchange::Broken(after, _) => begun + *after,
            Exchange::Silence => Duration::MAX,
        };
        let (mut state, waited) = self.wait(state, ready.min(end));
        let answer = match exchange {
            _ if waited.is_err() => Err(not_answered("interrupted")),
            _ if ready > end => Err(not_answered("no answer in time")),
            Exchange::Answer(_, Some(reply)) => Ok(reply),
            Exchange::Answer(_, None) => Ok(state.answer(self.run, request, ticket)),
            Exchange::Broken(_, error) => Err(error),
            Exchange::Silence => Err(not_answered("nothing")),
        };
        if answer.is_err() {
            let now = state.now;
            state.runs[self.run].met_fault(Kind::of(request), now);
        }
        state.tell_exchange(self.run, request, &answer);
        answer
    }

    fn pause(&mut self, time: Duration) -> Result<(), Interrupt> {
        let mut state = if time.is_zero() { self.shared.lock() } else { self.step() };
        if let (false, Some(last)) = (time.is_zero(), state.runs[self.run].times.last_mut()) {
            last.1 = true;
        }
        let end = state.now + time;
        self.wait(state, end).1
    }

    fn rest(&mut self, time: Duration) {
        let state = self.step();
        let end = state.now + time;
        drop(self.pass(state, end));
    }

    fn report(&mut self, event: Event) {
        let mut state = self.shared.lock();
        let since = state.now - state.runs[self.run].started;
        let (node, run) = (self.node(&state), self.run);
        match event {
            Event::Log { level, message } => {
                state.record(|| format!("node {node} {level}: {message}"));
                state.runs[run].log.push((since, level, message));
            }
            Event::State { state: what, operation_id } => {
                state.check_state(run, what);
                state.runs[run].states.push((what, operation_id));
            }
            Event::Progress(_) => state.runs[run].figures.push(since),
        }
    }

    fn random(&mut self) -> u64 {
        super::dice::mix(&mut self.random)
    }

    fn look(&mut self) -> Look {
        self.step().look(self.run)
    }

    fn remember(&mut self) -> Known<()> {
        let mut state = self.step();
        state.fallible(self.run, "the data directory")?;
        let node = self.node(&state);
        if state.nodes[node].hidden {
            return Err("/pg/data: Input/output error (os error 5)".into());
        }
        let remembered = state.tree(node).map(super::node::Tree::remembered);
        state.runs[self.run].remembered = remembered.unwrap_or_default();
        Ok(())
    }

    fn examine(&mut self) -> Completeness {
        let mut state = self.step();
        match state.fallible(self.run, "pg_wal") {
            Ok(()) => state.examine(self.run),
            Err(why) => Completeness::Unknown(why),
        }
    }

    fn inspect(&mut self) -> Known<Inspection> {
        let mut state = self.step();
        state.fallible(self.run, "the file system")?;
        let node = self.node(&state);
        let here = &state.nodes[node];
        Ok(Inspection {
            free: Some(1 << 40),
            foreign_owner: here.foreign_owner.clone(),
            is_writable: here.foreign_owner.is_none(),
            names: if state.is_filled(node) { vec!["PG_VERSION".into()] } else { Vec::new() },
            missing_commands: Vec::new(),
        })
    }

    fn strangers(&mut self) -> Known<usize> {
        let mut state = self.step();
        state.fallible(self.run, "/proc")?;
        Ok(state.nodes[self.node(&state)].strangers)
    }

    fn ask_size(&mut self) {}

    fn flush(&mut self) -> Result<(), Error> {
        let state = self.step();
        let node = self.node(&state);
        let (end, fails) = (state.now + state.nodes[node].flush, state.nodes[node].flush_fails);
        let writes = |state: &State| (state.nodes[node].tree, state.tree(node).map_or(0, |tree| tree.writes));
        let before = writes(&state);
        let (mut state, waited) = self.wait(state, end);
        state.runs[self.run].idle = None;
        waited?;
        if fails {
            let why = "/pg/data can't be flushed: Input/output error (os error 5)";
            return Err(Error::new(Code::RecoveryFailed, why));
        }
        state.runs[self.run].flushed = Some(before);
        Ok(())
    }

    fn claim(&mut self) -> Claiming {
        self.step().claim(self.run, &self.shared)
    }
}
