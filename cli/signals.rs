//! Ends a run by a signal, in order: cancels it, says what goes on without us, and dies by that signal.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use barman_recover::{Cancel, Level};

use crate::log::Log;
use crate::sys::{self, Signals};

/// How long a signalled run has to end in order: a create under way waits up to 8 s for its reply, a TCP connect can't
/// be interrupted, and Patroni kills after 10 s.
const GRACE: Duration = Duration::from_secs(9);

/// How long a line of ours may take to be written: the run may hang because nobody reads its log.
const WRITING: Duration = Duration::from_millis(250);

/// While an operation may be running, the process lives this long after the signal. Patroni looks once a second
/// whether the hook that it has told to end is gone (`CancellableSubprocess.cancel`). When that one has ended at
/// once and the next has been started meanwhile, it takes the new one for the old, kills it after ten seconds,
/// and lets the next method write beside Barman.
const LINGER: Duration = Duration::from_millis(750);

/// A run that a signal ends.
pub struct Watched {
    pub cancel: Cancel,
    ended: Sender<()>,
}

impl Watched {
    /// Begins to watch; `kind` is the word for the operation that may continue on the Barman host.
    pub fn start(log: &Log, kind: &'static str) -> Watched {
        let cancel = Cancel::new();
        let (ended, wait_for_end) = mpsc::channel();
        let signals = Signals::block();
        let (watched, log) = (cancel.clone(), log.clone());
        let watch = move || {
            let signal = signals.wait();
            let came = Instant::now();
            log.write_within(WRITING, Level::Info, format!("{} received", sys::signal_name(signal)));
            // A lost terminal must not cost hours.
            if signal == libc::SIGHUP {
                watched.detach();
            } else {
                watched.cancel();
            }
            let end = wait_for_end.recv_timeout(GRACE.saturating_sub(came.elapsed()));
            if end.is_ok() {
                return;
            }
            if end == Err(RecvTimeoutError::Timeout) {
                log.write_within(WRITING, Level::Warning, continues(&log, kind));
            }
            if log.operation().state.may_be_running() {
                thread::sleep(LINGER.saturating_sub(came.elapsed()));
            }
            signals.die_by(signal);
        };
        let started = thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(watch);
        if started.is_err() {
            // Without the thread a signal would do nothing: better its default action.
            signals.unblock();
        }
        Watched { cancel, ended }
    }

    /// The run has ended otherwise: a signal that comes now is too late.
    pub fn over(self) {
        let _ = self.ended.send(());
    }

    /// The run has been cancelled: the watching thread ends the process by the signal.
    pub fn die(self) {
        drop(self.ended);
        thread::sleep(Duration::from_secs(60));
    }
}

fn continues(log: &Log, kind: &str) -> String {
    let operation = log.operation();
    match operation.id {
        Some(id) if operation.state.may_be_running() => {
            format!("cancelled: {kind} operation {id} continues on the Barman host")
        }
        None if operation.state.may_be_running() => {
            format!(
                "cancelled: a {kind} operation may have been created and then continues on the Barman host"
            )
        }
        _ => format!("cancelled: no {kind} operation was started"),
    }
}
