//! A file system of which a call fails, or that is not mounted any more.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::super::DataDirectory;
use super::super::files::{Entry, Files, RealFiles};

type Event = Box<dyn FnOnce(&Knobs) + Send>;

/// What a test changes while a data directory is used.
#[derive(Default)]
pub(super) struct Knobs {
    /// Calls until one fails, and how.
    calls: AtomicU64,
    error: AtomicI32,
    /// Whether everything lies on another device.
    pub(super) is_elsewhere: AtomicBool,
    /// Calls until something happens, and what.
    event: Mutex<Option<(u64, Event)>>,
}

impl Knobs {
    /// Lets the nth call from now on fail.
    pub(super) fn fail(&self, nth: u64, error: i32) {
        self.error.store(error, Ordering::SeqCst);
        self.calls.store(nth, Ordering::SeqCst);
    }

    /// Nothing fails any more. Returns whether something has.
    pub(super) fn has_failed(&self) -> bool {
        self.calls.swap(0, Ordering::SeqCst) == 0
    }

    /// Lets something happen at the nth call from now on.
    pub(super) fn at_call(&self, nth: u64, happens: impl FnOnce(&Knobs) + Send + 'static) {
        *self.event.lock().unwrap() = Some((nth, Box::new(happens)));
    }

    /// Whether it has not happened yet; then it never does.
    pub(super) fn is_waiting(&self) -> bool {
        self.event.lock().unwrap().take().is_some()
    }

    fn call(&self) -> io::Result<()> {
        let event = self.event.lock().unwrap().take();
        match event {
            Some((1, happens)) => happens(self),
            Some((nth, happens)) => *self.event.lock().unwrap() = Some((nth - 1, happens)),
            None => {}
        }
        let before = self.calls.load(Ordering::SeqCst);
        self.calls.store(before.saturating_sub(1), Ordering::SeqCst);
        if before == 1 {
            Err(io::Error::from_raw_os_error(self.error.load(Ordering::SeqCst)))
        } else {
            Ok(())
        }
    }
}

/// Uses the file system with these knobs.
pub(super) struct Double {
    pub(super) knobs: Arc<Knobs>,
    /// What is at the path of the data directory when the file system that holds it is not mounted.
    pub(super) instead: std::path::PathBuf,
    pub(super) data: std::path::PathBuf,
}

impl Double {
    /// A data directory on it.
    pub(super) fn directory(data: &Path, instead: &Path) -> (DataDirectory, Arc<Knobs>) {
        let knobs = Arc::new(Knobs::default());
        let files = Double { knobs: knobs.clone(), instead: instead.into(), data: data.into() };
        (DataDirectory::with(data, Box::new(files)), knobs)
    }

    /// The path that is meant now.
    fn at(&self, path: &Path) -> std::path::PathBuf {
        match path.strip_prefix(&self.data) {
            Ok(below) if self.is_elsewhere() && below.as_os_str().is_empty() => self.instead.clone(),
            Ok(below) if self.is_elsewhere() => self.instead.join(below),
            _ => path.into(),
        }
    }

    fn is_elsewhere(&self) -> bool {
        self.knobs.is_elsewhere.load(Ordering::SeqCst)
    }

    fn on(&self, mut entry: Entry) -> Entry {
        entry.device += u64::from(self.is_elsewhere());
        entry
    }
}

impl Files for Double {
    fn stat(&self, path: &Path) -> io::Result<Entry> {
        self.knobs.call()?;
        Ok(self.on(RealFiles.stat(&self.at(path))?))
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        self.knobs.call()?;
        Ok(self.on(RealFiles.entry(&self.at(path))?))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.knobs.call()?;
        RealFiles.read(&self.at(path), limit)
    }

    fn read_end(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.knobs.call()?;
        RealFiles.read_end(&self.at(path), limit)
    }

    /// Fails after the first name, or at once if there is none.
    fn names(&self, path: &Path, each: &mut dyn FnMut(OsString) -> bool) -> io::Result<()> {
        let failure = self.knobs.call();
        let is_whole = failure.is_ok();
        RealFiles.names(&self.at(path), &mut |name| each(name) && is_whole)?;
        failure
    }
}
