//! Ends a run from another thread: promptly, both while it waits and during a request.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Ends a run from any thread. Clones belong together. Once cancelled, always cancelled.
///
/// It does not end the operation on the Barman host: the API has no call for that.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    /// The socket of the request under way.
    socket: Weak<TcpStream>,
}

impl Cancel {
    /// Not cancelled yet.
    #[must_use]
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Asks the run to end. Takes locks, so it must not be called in a signal handler.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        if let Some(socket) = state.socket.upgrade() {
            let _ = socket.shutdown(Shutdown::Both); // an error means that it is closed already
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// Waits until `end` or until cancelled; tells whether cancelled.
    pub(crate) fn wait_until(&self, end: Instant) -> bool {
        let mut state = self.lock();
        while !state.cancelled {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.changed.wait_timeout(state, left.min(Duration::from_secs(3600)));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.cancelled
    }

    /// Has `cancel` shut this socket down; tells whether it is too late for that.
    pub(crate) fn watch(&self, socket: &Arc<TcpStream>) -> bool {
        let mut state = self.lock();
        state.socket = Arc::downgrade(socket);
        state.cancelled
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
        let cancel = Cancel::new();
        let other = cancel.clone();
        let thread = std::thread::spawn(move || other.cancel());
        assert!(cancel.wait_until(Instant::now() + Duration::from_secs(600)));
        assert!(cancel.is_cancelled());
        thread.join().unwrap();
    }

    #[test]
    fn a_wait_ends_at_its_time() {
        assert!(!Cancel::new().wait_until(Instant::now() + Duration::from_millis(10)));
    }
}
