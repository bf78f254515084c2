//! The log: lines as Python's `logging` writes them or JSON objects, to standard error, a file, or both.
//! Trouble with writing never ends a run.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use barman_recover::{Event, Level, OperationState};
use serde::Serialize;

use crate::args::{Format, Logging};
use crate::sys;

/// Where log lines go. Clones share it.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    format: Format,
    level: Level,
    stderr: bool,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    file: Option<File>,
    operation: Operation,
}

/// What was last heard of the operation.
#[derive(Clone, Default)]
pub struct Operation {
    pub id: Option<String>,
    pub state: OperationState,
    /// What has arrived of it, where that can be seen.
    bytes: Option<u64>,
    /// Of how much, once that is known.
    total_bytes: Option<u64>,
}

/// A line of the JSON log. Names and meanings stay; names may come.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    level: &'a str,
    /// `log` for what the text log has too, `state` when the operation's state has changed.
    event: &'a str,
    operation_id: Option<&'a str>,
    operation_state: &'a str,
    message: &'a str,
    elapsed_ms: u128,
    bytes: Option<u64>,
    total_bytes: Option<u64>,
}

impl Log {
    /// Opens the file, which is appended to.
    pub fn open(logging: &Logging) -> io::Result<Log> {
        let file = match &logging.file {
            Some(path) => Some(OpenOptions::new().append(true).create(true).open(path)?),
            None => None,
        };
        Ok(Log(Arc::new(Shared {
            format: logging.format,
            level: logging.level,
            stderr: logging.stderr || file.is_none(),
            started: Instant::now(),
            state: Mutex::new(State { file, operation: Operation::default() }),
        })))
    }

    /// Logs an event of the library.
    pub fn event(&self, event: Event) {
        match event {
            Event::Log { level, message } => self.write(level, &message),
            Event::State { state, operation_id } => {
                let message = match &operation_id {
                    Some(id) => format!("operation {id}: {}", state.name()),
                    None => format!("operation: {}", state.name()),
                };
                {
                    let operation = &mut self.lock().operation;
                    (operation.id, operation.state) = (operation_id, state);
                }
                // The text log tells it in words of its own.
                if self.0.format == Format::Json {
                    self.line("state", Level::Info, &message);
                }
            }
            Event::Progress(progress) => {
                let operation = &mut self.lock().operation;
                (operation.bytes, operation.total_bytes) = (Some(progress.bytes), progress.total);
            }
            _ => {}
        }
    }

    /// Logs a line.
    pub fn write(&self, level: Level, message: &str) {
        self.line("log", level, message);
    }

    /// What was last heard of the operation.
    pub fn operation(&self) -> Operation {
        self.lock().operation.clone()
    }

    fn line(&self, event: &str, level: Level, message: &str) {
        let shared = &self.0;
        if level < shared.level {
            return;
        }
        let mut state = self.lock();
        let line = match shared.format {
            // No escape code and no second line, whatever an option or a server said.
            Format::Text => {
                let message = message.replace(char::is_control, " ");
                format!("{} {level}: {message}\n", sys::local_time())
            }
            Format::Json => {
                let line = Line {
                    time: &sys::rfc3339_time(),
                    level: level.name(),
                    event,
                    operation_id: state.operation.id.as_deref(),
                    operation_state: state.operation.state.name(),
                    message,
                    elapsed_ms: shared.started.elapsed().as_millis(),
                    bytes: state.operation.bytes,
                    total_bytes: state.operation.total_bytes,
                };
                serde_json::to_string(&line).unwrap_or_default() + "\n" // strings and numbers always serialize
            }
        };
        // In one write each; a full disk or a closed pipe must not end a restore.
        if let Some(file) = &mut state.file {
            let _ = file.write_all(line.as_bytes());
        }
        if shared.stderr {
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
