//! `patroni_barman`: Patroni's hook that restores a Barman backup. It only reads arguments and writes the
//! log; the recovery is the library's.

mod args;
#[cfg(test)]
mod docs;
mod log;
mod sys;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use barman_recover::{Cancel, Code, Event, Level, OperationState};

use args::{Ask, Recover};
use log::Log;
use sys::Signals;

/// As argparse's and clap's.
const WRONG_USAGE: u8 = 2;

/// How long a signalled run has to end in order: a TCP connect can't be interrupted.
const GRACE: Duration = Duration::from_millis(700);

fn main() -> ExitCode {
    match args::parse(std::env::args_os(), |name| std::env::var_os(name)) {
        Ask::Print(text) => print(&text, ExitCode::SUCCESS),
        Ask::NoCommand(help) => print(&help, ExitCode::from(Code::NoCommand.exit_status())),
        Ask::Wrong(text) => wrong(&text),
        Ask::Recover(ask) => recover(*ask),
    }
}

fn print(text: &str, code: ExitCode) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes()); // nobody reads it
    code
}

fn wrong(text: &str) -> ExitCode {
    let _ = io::stderr().write_all(text.as_bytes()); // nobody reads it
    ExitCode::from(WRONG_USAGE)
}

fn recover(ask: Recover) -> ExitCode {
    let log = match Log::open(ask.log_file.as_deref()) {
        Ok(log) => log,
        Err(error) => {
            let path = ask.log_file.unwrap_or_default();
            return wrong(&format!(
                "{}: error: argument --log-file: {}: {error}\n",
                args::NAME,
                path.display()
            ));
        }
    };
    if !ask.ignored.is_empty() {
        let names = ask.ignored.join(", ");
        log.write(Level::Warning, &format!("ignoring options that are not known (mistyped?): {names}"));
    }
    let cancel = Cancel::new();
    let operation = Arc::new(Mutex::new((OperationState::NotCreated, None)));
    let signals = Signals::block();
    let ended = watch_signals(signals, &cancel, &log, &operation);
    let events = log.clone();
    let outcome = barman_recover::run(&ask.config, &cancel, move |event| match event {
        Event::Log { level, message } => events.write(level, &message),
        Event::State { state, operation_id } => {
            *operation.lock().unwrap_or_else(PoisonError::into_inner) = (state, operation_id);
        }
        _ => {}
    });
    match outcome.code {
        Code::Cancelled => {
            drop(ended); // the watching thread ends the process by the signal
            thread::sleep(Duration::from_secs(60));
            ExitCode::from(outcome.code.exit_status())
        }
        code => {
            let _ = ended.send(()); // a signal that comes now is too late
            ExitCode::from(if code == Code::InvalidArgument { WRONG_USAGE } else { code.exit_status() })
        }
    }
}

/// What the signal watcher may have to say of the operation.
type Operation = Arc<Mutex<(OperationState, Option<String>)>>;

/// Waits for a signal in a thread of its own, cancels the run, and ends the process by that signal once the
/// run has been cancelled (the returned sender is dropped) or has had its time; not if it has ended otherwise.
fn watch_signals(signals: Signals, cancel: &Cancel, log: &Log, operation: &Operation) -> Sender<()> {
    let (ended, wait_for_end) = mpsc::channel();
    let (cancel, log, operation) = (cancel.clone(), log.clone(), operation.clone());
    let watch = move || {
        let signal = signals.wait();
        let name = sys::signal_name(signal);
        log.write(Level::Debug, &format!("{name} received"));
        cancel.cancel();
        let end = wait_for_end.recv_timeout(GRACE);
        if end.is_ok() {
            return;
        }
        if end == Err(RecvTimeoutError::Timeout) {
            let line = match &*operation.lock().unwrap_or_else(PoisonError::into_inner) {
                (state, Some(id)) if state.may_be_running() => {
                    format!("cancelled: recovery operation {id} goes on at the Barman host")
                }
                (state, None) if state.may_be_running() => {
                    "cancelled: a recovery operation may have been created and goes on at the Barman host then".into()
                }
                _ => "cancelled: no recovery operation was started".to_string(),
            };
            log.write(Level::Warning, &line);
        }
        signals.die_by(signal);
    };
    let started = thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(watch);
    if started.is_err() {
        // Without the thread a signal would do nothing: better its default action.
        signals.unblock();
    }
    ended
}
