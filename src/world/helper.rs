//! A thread for work that has no time limit of its own: the caller can stop waiting whenever it wants.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::sys;

/// Does the work in a thread with this name, which may outlive the call. The result comes over the channel.
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (sender, answer) = mpsc::sync_channel(1);
    let work = move || {
        let _ = sender.send(work()); // maybe nobody is waiting any more
    };
    let thread = thread::Builder::new().name(name.into()).stack_size(256 << 10);
    sys::with_signals_blocked(|| thread.spawn(work))?;
    Ok(answer)
}
