//! Threads for work that has no time limit of its own: the caller can stop waiting whenever it wants, and leaves the
//! thread behind.

use std::io;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::cancel::Cancel;
use crate::sys;
use crate::timing::{FAREWELL, MOMENT};

/// Starts a thread with this name, in which no signal handler of the host ever runs.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.into()).stack_size(256 << 10);
    sys::with_signals_blocked(|| thread.spawn(work))
}

/// Waits for the end of a thread that is about to end, so that a host finds none of ours after a call; one that hangs is
/// left behind.
pub(crate) fn part_with(thread: JoinHandle<()>) {
    let begun = Instant::now();
    while !thread.is_finished() {
        if begun.elapsed() >= FAREWELL {
            return;
        }
        thread::sleep(MOMENT);
    }
    let _ = thread.join(); // a panic was reported
}

/// Work for which a caller waits until an interrupt: see `Caller::wait_for`.
pub(crate) struct Worker<T> {
    answer: Receiver<T>,
    thread: JoinHandle<()>,
}

/// Wakes whoever waits when it is dropped: also when the work panics.
struct Wake(Cancel);

impl Drop for Wake {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The thread has ended without an answer: it panicked.
#[derive(Debug)]
pub(crate) struct Panicked;

impl<T: Send + 'static> Worker<T> {
    /// Starts the work. `cancel` is that of the caller who will wait for it.
    pub(crate) fn start(
        name: &str,
        cancel: &Cancel,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Worker<T>> {
        let (sender, answer) = mpsc::sync_channel(1);
        let wake = Wake(cancel.clone());
        let thread = spawn(name, move || {
            let _wake = wake;
            let sender = sender; // dropped before the other one wakes
            let _ = sender.send(work()); // maybe nobody is waiting any more
        })?;
        Ok(Worker { answer, thread })
    }

    /// The answer, if it is there.
    pub(crate) fn answer(&self) -> Option<Result<T, Panicked>> {
        match self.answer.try_recv() {
            Ok(answer) => Some(Ok(answer)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Panicked)),
        }
    }

    /// Waits for the end of the thread, which is near once the answer is there.
    pub(crate) fn join(self) {
        let _ = self.thread.join(); // a panic was reported
    }

    /// The same for a thread that may hang: not longer than [`FAREWELL`].
    pub(crate) fn part(self) {
        part_with(self.thread);
    }
}
