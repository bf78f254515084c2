//! One virtual clock for everything that happens. Runs that go on at the same time are threads: the one that is
//! due first goes on, all others wait, so that every schedule can be repeated.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::state::State;

/// The world, and whose turn it is in it.
pub(super) struct Shared {
    state: Mutex<State>,
    turns: Vec<Condvar>,
}

/// When each thread is due, and which of them goes on.
#[derive(Default)]
pub(super) struct Turns {
    due: Vec<Option<Duration>>,
    turn: Option<usize>,
}

impl Turns {
    pub(super) fn of(starts: Vec<Duration>) -> Turns {
        let mut turns = Turns { due: starts.into_iter().map(Some).collect(), turn: None };
        turns.turn = turns.first();
        turns
    }

    fn first(&self) -> Option<usize> {
        let due = |(thread, due): (usize, &Option<Duration>)| due.map(|due| (due, thread));
        self.due.iter().enumerate().filter_map(due).min().map(|(_, thread)| thread)
    }
}

impl Shared {
    pub(super) fn new(state: State, threads: usize) -> Shared {
        Shared { state: Mutex::new(state), turns: (0..threads).map(|_| Condvar::new()).collect() }
    }

    pub(super) fn into_state(self) -> State {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the world go on to `time`, with everything and everyone that is due before.
    pub(super) fn until<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        thread: usize,
        time: Duration,
    ) -> MutexGuard<'a, State> {
        state.turns.due[thread] = Some(time);
        let first = state.turns.first();
        if first != Some(thread) {
            self.hand_on(&mut state, first);
            state = self.my_turn(state, thread);
        }
        state.until(time);
        state
    }

    /// Waits for the thread's first turn.
    pub(super) fn begin(&self, thread: usize) {
        let state = self.lock();
        let mut state = self.my_turn(state, thread);
        let start = state.turns.due[thread].unwrap_or_default();
        state.until(start);
    }

    pub(super) fn end(&self, thread: usize) {
        let mut state = self.lock();
        state.turns.due[thread] = None;
        let first = state.turns.first();
        self.hand_on(&mut state, first);
    }

    fn hand_on(&self, state: &mut State, to: Option<usize>) {
        state.turns.turn = to;
        if let Some(thread) = to {
            self.turns[thread].notify_one();
        }
    }

    fn my_turn<'a>(&'a self, mut state: MutexGuard<'a, State>, thread: usize) -> MutexGuard<'a, State> {
        while state.turns.turn != Some(thread) {
            state = self.turns[thread].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}
