//! The log: lines as Python's `logging` writes them or JSON objects, to standard error, a file, or both.
//! Trouble with writing never ends a run.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use barman_recover::{Event, Level, OperationState, Progress};
use serde::Serialize;

use crate::args::{Format, Logging};
use crate::bar::Bar;
use crate::sys;

/// Where log lines go. Clones share it.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    format: Format,
    level: Level,
    stderr: bool,
    started: Instant,
    bar: Bar,
    /// Held while a line is written, which lasts as long as whoever reads the log takes.
    file: Mutex<Option<File>>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    operation: Operation,
    progress: Option<Progress>,
}

/// What was last heard of the operation.
#[derive(Clone, Default)]
pub struct Operation {
    pub id: Option<String>,
    pub state: OperationState,
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
    /// Bytes in the data directory, and in the backup, where known.
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
            bar: Bar::new(logging.progress),
            file: Mutex::new(file),
            heard: Mutex::default(),
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
                self.heard().operation = Operation { id: operation_id, state };
                // The text log tells it in words of its own.
                if self.0.format == Format::Json {
                    self.line("state", Level::Info, &message);
                }
            }
            Event::Progress(progress) => {
                self.heard().progress = Some(progress);
                self.0.bar.show(&progress);
            }
            _ => {}
        }
    }

    /// Takes the progress bar away.
    pub fn end_progress(&self) {
        self.0.bar.clear();
    }

    /// Logs a line.
    pub fn write(&self, level: Level, message: &str) {
        self.line("log", level, message);
    }

    /// Logs a line, but does not wait for longer than this: nobody may read the log any more.
    pub fn write_within(&self, limit: Duration, level: Level, message: String) {
        if level < self.0.level {
            return;
        }
        let (log, (written, wait)) = (self.clone(), mpsc::channel());
        let write = move || {
            log.write(level, &message);
            let _ = written.send(()); // nobody waits any more
        };
        if thread::Builder::new().name("log".into()).stack_size(128 << 10).spawn(write).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }

    /// What was last heard of the operation.
    pub fn operation(&self) -> Operation {
        self.heard().operation.clone()
    }

    fn line(&self, event: &str, level: Level, message: &str) {
        let shared = &self.0;
        if level < shared.level {
            return;
        }
        let line = match shared.format {
            // No escape code and no second line, whatever an option or a server said.
            Format::Text => {
                let message = message.replace(char::is_control, " ");
                format!("{} {level}: {message}\n", sys::local_time())
            }
            Format::Json => {
                let heard = self.heard();
                let line = Line {
                    time: &sys::rfc3339_time(),
                    level: level.name(),
                    event,
                    operation_id: heard.operation.id.as_deref(),
                    operation_state: heard.operation.state.name(),
                    message,
                    elapsed_ms: shared.started.elapsed().as_millis(),
                    bytes: heard.progress.map(|progress| progress.bytes),
                    total_bytes: heard.progress.and_then(|progress| progress.total),
                };
                serde_json::to_string(&line).unwrap_or_default() + "\n" // strings and numbers always serialize
            }
        };
        // In one write each; a full disk or a closed pipe must not end a restore.
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut() {
            let _ = file.write_all(line.as_bytes());
        }
        if shared.stderr {
            shared.bar.above(|| {
                let _ = io::stderr().write_all(line.as_bytes());
            });
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
