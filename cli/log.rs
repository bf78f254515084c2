//! The log: lines as Python's `logging` writes them, to standard error or a file. Trouble with writing never
//! ends a restore.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use barman_recover::Level;

use crate::sys::local_time;

/// Where log lines go. Clones share it.
#[derive(Clone)]
pub struct Log(Arc<Mutex<Option<File>>>);

impl Log {
    /// To a file (appended to) or, without one, to standard error.
    pub fn open(file: Option<&Path>) -> io::Result<Log> {
        let file = match file {
            Some(path) => Some(OpenOptions::new().append(true).create(true).open(path)?),
            None => None,
        };
        Ok(Log(Arc::new(Mutex::new(file))))
    }

    /// Writes a line, in one write.
    pub fn write(&self, level: Level, message: &str) {
        if level == Level::Debug {
            return;
        }
        let line = format!("{} {level}: {message}\n", local_time());
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk or a closed pipe must not end a restore.
        let _ = match &mut *file {
            Some(file) => file.write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}
