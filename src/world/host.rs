//! The host of a run: where its events go, and whether the run has to end. Ticks come from wherever the run waits (a
//! pause, a request), always on the thread that runs it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::{Cancel, Interrupt};
use crate::event::Event;
use crate::world::GRACE;
use crate::world::helper::{Panicked, Worker};

/// Time between two ticks.
const TICK: Duration = Duration::from_secs(1);

type OnEvent = Box<dyn FnMut(Event) + Send>;

#[derive(Clone)]
pub(crate) struct Host {
    events: Arc<Mutex<Events>>,
    pub(crate) cancel: Cancel,
    /// Whether an interrupt takes effect only [`GRACE`] after it came. Only the recovery without a lease needs it, to
    /// watch the end of the restore that it has ended.
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
        self.wait_until(|| time.saturating_sub(begun.elapsed()), || None::<()>).map(|_| ())
    }

    /// Waits and ticks until the worker has an answer, or no time is left: then `None`.
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        worker: &Worker<T>,
        left: impl Fn() -> Duration,
    ) -> Result<Option<Result<T, Panicked>>, Interrupt> {
        self.wait_until(left, || worker.answer())
    }

    fn wait_until<T>(
        &self,
        left: impl Fn() -> Duration,
        found: impl Fn() -> Option<T>,
    ) -> Result<Option<T>, Interrupt> {
        loop {
            let seen = self.cancel.changes();
            let next = self.tick();
            if let Some(found) = found() {
                return Ok(Some(found));
            }
            if let Some(interrupt) = self.interrupt() {
                return Err(interrupt);
            }
            let left = left();
            if left.is_zero() {
                return Ok(None);
            }
            self.cancel.wait_for_change(seen, left.min(next));
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
    fn an_answer_ends_the_wait_for_it_and_so_does_a_panic() {
        let host = Host::new(|_| (), Cancel::new());
        let answered = Worker::start("answers", &host.cancel, || 7).unwrap();
        assert_eq!(host.wait_for(&answered, || LONG).unwrap().unwrap().unwrap(), 7);
        answered.join();
        let panics = Worker::start("panics", &host.cancel, || panic!("on purpose")).unwrap();
        assert!(matches!(host.wait_for::<()>(&panics, || LONG), Ok(Some(Err(Panicked)))));
        panics.join();
    }

    #[test]
    fn the_wait_for_work_that_hangs_ends_by_time_or_interrupt() {
        let host = Host::new(|_| (), Cancel::new());
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let hangs = Worker::start("hangs", &host.cancel, move || hold.recv().is_err()).unwrap();
        assert!(matches!(host.wait_for(&hangs, || Duration::ZERO), Ok(None)));
        host.cancel.cancel();
        assert!(matches!(host.wait_for(&hangs, || LONG), Err(Interrupt::Cancelled)));
        drop(release);
        hangs.join();
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
