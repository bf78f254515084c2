//! The data directory: what it shows, whether a restore is complete in it, and that it is on disk. Never writes, moves
//! or deletes anything there.
//!
//! A call that fails is neither yes nor no. Only "no such file" means that something is not there, and not even that
//! if the path is on another file system than before: a disk that is not mounted looks like an empty
//! directory.

mod complete;
mod count;
mod files;
mod flush;
mod info;
mod inspect;
mod reader;
mod receivers;
mod span;
mod wal;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use inspect::may_write;
pub(crate) use span::came_within;

use crate::cancel::Interrupt;
use crate::error::Error;
use crate::world::data::complete::Marks;
use crate::world::data::count::Counter;
use crate::world::data::files::{Entry, Files, Kind, RealFiles, if_there};
use crate::world::data::reader::Reader;
use crate::world::{Completeness, Content, Inspection, Known, Look};

/// The directories outside of a data directory that hold parts of it: its tablespaces, and its WAL directory. Those that
/// are not there are left out.
pub(crate) fn linked_directories(root: &Path) -> Known<Vec<PathBuf>> {
    let mut found = Vec::new();
    for link in files::linked(&RealFiles, root)? {
        match link.canonicalize() {
            Ok(path) => found.push(path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(files::unknown(&link, &error)),
        }
    }
    Ok(found)
}

/// The data directory of a run.
pub(crate) struct DataDirectory {
    path: PathBuf,
    files: Box<dyn Files>,
    /// What was there when it was last remembered.
    before: Option<Marks>,
    /// The device that held its content when that was last seen.
    device: Option<u64>,
    /// Counts what is there, from the first look that finds something.
    counter: Option<Counter>,
}

/// What is at the path of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Directory(Entry),
    Missing,
    NotADirectory,
}

impl DataDirectory {
    /// The path may be a link. Nothing is remembered yet: everything that is there counts as restored.
    pub(crate) fn new(path: &Path) -> DataDirectory {
        DataDirectory::with(path, Box::new(RealFiles))
    }

    fn with(path: &Path, files: Box<dyn Files>) -> DataDirectory {
        DataDirectory { path: path.into(), files, before: None, device: None, counter: None }
    }

    /// Looks at the directory: cheap, whatever its size.
    pub(crate) fn look(&mut self) -> Look {
        match self.look_once() {
            Ok(look) => look,
            Err(why) => Look {
                content: Err(why.clone()),
                first_file: Err(why.clone()),
                postmaster: Err(why),
                usage: self.counter.as_ref().and_then(Counter::usage),
            },
        }
    }

    fn look_once(&mut self) -> Known<Look> {
        let place = self.place()?;
        let (content, first_file, postmaster) = match place {
            Place::Directory(_) => {
                (self.reader().content(), self.reader().first_file(), self.reader().postmaster())
            }
            Place::Missing => (Ok(Content::Missing), Ok(None), Ok(None)),
            Place::NotADirectory => (Ok(Content::NotADirectory), Ok(None), Ok(None)),
        };
        if first_file == Ok(None) {
            self.confirm_absence(place)?;
        }
        if let (Place::Directory(found), Ok(Content::Something), Ok(first)) = (place, &content, &first_file)
            && (first.is_some() || self.device.is_none())
        {
            self.device = Some(found.device);
        }
        if content == Ok(Content::Something) && self.counter.is_none() {
            self.counter = Counter::start(&self.path).ok(); // only a figure for people: the next look tries again
        }
        let usage = self.counter.as_ref().and_then(Counter::usage);
        Ok(Look { content, first_file, postmaster, usage })
    }

    /// Remembers what is there: only what comes after it counts as restored.
    pub(crate) fn remember(&mut self) -> Known<()> {
        let place = self.place()?;
        let marks = match place {
            Place::Directory(_) => self.reader().marks()?,
            Place::Missing | Place::NotADirectory => Marks::default(),
        };
        let is_visible = marks.pg_version.is_some();
        if !is_visible {
            self.confirm_absence(place)?;
        }
        if let Place::Directory(found) = place {
            self.device = Some(found.device).filter(|_| is_visible);
        }
        self.before = Some(marks);
        Ok(())
    }

    /// Reads whether a restore is complete, all of it new since the last [`remember`](DataDirectory::remember).
    pub(crate) fn examine(&self) -> Completeness {
        self.examine_once().unwrap_or_else(Completeness::Unknown)
    }

    /// Inspects where the directory is or will be. Too expensive to do at every look.
    pub(crate) fn inspect(&self) -> Known<Inspection> {
        inspect::inspect(self.files.as_ref(), &self.path)
    }

    /// How many processes of rsync or `pg_basebackup` write into it.
    pub(crate) fn strangers(&self) -> Known<usize> {
        receivers::count(&self.path)
    }

    /// Writes it to disk, with its tablespaces and its WAL directory. Calls `pause` until that is done: an interrupt
    /// ends the wait.
    pub(crate) fn flush(&self, pause: impl FnMut(Duration) -> Result<(), Interrupt>) -> Result<(), Error> {
        flush::flush(&self.path, pause)
    }

    fn examine_once(&self) -> Known<Completeness> {
        let place = self.place()?;
        let answer = match place {
            Place::Missing => Completeness::Incomplete("the data directory does not exist".into()),
            Place::NotADirectory => Completeness::Incomplete("the data directory is not a directory".into()),
            Place::Directory(_) if self.reader().content()? != Content::Something => {
                Completeness::Incomplete("the data directory is empty".into())
            }
            Place::Directory(_) => {
                let reader = self.reader();
                // The texts come first: if one is replaced in between, it is older than its time, and never newer.
                let (info, label) = (reader.info()?, reader.label()?);
                match complete::base(&reader.marks()?, self.before.as_ref(), info, label) {
                    Err(shortfall) => shortfall.into(),
                    Ok(base) => {
                        let rest = reader.rest(&base.info)?;
                        complete::whole(base, rest)
                    }
                }
            }
        };
        if matches!(answer, Completeness::Complete(_)) {
            self.confirm_same(place)?;
        } else {
            self.confirm_absence(place)?;
        }
        Ok(answer)
    }

    fn reader(&self) -> Reader<'_> {
        Reader { files: self.files.as_ref(), path: &self.path }
    }

    fn place(&self) -> Known<Place> {
        let found = if_there(&self.path, self.files.stat(&self.path))?;
        match found {
            Some(found) if found.is_directory() => Ok(Place::Directory(found)),
            Some(_) => Ok(Place::NotADirectory),
            // A link that leads nowhere is not "missing": nobody can make a directory there.
            None => Ok(match if_there(&self.path, self.files.entry(&self.path))? {
                Some(found) if found.kind == Kind::Link => Place::NotADirectory,
                _ => Place::Missing,
            }),
        }
    }

    /// An error if the path leads to another directory than when a look began: its facts may be of both.
    fn confirm_same(&self, begun: Place) -> Known<()> {
        let is_same = match (begun, self.place()?) {
            (Place::Directory(before), Place::Directory(now)) => before.is_same_directory(&now),
            (before, now) => before == now,
        };
        if is_same {
            Ok(())
        } else {
            Err(format!("{} was replaced while it was being inspected", self.path.display()))
        }
    }

    /// An error if what seems missing may only be out of sight, because the path is on another file system
    /// than the one on which content was seen.
    fn confirm_absence(&self, place: Place) -> Known<()> {
        self.confirm_same(place)?;
        let Some(device) = self.device else { return Ok(()) };
        let now = match place {
            Place::Directory(found) => Some(found.device),
            Place::Missing | Place::NotADirectory => self.nearest_device()?,
        };
        if now == Some(device) {
            return Ok(());
        }
        Err(format!(
            "{} is on a different file system than before: the one that belongs there may not be mounted",
            self.path.display()
        ))
    }

    /// The device of the nearest directory above that is there.
    fn nearest_device(&self) -> Known<Option<u64>> {
        for path in self.path.ancestors().skip(1) {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            if let Some(found) = if_there(path, self.files.stat(path))? {
                return Ok(Some(found.device));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
