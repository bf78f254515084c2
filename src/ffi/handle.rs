//! The content of a handle: the options, the command that runs, the result of the last one. All of it is behind one
//! lock, which is held only for moments.

use std::ffi::c_char;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::document::Document;
use super::events::Events;
use super::guard::catch;
use crate::cancel::Cancel;
use crate::commands::{Report, call};
use crate::config::options::{Command, Opt};
use crate::config::{Config, ConfigError};
use crate::event::Event;
use crate::outcome::{Code, Problem};
use crate::sys;

/// A text from the host: `None` for NULL, an error if it is not UTF-8.
type Given<'a> = Option<Result<&'a str, &'static str>>;

/// Options, and one command after the other.
#[derive(Default)]
pub struct Handle {
    state: Mutex<State>,
    /// An event was added, or the command has ended.
    changed: Condvar,
}

struct State {
    /// A command that runs has its own copy.
    config: Config,
    stage: Stage,
    /// Of the command that runs, or else of the next one.
    cancel: Cancel,
    events: Events,
    /// The event that was taken last.
    event: Document,
    code: Code,
    result: Document,
    /// The thread of the command that was started last.
    thread: Option<JoinHandle<()>>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    New,
    Running,
    Ended,
}

impl Default for State {
    fn default() -> State {
        let mut state = State {
            config: Config::new(),
            stage: Stage::New,
            cancel: Cancel::new(),
            events: Events::default(),
            event: Document::default(),
            code: Code::NoCommand,
            result: Document::default(),
            thread: None,
        };
        state.report(Report::bare(Code::NoCommand, Problem::default()));
        state
    }
}

/// A command that has begun.
struct Begun {
    command: Command,
    config: Config,
    cancel: Cancel,
}

impl Handle {
    pub(super) fn set(&self, name: Given, value: Given) -> Code {
        let mut state = self.lock();
        if state.stage == Stage::Running {
            return Code::Busy;
        }
        match set(&mut state.config, name, value) {
            Ok(()) => Code::RecoveryDone,
            Err(why) => state.refuse(Code::InvalidArgument, &why.to_string()),
        }
    }

    /// Runs a command on this thread.
    pub(super) fn call(self: &Arc<Handle>, command: Given) -> Code {
        let begun = self.lock().begin(command);
        begun.map_or_else(|refused| refused, |begun| self.carry_out(begun))
    }

    /// Runs a command on a thread of its own.
    pub(super) fn start(self: &Arc<Handle>, command: Given) -> Code {
        let mut state = self.lock();
        let begun = match state.begin(command) {
            Ok(begun) => begun,
            Err(refused) => return refused,
        };
        let handle = Arc::clone(self);
        let body = move || {
            handle.carry_out(begun);
        };
        let thread = thread::Builder::new().name("barman-recover".into());
        // The command ends by taking the lock, which is held until its thread has been noted here.
        match sys::with_signals_blocked(|| thread.spawn(body)) {
            // The thread of the command before has ended it, and thus does nothing any more.
            Ok(thread) => drop(state.thread.replace(thread)),
            Err(why) => {
                state.stage = Stage::Ended;
                return state.refuse(Code::Busy, &format!("no thread can be started for the command: {why}"));
            }
        }
        Code::RecoveryDone
    }

    fn carry_out(self: &Arc<Handle>, begun: Begun) -> Code {
        let Begun { command, config, cancel } = begun;
        let handle = Arc::clone(self);
        #[cfg(feature = "panic-test")]
        let panics = config.text(Opt::SshCommand) == Some("panic in run!");
        let on_event = move |event| {
            #[cfg(feature = "panic-test")]
            assert!(!panics, "panic test");
            handle.lock().events.push(event);
            handle.changed.notify_all();
        };
        let report = catch(|| call(command, &config, &cancel, on_event)).unwrap_or_else(|why| bug(&why));
        let code = report.code;
        let mut state = self.lock();
        state.report(report);
        (state.stage, state.cancel) = (Stage::Ended, Cancel::new());
        drop(state);
        self.changed.notify_all();
        code
    }

    pub(super) fn next_event(&self, timeout: Duration) -> i32 {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(event) = state.events.take() {
                state.take(&event);
                return 1;
            }
            if state.stage == Stage::Ended {
                return -1;
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return 0;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn event(&self, pointer: Given) -> *const c_char {
        at(&mut self.lock().event, pointer)
    }

    pub(super) fn get(&self, pointer: Given) -> *const c_char {
        at(&mut self.lock().result, pointer)
    }

    pub(super) fn code(&self) -> Code {
        self.lock().code
    }

    pub(super) fn cancel(&self) {
        let cancel = self.lock().cancel.clone();
        cancel.cancel();
    }

    /// Cancels the command that runs, and waits for its end.
    pub(super) fn close(&self) {
        self.cancel();
        let mut state = self.lock();
        while state.stage == Stage::Running {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let thread = state.thread.take();
        drop(state);
        if let Some(thread) = thread {
            let _ = thread.join(); // its panics were caught
        }
    }

    /// Reports a panic in a function other than a command.
    pub(super) fn panicked(&self, why: &str) {
        self.lock().report(bug(why));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins a command, unless one runs, and discards what the previous command has left.
    fn begin(&mut self, command: Given) -> Result<Begun, Code> {
        if self.stage == Stage::Running {
            return Err(Code::Busy);
        }
        let name = required("the name of a command", command);
        let command = match name.and_then(Command::find) {
            Ok(command) => command,
            Err(why) => return Err(self.refuse(Code::InvalidArgument, &why.to_string())),
        };
        self.stage = Stage::Running;
        self.events = Events::default();
        self.event = Document::default();
        self.refuse(Code::Busy, &format!("the command {} is running", command.name()));
        Ok(Begun { command, config: self.config.clone(), cancel: self.cancel.clone() })
    }

    /// Says why a call was refused, in place of the result of the last command.
    fn refuse(&mut self, code: Code, why: &str) -> Code {
        self.result.forget();
        self.report(Report::bare(code, Problem::without_hint(why)));
        code
    }

    fn report(&mut self, report: Report) {
        self.code = report.code;
        self.result.set(report.json);
    }

    fn take(&mut self, event: &Event) {
        self.event.forget();
        self.event.set(serde_json::to_value(event).unwrap_or_default()); // texts and numbers always serialize
    }
}

fn set(config: &mut Config, name: Given, value: Given) -> Result<(), ConfigError> {
    let option = Opt::find(required("the name of an option", name)?)?;
    let Some(value) = value else {
        config.reset(option);
        return Ok(());
    };
    let value = value.map_err(|why| ConfigError::of(option, why))?;
    #[cfg(feature = "panic-test")]
    assert_ne!((option, value), (Opt::SshCommand, "panic!"), "panic test");
    config.set(option, value).map(|_| ())
}

fn required<'a>(what: &str, given: Given<'a>) -> Result<&'a str, ConfigError> {
    let text = given.unwrap_or(Err("must not be NULL"));
    text.map_err(|why| ConfigError::new(format!("{what} {why}")))
}

fn at(document: &mut Document, pointer: Given) -> *const c_char {
    match pointer {
        Some(Ok(pointer)) => document.text(pointer),
        Some(Err(_)) | None => c"".as_ptr(),
    }
}

fn bug(why: &str) -> Report {
    Report::bare(Code::Panic, Problem::new(format!("a bug in barman-recover: {why}"), "please report it"))
}
