//! Waiting that ends at once when the stand-in stops.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

#[derive(Default)]
pub struct Pause {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    released: bool,
}

impl Pause {
    /// False: the stand-in stops.
    pub fn sleep(&self, time: Duration) -> bool {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, time, |s| !s.stopped).unwrap();
        !state.stopped
    }

    pub fn sleep_ms(&self, ms: u64) -> bool {
        self.sleep(Duration::from_millis(ms))
    }

    /// Waits for `release`.
    pub fn hold(&self) -> bool {
        let state = self.state.lock().unwrap();
        let state = self.changed.wait_while(state, |s| !s.stopped && !s.released).unwrap();
        !state.stopped
    }

    /// Lets go what is held; what comes later is not held either, until `rearm`.
    pub fn release(&self) {
        self.state.lock().unwrap().released = true;
        self.changed.notify_all();
    }

    pub fn rearm(&self) {
        self.state.lock().unwrap().released = false;
    }

    pub fn stop(&self) {
        self.state.lock().unwrap().stopped = true;
        self.changed.notify_all();
    }

    pub fn stopped(&self) -> bool {
        self.state.lock().unwrap().stopped
    }
}
