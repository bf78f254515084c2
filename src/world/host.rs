//! The host of a run: where its events go, and whether the run has to end. Ticks come from wherever the run waits (a
//! pause, a lookup, a read), always on the thread that runs it.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::cancel::{Cancel, Interrupt};
use crate::event::Event;
use crate::world::GRACE;

/// Time between two ticks.
const TICK: Duration = Duration::from_secs(1);

type OnEvent = Box<dyn FnMut(Event) + Send>;

#[derive(Clone)]
pub(crate) struct Host {
    events: Arc<Mutex<Events>>,
    pub(crate) cancel: Cancel,
    /// Whether an interrupt takes effect only [`GRACE`] after it came.
    has_grace: Arc<AtomicBool>,
}

struct Events {
    on_event: OnEvent,
    last_tick: Instant,
}

impl Host {
    pub(crate) fn new(on_event: impl FnMut(Event) + Send + 'static, cancel: Cancel) -> Host {
        let events = Events { on_event: Box::new(on_event), last_tick: Instant::now() };
        Host { events: Arc::new(Mutex::new(events)), cancel, has_grace: Arc::default() }
    }

    pub(crate) fn report(&self, event: Event) {
        (self.events().on_event)(event);
    }

    /// Ticks if it is time. Returns how long to wait before the next call: until the next tick, or until an interrupt
    /// takes effect.
    pub(crate) fn tick(&self) -> Duration {
        let mut events = self.events();
        let mut next = TICK.saturating_sub(events.last_tick.elapsed());
        if next.is_zero() {
            (events.last_tick, next) = (Instant::now(), TICK);
            (events.on_event)(Event::Tick);
        }
        match self.cancel.interrupt() {
            Some((_, since)) => next.min(self.grace().saturating_sub(since.elapsed())),
            None => next,
        }
    }

    /// Waits and ticks. With a time of zero it only checks whether an interrupt is in effect.
    pub(crate) fn wait(&self, time: Duration) -> Result<(), Interrupt> {
        let begun = Instant::now();
        loop {
            let next = self.tick();
            if let Some(interrupt) = self.interrupt() {
                return Err(interrupt);
            }
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            if self.grace().is_zero() {
                self.cancel.wait(left.min(next));
            } else {
                std::thread::sleep(left.min(next));
            }
        }
    }

    /// The interrupt, once it is in effect: at once, or at the end of the grace.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        let (why, since) = self.cancel.interrupt()?;
        (since.elapsed() >= self.grace()).then_some(why)
    }

    /// From now on waits and requests continue until [`GRACE`] after an interrupt.
    pub(crate) fn grant_grace(&self) {
        self.has_grace.store(true, Ordering::Relaxed);
    }

    /// How long waits and requests continue after an interrupt. The same applies to the deadline, which the host does
    /// not know.
    pub(crate) fn grace(&self) -> Duration {
        if self.has_grace.load(Ordering::Relaxed) { GRACE } else { Duration::ZERO }
    }

    /// The host of one request, which can be granted grace separately.
    pub(crate) fn for_request(&self) -> Host {
        Host { has_grace: Arc::new(AtomicBool::new(!self.grace().is_zero())), ..self.clone() }
    }

    /// Lets an interrupt that takes effect at once shut down the socket of the current request. Fails if one has come
    /// already.
    pub(crate) fn watch(&self, socket: &Arc<TcpStream>) -> Result<(), Interrupt> {
        self.watch_unless_grace(Arc::downgrade(socket))
    }

    /// The request is about to start something: unless an interrupt has come, it gets the grace for its reply.
    pub(crate) fn commit(&self) -> Result<(), Interrupt> {
        self.watch_unless_grace(Weak::new())?;
        self.has_grace.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn watch_unless_grace(&self, socket: Weak<TcpStream>) -> Result<(), Interrupt> {
        match self.interrupt() {
            Some(interrupt) => Err(interrupt),
            None if self.grace().is_zero() => self.cancel.watch(socket).map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    fn events(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn an_interrupt_ends_a_wait_and_names_its_reason() {
        for (end, why) in [
            (Cancel::cancel as fn(&Cancel), Interrupt::Cancelled),
            (Cancel::detach as fn(&Cancel), Interrupt::Detached),
        ] {
            let host = Host::new(|_| (), Cancel::new());
            assert_eq!((host.wait(Duration::ZERO), host.interrupt()), (Ok(()), None));
            let other = host.cancel.clone();
            let thread = std::thread::spawn(move || end(&other));
            assert_eq!((host.wait(LONG), host.interrupt()), (Err(why), Some(why)));
            thread.join().unwrap();
        }
    }

    #[test]
    fn with_grace_waits_last_until_it_is_over() {
        let host = Host::new(|_| (), Cancel::new());
        host.cancel.cancel();
        host.grant_grace();
        let begun = Instant::now();
        assert_eq!(host.wait(Duration::from_millis(20)), Ok(()));
        assert!(begun.elapsed() >= Duration::from_millis(20));
        host.cancel.backdate(GRACE - Duration::from_millis(20));
        assert_eq!(host.wait(LONG), Err(Interrupt::Cancelled));
        assert_eq!(host.wait(Duration::ZERO), Err(Interrupt::Cancelled));
    }

    #[test]
    fn the_grace_of_one_request_is_not_that_of_the_run() {
        let host = Host::new(|_| (), Cancel::new());
        let request = host.for_request();
        request.commit().unwrap();
        host.cancel.cancel();
        assert_eq!((request.interrupt(), host.interrupt()), (None, Some(Interrupt::Cancelled)));
        assert_eq!(host.for_request().commit(), Err(Interrupt::Cancelled));
    }

    #[test]
    fn a_long_wait_ticks() {
        let ticks = Arc::new(Mutex::new(0));
        let counted = ticks.clone();
        let host = Host::new(move |_| *counted.lock().unwrap() += 1, Cancel::new());
        host.wait(TICK + Duration::from_millis(100)).unwrap();
        assert!(*ticks.lock().unwrap() >= 1);
    }
}
