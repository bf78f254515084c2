//! The content of a handle: the options until its command begins, the result from then on. All mutable state
//! is behind one lock, which is never held while the host's callback runs.

use std::collections::BTreeSet;
use std::ffi::{CString, c_char};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::done::Done;
use super::guard::catch;
use super::numbers::barman_recover_busy as CBusy;
use super::queue::{CEvent, Callback, Queue, c_text};
use crate::cancel::Cancel;
use crate::config::options::Opt;
use crate::config::{Config, ConfigError, Value};
use crate::event::Event;
use crate::outcome::Code;
use crate::sys;

/// One command: its options and its result. The content is private to the library.
pub struct Handle {
    pub(super) cancel: Cancel,
    state: Mutex<State>,
    /// Something was added to the queue, or the command has ended.
    changed: Condvar,
}

struct State {
    phase: Phase,
    config: Config,
    callback: Option<Callback>,
    queue: Queue,
    /// The thread that `start` created.
    thread: Option<JoinHandle<()>>,
    /// A panic was caught: nothing may run on the state that it left.
    broken: bool,
    done: Done,
    /// Why a call last returned `Code::Busy`.
    busy: i32,
    /// Every text that a getter has returned, kept for the life of the handle.
    texts: BTreeSet<CString>,
}

enum Phase {
    Setup,
    Running { since: Instant, on: ThreadId },
    Ended(Duration),
}

/// Receives the events of a command.
pub(super) type OnEvent = Box<dyn FnMut(Event) + Send>;

impl Handle {
    pub(super) fn new(config: Config) -> Handle {
        let state = State {
            phase: Phase::Setup,
            config,
            callback: None,
            queue: Queue::default(),
            thread: None,
            broken: false,
            done: Done::new(Code::InvalidArgument, "", ""),
            busy: CBusy::BARMAN_RECOVER_BUSY_NONE as i32,
            texts: BTreeSet::new(),
        };
        Handle { cancel: Cancel::new(), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The options as they were set.
    pub(super) fn config(&self) -> Config {
        self.lock().config.clone()
    }

    pub(super) fn set(&self, option: Opt, value: Result<Value, &str>) -> Code {
        self.change(|config| {
            #[cfg(feature = "panic-test")]
            assert_ne!((option, value), (Opt::BackupId, Ok(Value::Text("panic!"))), "panic test");
            config.set(option, value.map_err(|why| ConfigError::of(option, why))?).map(|_| ())
        })
    }

    /// Changes the options if the command has not begun.
    pub(super) fn change(&self, change: impl FnOnce(&mut Config) -> Result<(), ConfigError>) -> Code {
        self.set_up(|state| match change(&mut state.config) {
            Ok(()) => Code::RecoveryDone,
            Err(why) => {
                state.done.report.message = why.to_string();
                Code::InvalidArgument
            }
        })
    }

    /// Records why an argument was refused.
    pub(super) fn refuse(&self, why: &str) -> Code {
        self.change(|_| Err(ConfigError::new(why)))
    }

    pub(super) fn set_callback(&self, callback: Option<Callback>) -> Code {
        self.set_up(|state| {
            state.callback = callback;
            Code::RecoveryDone
        })
    }

    fn set_up(&self, change: impl FnOnce(&mut State) -> Code) -> Code {
        let mut state = self.lock();
        match state.phase {
            _ if state.broken => Code::Panic,
            Phase::Setup => change(&mut state),
            Phase::Running { .. } | Phase::Ended(_) => {
                state.busy = CBusy::BARMAN_RECOVER_BUSY_HANDLE as i32;
                Code::Busy
            }
        }
    }

    /// Runs the handle's one command on this thread.
    pub(super) fn run(
        self: &Arc<Handle>,
        command: impl FnOnce(&Config, &Cancel, OnEvent) -> Done,
    ) -> Result<i32, Code> {
        match self.set_up(|state| state.begin(thread::current().id())) {
            Code::RecoveryDone => Ok(self.carry_out(command)),
            refused => Err(refused),
        }
    }

    /// Runs it on a thread of its own.
    pub(super) fn start(
        self: &Arc<Handle>,
        command: impl FnOnce(&Config, &Cancel, OnEvent) -> Done + Send + 'static,
    ) -> Code {
        let handle = Arc::clone(self);
        self.set_up(|state| {
            // It starts by waiting for the lock, which is held until the thread has been recorded below.
            let body = move || {
                handle.carry_out(command);
            };
            let thread = thread::Builder::new().name("barman-recover".into());
            match sys::with_signals_blocked(|| thread.spawn(body)) {
                Ok(thread) => {
                    let begun = state.begin(thread.thread().id());
                    state.thread = Some(thread);
                    begun
                }
                Err(why) => {
                    state.done.report.message = format!("no thread can be started for the run: {why}");
                    state.busy = CBusy::BARMAN_RECOVER_BUSY_THREAD as i32;
                    Code::Busy
                }
            }
        })
    }

    fn carry_out(self: &Arc<Handle>, command: impl FnOnce(&Config, &Cancel, OnEvent) -> Done) -> i32 {
        let config = self.config();
        let handle = Arc::clone(self);
        #[cfg(feature = "panic-test")]
        let panics = config.restore().is_ok_and(|restore| restore.backup_id == "panic in run!");
        let on_event = Box::new(move |event| {
            #[cfg(feature = "panic-test")]
            assert!(!panics, "panic test");
            handle.report(&event);
        });
        let done = catch(|| command(&config, &self.cancel, on_event));
        let code = self.lock().end(done);
        self.changed.notify_all();
        code
    }

    fn report(&self, event: &Event) {
        let converted = CEvent::new(event);
        let mut state = self.lock();
        state.note(event);
        let Some(callback) = state.callback else {
            state.queue.push(converted);
            drop(state);
            return self.changed.notify_all();
        };
        drop(state);
        if !callback.call(&converted) {
            self.cancel.cancel();
        }
    }

    pub(super) fn next_event(&self, timeout: Duration) -> i32 {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(kind) = state.queue.take() {
                return kind as i32;
            }
            match state.phase {
                Phase::Ended(_) => return -1,
                Phase::Setup if state.broken => return -1,
                Phase::Running { on, .. } if on == thread::current().id() => return 0,
                _ => {}
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return 0;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A field of the event that was taken last.
    pub(super) fn current_event<T>(&self, none: T, of: impl FnOnce(&CEvent) -> T) -> T {
        self.lock().queue.current().map_or(none, of)
    }

    /// Ends a command that has its own thread, and waits for its end.
    pub(super) fn close(&self) {
        let Some(thread) = self.lock().thread.take() else { return };
        if thread.thread().id() == thread::current().id() {
            return; // called in the callback, which the header forbids
        }
        if !self.cancel.is_cancelled() {
            self.cancel.cancel(); // a detached run stays detached
        }
        let _ = thread.join(); // its panics were caught
    }

    /// Records a caught panic.
    pub(super) fn break_down(&self, why: &str) {
        self.lock().break_down(why);
        self.changed.notify_all();
    }

    /// A text about the command so far, valid as long as the handle; "" for none.
    pub(super) fn text(&self, of: impl FnOnce(&Done) -> Option<&str>) -> *const c_char {
        let mut state = self.lock();
        let text = c_text(of(&state.done).unwrap_or_default());
        if let Some(known) = state.texts.get(&text) {
            return known.as_ptr();
        }
        let pointer = text.as_ptr(); // points to the heap, which doesn't move with the CString
        state.texts.insert(text);
        pointer
    }

    /// A number about the command so far.
    pub(super) fn number<T>(&self, of: impl FnOnce(&Done) -> Option<T>) -> Option<T> {
        of(&self.lock().done)
    }

    /// The code that the command ended with.
    pub(super) fn result(&self) -> i32 {
        let state = self.lock();
        match state.phase {
            Phase::Running { .. } => Code::Busy as i32,
            Phase::Setup | Phase::Ended(_) => state.done.report.code,
        }
    }

    pub(super) fn busy_reason(&self) -> i32 {
        self.lock().busy
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.lock().elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self, on: ThreadId) -> Code {
        self.phase = Phase::Running { since: Instant::now(), on };
        self.done.report.message.clear();
        Code::RecoveryDone
    }

    /// Records what the getters return during the command.
    fn note(&mut self, event: &Event) {
        let report = &mut self.done.report;
        match event {
            Event::State { state, operation_id } => {
                report.operation_state = *state;
                report.operation_id.clone_from(operation_id);
            }
            Event::Progress(progress) => {
                (report.bytes, report.total_bytes) = (Some(progress.bytes), progress.total);
            }
            Event::Log { .. } | Event::Tick => {}
        }
    }

    fn end(&mut self, done: Result<Done, String>) -> i32 {
        self.phase = Phase::Ended(self.elapsed());
        match done {
            Ok(mut done) => {
                let report = &mut done.report;
                if report.operation_id.is_none() {
                    // Keep what the events said: a report without an operation may simply not know it.
                    report.operation_id = self.done.report.operation_id.take();
                    report.operation_state = self.done.report.operation_state;
                }
                if let Some(why) = report.busy {
                    self.busy = why as i32;
                }
                self.done = done;
            }
            Err(why) => self.break_down(&why),
        }
        self.done.report.code
    }

    fn break_down(&mut self, why: &str) {
        self.broken = true;
        let report = &mut self.done.report;
        report.code = Code::Panic as i32;
        report.message = format!("a bug in barman-recover: {why}");
        report.hint = "please report it; operation_state says whether a restore may be running".into();
    }

    fn elapsed(&self) -> Duration {
        match self.phase {
            Phase::Setup => Duration::ZERO,
            Phase::Running { since, .. } => since.elapsed(),
            Phase::Ended(elapsed) => elapsed,
        }
    }
}
