//! The host of a run: where its events go, and whether it wants an end. Ticks are given from wherever the
//! run waits (a pause, a lookup, a read), always on the thread that runs it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::event::Event;

/// How often the host hears of a run.
const TICK: Duration = Duration::from_secs(1);

type OnEvent = Box<dyn FnMut(Event) + Send>;

#[derive(Clone)]
pub(crate) struct Host {
    on_event: Arc<Mutex<(OnEvent, Instant)>>,
    pub(crate) cancel: Cancel,
}

impl Host {
    pub(crate) fn new(on_event: impl FnMut(Event) + Send + 'static, cancel: Cancel) -> Host {
        Host { on_event: Arc::new(Mutex::new((Box::new(on_event), Instant::now()))), cancel }
    }

    pub(crate) fn tell(&self, event: Event) {
        let mut told = self.on_event.lock().unwrap_or_else(PoisonError::into_inner);
        (told.0)(event);
    }

    /// Ticks if it is time; tells how long until the next one.
    pub(crate) fn tick(&self) -> Duration {
        let mut told = self.on_event.lock().unwrap_or_else(PoisonError::into_inner);
        let since = told.1.elapsed();
        if since < TICK {
            return TICK - since;
        }
        told.1 = Instant::now();
        (told.0)(Event::Tick);
        TICK
    }

    /// Waits, ticking; tells whether the host wants an end.
    pub(crate) fn wait(&self, wait: Duration) -> bool {
        let Some(end) = Instant::now().checked_add(wait) else {
            return self.wait(Duration::from_secs(1 << 32));
        };
        loop {
            let next = Instant::now() + self.tick();
            if self.cancel.wait_until(end.min(next)) {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
        }
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}
