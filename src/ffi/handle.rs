//! What is behind a handle: the options until the run, the report from then on. Everything that changes is
//! behind one lock, which is never held while the host's callback runs.

use std::ffi::{CString, c_char, c_void};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::numbers::barman_recover_event as Kind;
use crate::cancel::Cancel;
use crate::config::options::Opt;
use crate::config::{Config, ConfigError, Value};
use crate::event::Event;
use crate::outcome::{Code, Outcome};
use crate::text::printable;

/// Told what happens during a run: kind is a BARMAN_RECOVER_EVENT_..., of which the meaning of level and
/// message depends; message is never NULL and valid until the callback returns; user_data is what was given
/// to barman_recover_set_event_callback.
///
/// Returns 0 to go on; anything else cancels the run, as barman_recover_cancel does.
///
/// Called on the thread that is inside barman_recover_run, one call at a time. The run waits for it, so it
/// should be quick. It may call barman_recover_cancel and all functions that return something about the
/// handle. Setters and barman_recover_run return BARMAN_RECOVER_BUSY in it, and barman_recover_free is
/// forbidden in it. It must return: neither a C++ exception nor longjmp may leave it.
#[allow(non_camel_case_types, reason = "named as in the header")]
pub type barman_recover_event_fn = Option<
    unsafe extern "C" fn(kind: i32, level: i32, message: *const c_char, user_data: *mut c_void) -> i32,
>;

/// One recovery. Its inside is the library's.
pub struct Handle {
    pub(super) cancel: Cancel,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    config: Config,
    callback: Option<Callback>,
    /// A panic was caught: whatever it left is not to be run.
    broken: bool,
    report: Outcome,
    /// Every text that was handed out, kept for the life of the handle.
    texts: Vec<CString>,
}

enum Phase {
    Setup,
    Running(Instant),
    Ended(Duration),
}

impl Handle {
    pub(super) fn new() -> Handle {
        let state = State {
            phase: Phase::Setup,
            config: Config::new(),
            callback: None,
            broken: false,
            report: Outcome::not_begun(Code::InvalidArgument, ""),
            texts: Vec::new(),
        };
        Handle { cancel: Cancel::new(), state: Mutex::new(state) }
    }

    pub(super) fn set(&self, option: Opt, value: Result<Value, &str>) -> Code {
        self.set_up(|state| {
            #[cfg(feature = "panic-test")]
            assert_ne!((option, value), (Opt::BackupId, Ok(Value::Text("panic!"))), "panic test");
            let refused = match value {
                Ok(value) => state.config.set(option, value).err().map(|error| error.to_string()),
                Err(why) => Some(ConfigError::of(option, why).to_string()),
            };
            match refused {
                None => Code::RecoveryDone,
                Some(why) => {
                    state.report.message = why;
                    Code::InvalidArgument
                }
            }
        })
    }

    pub(super) fn set_callback(&self, function: barman_recover_event_fn, user_data: *mut c_void) -> Code {
        self.set_up(|state| {
            state.callback = function.map(|function| Callback { function, user_data });
            Code::RecoveryDone
        })
    }

    fn set_up(&self, change: impl FnOnce(&mut State) -> Code) -> Code {
        let mut state = self.lock();
        match state.phase {
            _ if state.broken => Code::Panic,
            Phase::Setup => change(&mut state),
            Phase::Running(_) | Phase::Ended(_) => Code::Busy,
        }
    }

    pub(super) fn run(self: &Arc<Handle>) -> Code {
        let (mut config, mut callback) = (Config::new(), None);
        let may_run = self.set_up(|state| {
            state.phase = Phase::Running(Instant::now());
            state.report.message.clear();
            config = mem::take(&mut state.config);
            callback = state.callback.take();
            Code::RecoveryDone
        });
        if may_run != Code::RecoveryDone {
            return may_run;
        }
        let _running = Running(self);
        let handle = Arc::clone(self);
        #[cfg(feature = "panic-test")]
        let panics = config.restore().is_ok_and(|restore| restore.backup_id == "panic in run!");
        let outcome = crate::commands::recover::run(&config, &self.cancel, move |event| {
            #[cfg(feature = "panic-test")]
            assert!(!panics, "panic test");
            handle.tell(event, callback);
        });
        let code = outcome.code;
        self.lock().report = outcome;
        code
    }

    fn tell(&self, event: Event, callback: Option<Callback>) {
        let (kind, level, message) = match event {
            Event::Log { level, message } => (Kind::BARMAN_RECOVER_EVENT_LOG, level as i32, message),
            Event::State { state: operation_state, operation_id } => {
                let message = operation_id.clone().unwrap_or_default();
                let mut state = self.lock();
                state.report.operation_state = operation_state;
                state.report.operation_id = operation_id;
                (Kind::BARMAN_RECOVER_EVENT_STATE, operation_state as i32, message)
            }
            Event::Progress(progress) => {
                let mut state = self.lock();
                (state.report.bytes, state.report.total_bytes) = (Some(progress.bytes), progress.total);
                let percent = progress.percent().and_then(|percent| i32::try_from(percent).ok());
                (Kind::BARMAN_RECOVER_EVENT_PROGRESS, percent.unwrap_or(-1), progress.to_string())
            }
            Event::Tick => (Kind::BARMAN_RECOVER_EVENT_TICK, 0, String::new()),
        };
        if callback.is_some_and(|callback| callback.call(kind as i32, level, &c_text(&message)) != 0) {
            self.cancel.cancel();
        }
    }

    /// After a caught panic.
    pub(super) fn break_down(&self, why: &str) {
        let mut state = self.lock();
        state.broken = true;
        state.report.message = format!("a bug in barman-recover: {why}");
        state.report.hint = "please report it; operation_state tells whether a restore may be running".into();
    }

    /// A text of the report, valid as long as the handle.
    pub(super) fn text(&self, of: impl FnOnce(&Outcome) -> &str) -> *const c_char {
        let mut state = self.lock();
        let text = c_text(of(&state.report));
        if let Some(known) = state.texts.iter().find(|known| **known == text) {
            return known.as_ptr();
        }
        let pointer = text.as_ptr(); // into the heap, which doesn't move with the CString
        state.texts.push(text);
        pointer
    }

    pub(super) fn number<T>(&self, of: impl FnOnce(&Outcome) -> T) -> T {
        of(&self.lock().report)
    }

    pub(super) fn elapsed(&self) -> Duration {
        match self.lock().phase {
            Phase::Setup => Duration::ZERO,
            Phase::Running(since) => since.elapsed(),
            Phase::Ended(elapsed) => elapsed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the phase even if the run panics.
struct Running<'a>(&'a Handle);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let elapsed = self.0.elapsed();
        self.0.lock().phase = Phase::Ended(elapsed);
    }
}

#[derive(Clone, Copy)]
struct Callback {
    function: unsafe extern "C" fn(i32, i32, *const c_char, *mut c_void) -> i32,
    user_data: *mut c_void,
}

// SAFETY: the pointer is only handed back to the host's function, which the header tells on which thread.
unsafe impl Send for Callback {}

impl Callback {
    fn call(self, kind: i32, level: i32, message: &CString) -> i32 {
        // SAFETY: the host gave the function for these arguments, with its own data, and the text lives on.
        unsafe { (self.function)(kind, level, message.as_ptr(), self.user_data) }
    }
}

/// In one line, and so without NUL: a server's words, an option or the name of a file may hold anything.
fn c_text(text: &str) -> CString {
    CString::new(printable(text)).unwrap_or_default()
}
