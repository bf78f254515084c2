//! The caller of a run: where its events go, and whether the run has to end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::{Cancel, Interrupt};
use crate::event::Event;
use crate::world::worker::{Panicked, Worker};

type OnEvent = Box<dyn FnMut(Event) + Send>;

#[derive(Clone)]
pub(crate) struct Caller {
    on_event: Arc<Mutex<OnEvent>>,
    pub(crate) cancel: Cancel,
}

impl Caller {
    pub(crate) fn new(on_event: impl FnMut(Event) + Send + 'static, cancel: Cancel) -> Caller {
        Caller { on_event: Arc::new(Mutex::new(Box::new(on_event))), cancel }
    }

    pub(crate) fn report(&self, event: Event) {
        (self.on_event.lock().unwrap_or_else(PoisonError::into_inner))(event);
    }

    /// Waits. With a time of zero it only checks whether an interrupt is in effect.
    pub(crate) fn wait(&self, time: Duration) -> Result<(), Interrupt> {
        let begun = Instant::now();
        self.wait_until(|| time.saturating_sub(begun.elapsed()), || None::<()>).map(|_| ())
    }

    /// Waits until the worker has an answer, or no time is left: then `None`.
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
            self.cancel.wait_for_change(seen, left);
        }
    }

    /// Why the run has to end, if it has.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        self.cancel.interrupt()
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Caller")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn an_interrupt_ends_a_wait() {
        let caller = Caller::new(|_| (), Cancel::new());
        assert_eq!((caller.wait(Duration::ZERO), caller.interrupt()), (Ok(()), None));
        let other = caller.cancel.clone();
        let thread = std::thread::spawn(move || other.cancel());
        let why = Interrupt::Cancelled;
        assert_eq!((caller.wait(LONG), caller.interrupt()), (Err(why), Some(why)));
        thread.join().unwrap();
    }

    #[test]
    fn an_answer_ends_the_wait_for_it_and_so_does_a_panic() {
        let caller = Caller::new(|_| (), Cancel::new());
        let answered = Worker::start("answers", &caller.cancel, || 7).unwrap();
        assert_eq!(caller.wait_for(&answered, || LONG).unwrap().unwrap().unwrap(), 7);
        answered.join();
        let panics = Worker::start("panics", &caller.cancel, || panic!("on purpose")).unwrap();
        assert!(matches!(caller.wait_for::<()>(&panics, || LONG), Ok(Some(Err(Panicked)))));
        panics.join();
    }

    #[test]
    fn the_wait_for_work_that_hangs_ends_by_time_or_interrupt() {
        let caller = Caller::new(|_| (), Cancel::new());
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let hangs = Worker::start("hangs", &caller.cancel, move || hold.recv().is_err()).unwrap();
        assert!(matches!(caller.wait_for(&hangs, || Duration::ZERO), Ok(None)));
        caller.cancel.cancel();
        assert!(matches!(caller.wait_for(&hangs, || LONG), Err(Interrupt::Cancelled)));
        drop(release);
        hangs.join();
    }
}
