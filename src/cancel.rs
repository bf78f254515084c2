//! Ends a run from another thread, promptly: also during waits and requests.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Ends a run from any thread. Clones share one state, and a cancel can't be undone.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Shared>);

/// Why a run has to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// By [`Cancel::cancel`].
    Cancelled,
    DeadlinePassed,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_cancelled: bool,
    /// How often the waiting threads were woken.
    changes: u64,
}

impl Cancel {
    /// Not cancelled yet.
    #[must_use]
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Ends the run, and with it the restore: Barman can't write on this node any more. Takes locks, so it must not be
    /// called in a signal handler.
    pub fn cancel(&self) {
        self.change(|state| state.is_cancelled = true);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled
    }

    /// Why the run has to end.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        self.is_cancelled().then_some(Interrupt::Cancelled)
    }

    /// How often the waiting threads were woken. Read this before you look for what you wait for, so that you
    /// do not miss a change in between.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Waits until something has changed since `seen`, at most this long.
    pub(crate) fn wait_for_change(&self, seen: u64, time: Duration) {
        let state = self.lock();
        drop(self.0.changed.wait_timeout_while(state, time, |state| state.changes == seen));
    }

    /// Wakes the waiting threads, because what they wait for may have come.
    pub(crate) fn wake(&self) {
        self.change(|_| ());
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.changes = state.changes.wrapping_add(1);
        drop(state);
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_wait_ends_when_something_changes_in_another_thread() {
        for change in [Cancel::cancel, Cancel::wake] {
            let cancel = Cancel::new();
            let (other, seen) = (cancel.clone(), cancel.changes());
            let thread = std::thread::spawn(move || change(&other));
            cancel.wait_for_change(seen, LONG);
            assert_ne!(cancel.changes(), seen);
            thread.join().unwrap();
            cancel.wait_for_change(seen, LONG);
        }
    }

    #[test]
    fn a_wait_ends_at_its_time() {
        let cancel = Cancel::new();
        cancel.wait_for_change(cancel.changes(), Duration::from_millis(10));
        assert!(!cancel.is_cancelled());
    }
}
