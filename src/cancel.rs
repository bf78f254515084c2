//! Ends a run from another thread, promptly: also during waits and requests.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Ends a run from any thread. Clones share one state, and a cancel can't be undone.
///
/// A request in flight that starts something still has up to eight seconds for its reply.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Shared>);

/// Why a run has to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// By [`Cancel::cancel`].
    Cancelled,
    /// By [`Cancel::detach`].
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
    /// The socket of the request in flight, if an interrupt has to shut it down.
    socket: Weak<TcpStream>,
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

    /// Waits for an interrupt, at most this long.
    pub(crate) fn wait(&self, time: Duration) {
        let begun = Instant::now();
        let mut state = self.lock();
        while state.interrupt.is_none() {
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            let waited = self.0.changed.wait_timeout(state, left.min(Duration::from_secs(3600)));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Makes an interrupt shut down this socket, instead of the previous one. Returns the interrupt if there has been
    /// one.
    pub(crate) fn watch(&self, socket: Weak<TcpStream>) -> Option<Interrupt> {
        let mut state = self.lock();
        state.socket = socket;
        state.interrupt.map(|(why, _)| why)
    }

    fn end(&self, why: Interrupt) {
        let mut state = self.lock();
        let (earlier, _) = state.interrupt.get_or_insert_with(|| (why, Instant::now()));
        if why == Interrupt::Cancelled {
            *earlier = why;
        }
        if let Some(socket) = state.socket.upgrade() {
            let _ = socket.shutdown(Shutdown::Both); // an error means that it is already closed
        }
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

    #[test]
    fn a_wait_ends_when_cancelled_from_another_thread() {
        for end in [Cancel::cancel, Cancel::detach] {
            let cancel = Cancel::new();
            let other = cancel.clone();
            let thread = std::thread::spawn(move || end(&other));
            cancel.wait(Duration::from_secs(600));
            assert!(cancel.is_cancelled());
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_wait_ends_at_its_time() {
        let cancel = Cancel::new();
        cancel.wait(Duration::from_millis(10));
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
