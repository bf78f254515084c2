//! Ends a run cleanly on a signal: cancels it, lets it report what goes on without us, and dies from that signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError::Timeout, Sender};
use std::thread;
use std::time::{Duration, Instant};

use barman_recover::{Cancel, Level, OperationState};

use crate::log::Log;
use crate::sys::Signals;

/// How long a run has to end cleanly after a signal. GRACE applies if something may have been started: a
/// process that can't be killed at once is waited for up to 8 s, and Patroni kills the hook after 10 s.
/// PROMPT applies otherwise.
const GRACE: Duration = Duration::from_secs(9);
const PROMPT: Duration = Duration::from_millis(700);

/// Time limit for writing a line of our own: the run may hang because nobody reads its log.
const WRITING: Duration = Duration::from_millis(250);

/// While an operation may be running, the process lives at least this long after the signal. Patroni checks once a
/// second whether the hook that it is ending is gone (`CancellableSubprocess.cancel`), and mistakes a hook
/// that was started in the meantime for the old one. After ten seconds it would kill the new hook, and the
/// next method would write into the directory in parallel with Barman.
const LINGER: Duration = Duration::from_millis(750);

/// A run that a signal can end.
pub struct Watched {
    pub cancel: Cancel,
    /// The signal that came, or 0.
    signal: Arc<AtomicI32>,
    ended: Sender<()>,
}

impl Watched {
    /// Begins to watch a run.
    pub fn start(log: &Log) -> Watched {
        let (ended, end) = mpsc::channel();
        let watched = Watched { cancel: Cancel::new(), signal: Arc::default(), ended };
        let signals = Signals::block();
        let (cancel, came, log) = (watched.cancel.clone(), Arc::clone(&watched.signal), log.clone());
        let watch = move || {
            let (signal, name) = signals.wait();
            let since = Instant::now();
            came.store(signal, Ordering::Relaxed);
            log.write_within(WRITING, Level::Info, format!("{name} received"));
            cancel.cancel();
            signals.unblock(); // a second signal ends the program at once
            if has_ended(&log, &end, since) {
                return;
            }
            if log.operation().1.may_be_running() {
                thread::sleep(LINGER.saturating_sub(since.elapsed()));
            }
            signals.die_by(signal);
        };
        if thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(watch).is_err() {
            signals.unblock(); // nobody waits for the signals, so restore their default action
        }
        watched
    }

    /// The exit status for the signal that came.
    pub fn status(&self) -> u8 {
        u8::try_from(128 + self.signal.load(Ordering::Relaxed)).unwrap_or(u8::MAX)
    }

    /// The run has ended by itself, and a signal is too late.
    pub fn end(self) {
        let _ = self.ended.send(()); // an error: the signals are not watched
    }

    /// A signal has ended the run: the process dies from that signal.
    pub fn die(self) {
        drop(self.ended);
        thread::sleep(Duration::from_secs(60));
    }
}

/// Waits for the end of a run after a signal. Returns whether the run ended for another reason.
fn has_ended(log: &Log, end: &Receiver<()>, since: Instant) -> bool {
    let wait = |limit: Duration| end.recv_timeout(limit.saturating_sub(since.elapsed()));
    let mut ended = wait(PROMPT);
    if ended == Err(Timeout) && log.operation().1 != OperationState::NotCreated {
        ended = wait(GRACE);
    }
    if ended == Err(Timeout) {
        let operation = match log.operation() {
            (_, OperationState::NotCreated) => "no operation was started".into(),
            (id, state) => format!("operation {} is {}", id.unwrap_or_default(), state.name()),
        };
        log.write_within(WRITING, Level::Warning, format!("cancelled: {operation}"));
    }
    ended.is_ok()
}
