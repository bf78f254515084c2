//! Threads for work that has no time limit of its own: the caller can stop waiting whenever it wants, and leaves the
//! thread behind.

use std::io;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::{self, JoinHandle};

use crate::cancel::Cancel;
use crate::sys;

/// Does the work in a thread with this name, which may outlive the call. The result comes over the channel.
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (sender, answer) = mpsc::sync_channel(1);
    spawn(name, move || {
        let _ = sender.send(work()); // maybe nobody is waiting any more
    })?;
    Ok(answer)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.into()).stack_size(256 << 10);
    sys::with_signals_blocked(|| thread.spawn(work))
}

/// Work for which a host waits, with its ticks and until an interrupt: see `Host::wait_for`.
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
    /// Starts the work. `cancel` is that of the host that will wait for it.
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
}
