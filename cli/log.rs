//! The log: lines in the format of Python's `logging` or JSON objects, to standard error, a file, or both. A failure
//! to write never ends a run.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use barman_recover::{Event, Level, OperationState, Opt};
use serde::Serialize;

use crate::args::{Logging, Run};
use crate::bar::Bar;
use crate::sys;

/// Where log lines go. Clones share it.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    logging: Logging,
    started: Instant,
    bar: Bar,
    /// Locked while a line is written, which may block until the reader of the log catches up.
    file: Mutex<Option<File>>,
    last: Mutex<Last>,
}

/// The latest state, from events.
#[derive(Default, Serialize)]
struct Last {
    server: Option<String>,
    /// The backup that was requested; at the end the one that was restored.
    backup_id: Option<String>,
    operation_id: Option<String>,
    operation_state: OperationState,
    /// Bytes that have arrived, WAL bytes among them, and the size of the backup without WAL.
    bytes: Option<u64>,
    wal_bytes: Option<u64>,
    total_bytes: Option<u64>,
}

/// How a sub-command ended.
#[derive(Serialize)]
pub struct End {
    pub code: &'static str,
    pub exit_status: u8,
    pub hint: String,
    #[serde(skip)]
    pub message: String,
    #[serde(skip)]
    pub backup_id: Option<String>,
}

/// A line of the JSON log. Existing names and meanings don't change; new names may be added.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    level: &'a str,
    /// `log` for lines that the text log has too, `state` when the operation's state has changed, `progress`, `end`.
    event: &'a str,
    message: &'a str,
    elapsed_ms: u128,
    #[serde(flatten)]
    last: &'a Last,
    #[serde(flatten)]
    end: Option<&'a End>,
}

impl Log {
    /// Opens the file for appending.
    pub fn open(run: &Run) -> io::Result<Log> {
        let mut logging = run.logging.clone();
        let open = |path| OpenOptions::new().append(true).create(true).open(path);
        let file = logging.file.as_ref().map(open).transpose()?;
        logging.stderr |= file.is_none();
        let last = Last {
            server: run.config.text(Opt::BarmanServer).map(Into::into),
            backup_id: run.config.text(Opt::BackupId).map(Into::into),
            ..Last::default()
        };
        let (bar, file, last) = (Bar::new(&logging), Mutex::new(file), Mutex::new(last));
        Ok(Log(Arc::new(Shared { logging, started: Instant::now(), bar, file, last })))
    }

    /// Logs an event of the library.
    pub fn event(&self, event: Event) {
        match event {
            Event::Log { level, message } => self.write(level, &message),
            Event::State { state, operation_id } => {
                let mut last = self.last();
                (last.operation_id, last.operation_state) = (operation_id, state);
                drop(last);
                // The text log has its own lines for this.
                if self.0.logging.json {
                    self.line("state", Level::Info, &format!("the operation is {}", state.name()), None);
                }
            }
            Event::Progress(progress) => {
                let mut last = self.last();
                (last.bytes, last.wal_bytes) = (Some(progress.bytes), progress.wal_bytes);
                last.total_bytes = progress.total;
                drop(last);
                if !self.0.bar.show(&progress) && self.0.logging.progress == Some(true) {
                    self.line("progress", Level::Info, &progress.to_string(), None);
                }
            }
            _ => {}
        }
    }

    /// Removes the progress bar, and ends the JSON log with a line for programs.
    pub fn end(&self, end: &End) {
        self.0.bar.clear();
        if self.0.logging.json {
            let level = if end.exit_status == 0 { Level::Info } else { Level::Error };
            let message = if end.message.is_empty() { end.code } else { &end.message };
            if end.backup_id.is_some() {
                self.last().backup_id.clone_from(&end.backup_id);
            }
            self.line("end", level, message, Some(end));
        }
    }

    /// Logs a line.
    pub fn write(&self, level: Level, message: &str) {
        self.line("log", level, message, None);
    }

    /// Logs a line, but waits no longer than this: perhaps nobody reads the log any more.
    pub fn write_within(&self, limit: Duration, level: Level, message: String) {
        let (log, (written, wait)) = (self.clone(), mpsc::channel());
        let write = move || {
            log.write(level, &message);
            let _ = written.send(()); // maybe nobody is waiting any more
        };
        if thread::Builder::new().name("log".into()).stack_size(128 << 10).spawn(write).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }

    /// The ID and the state of the operation, as last reported.
    pub fn operation(&self) -> (Option<String>, OperationState) {
        let last = self.last();
        (last.operation_id.clone(), last.operation_state)
    }

    fn line(&self, event: &str, level: Level, message: &str, end: Option<&End>) {
        let Shared { logging, started, bar, file, .. } = &*self.0;
        if level < logging.level {
            return;
        }
        let line = if logging.json {
            let (time, elapsed_ms) = (&sys::rfc3339(), started.elapsed().as_millis());
            let line =
                Line { time, level: level.name(), event, message, elapsed_ms, last: &self.last(), end };
            serde_json::to_string(&line).unwrap_or_default() + "\n" // strings and numbers always serialize
        } else {
            // No escape codes or line breaks, whatever an option or a server contained.
            format!("{} {level}: {}\n", sys::local_time(), message.replace(char::is_control, " "))
        };
        // One write each; a full disk or a closed pipe must not end a restore.
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut() {
            let _ = file.write_all(line.as_bytes());
        }
        if logging.stderr {
            bar.above(|| {
                let _ = io::stderr().write_all(line.as_bytes());
            });
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
