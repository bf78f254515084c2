//! Ends a run from another thread, promptly: also during waits and requests.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Ends a run from any thread. Clones share one state, and a cancel can't be undone.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Shared>);

/// Why a run has to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// By [`Cancel::cancel`].
    Cancelled,
    /// By [`Cancel::detach`]. Only the recovery that follows a restore without a lease knows it.
    Detached,
    DeadlinePassed,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When the first call came. The reason may still become [`Interrupt::Cancelled`].
    interrupt: Option<(Interrupt, Instant)>,
    /// How often those who wait were woken.
    changes: u64,
}

impl Cancel {
    /// Not cancelled yet.
    #[must_use]
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Ends the run and the restore that it follows. After [`detach`](Self::detach) it ends the restore too, if the
    /// run has not ended yet. Takes locks, so it must not be called in a signal handler.
    pub fn cancel(&self) {
        self.end(Interrupt::Cancelled);
    }

    /// Ends only the run: a restore that is running continues on the Barman host. After [`cancel`](Self::cancel) it
    /// does nothing. Takes locks, so it must not be called in a signal handler.
    pub fn detach(&self) {
        self.end(Interrupt::Detached);
    }

    /// Whether [`cancel`](Self::cancel) or [`detach`](Self::detach) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.interrupt().is_some()
    }

    /// Why the run has to end, and since when.
    pub(crate) fn interrupt(&self) -> Option<(Interrupt, Instant)> {
        self.lock().interrupt
    }

    /// How often those who wait were woken: to be read before looking for what is waited for, so that nothing is
    /// missed in between.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Waits until something has changed since `seen`, at most this long.
    pub(crate) fn wait_for_change(&self, seen: u64, time: Duration) {
        let state = self.lock();
        drop(self.0.changed.wait_timeout_while(state, time, |state| state.changes == seen));
    }

    /// Wakes those who wait, as what they wait for may be there.
    pub(crate) fn wake(&self) {
        self.change(|_| ());
    }

    fn end(&self, why: Interrupt) {
        self.change(|state| {
            let (earlier, _) = state.interrupt.get_or_insert_with(|| (why, Instant::now()));
            if why == Interrupt::Cancelled {
                *earlier = why;
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.changes = state.changes.wrapping_add(1);
        drop(state);
        self.0.changed.notify_all();
    }

    /// As if the interrupt had come this much earlier.
    #[cfg(test)]
    pub(crate) fn backdate(&self, by: Duration) {
        if let Some((_, since)) = &mut self.lock().interrupt {
            *since -= by;
        }
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
        for change in [Cancel::cancel, Cancel::detach, Cancel::wake] {
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

    #[test]
    fn a_cancel_overrides_a_detach_and_the_first_of_both_starts_the_clock() {
        let cancel = Cancel::new();
        assert_eq!(cancel.interrupt(), None);
        cancel.detach();
        let (why, since) = cancel.interrupt().unwrap();
        assert_eq!(why, Interrupt::Detached);
        for end in [Cancel::cancel, Cancel::detach] {
            std::thread::sleep(Duration::from_millis(1));
            end(&cancel);
            assert_eq!(cancel.interrupt(), Some((Interrupt::Cancelled, since)));
        }
    }
}
