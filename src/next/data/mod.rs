//! The data directory: what it shows, whether a restore is complete in it, and that it is on disk. Never writes, moves
//! or deletes anything there.
//!
//! A call that fails is neither yes nor no. Only "no such file" means that something is not there, and not even that
//! where another file system is than before: a disk that is not mounted looks like an empty directory.

mod complete;
mod files;
mod info;
mod wal;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::next::data::complete::{Marks, Rest};
use crate::next::data::files::{
    Entry, Files, Kind, RealFiles, file_at, if_there, is_nothing, text_at, unknown,
};
use crate::next::data::info::{Info, Label};
use crate::next::data::wal::WalFiles;
use crate::next::world::{Completeness, Content, FileId, Known, Look};
use crate::sys;

/// How much of the end of a manifest is read: its WAL ranges and its checksum.
const MANIFEST_END: u64 = 16 << 10;

/// The data directory of a run.
pub(crate) struct DataDirectory {
    path: PathBuf,
    files: Box<dyn Files>,
    /// What was there when it was last remembered.
    before: Option<Marks>,
    /// The device that held its content when that was last seen.
    device: Option<u64>,
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
        DataDirectory { path: path.into(), files, before: None, device: None }
    }

    /// Looks at the directory: cheap, whatever its size.
    pub(crate) fn look(&mut self) -> Look {
        match self.look_once() {
            Ok(look) => look,
            Err(why) => Look {
                content: Err(why.clone()),
                first_file: Err(why.clone()),
                postmaster: Err(why),
                usage: None,
            },
        }
    }

    fn look_once(&mut self) -> Known<Look> {
        let place = self.place()?;
        let (content, first_file, postmaster) = match place {
            Place::Directory(_) => (self.content(), self.first_file(), self.postmaster()),
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
        Ok(Look { content, first_file, postmaster, usage: None })
    }

    /// Remembers what is there: only what comes after it counts as restored.
    pub(crate) fn remember(&mut self) -> Known<()> {
        let place = self.place()?;
        let marks = match place {
            Place::Directory(_) => self.marks()?,
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

    fn examine_once(&self) -> Known<Completeness> {
        let place = self.place()?;
        let answer = match place {
            Place::Missing => Completeness::Incomplete("the data directory does not exist".into()),
            Place::NotADirectory => Completeness::Incomplete("the data directory is not a directory".into()),
            Place::Directory(_) if self.content()? == Content::Empty => {
                Completeness::Incomplete("the data directory is empty".into())
            }
            Place::Directory(_) => match self.base()? {
                Err(answer) => answer,
                Ok(base) => {
                    let rest = self.rest(&base.info)?;
                    complete::whole(base, rest)
                }
            },
        };
        if matches!(answer, Completeness::Complete(_)) {
            self.confirm_same(place)?;
        } else {
            self.confirm_absence(place)?;
        }
        Ok(answer)
    }

    fn base(&self) -> Known<Result<complete::Base, Completeness>> {
        let marks = self.marks()?;
        let info = self.text(".barman-recover.info")?.and_then(|text| Info::parse(&text));
        let label = self.text("backup_label")?.and_then(|text| Label::parse(&text));
        Ok(complete::base(&marks, self.before.as_ref(), info, label))
    }

    fn rest(&self, info: &Info) -> Known<Rest> {
        Ok(Rest { wal: self.wal()?, fetcher: self.fetcher()?, manifest_id: self.manifest_id(info)? })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn text(&self, name: &str) -> Known<Option<String>> {
        text_at(self.files.as_ref(), &self.at(name))
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

    fn content(&self) -> Known<Content> {
        let mut content = Content::Empty;
        let mut see = |name: OsString| {
            if !is_nothing(&name) {
                content = Content::Something;
            }
            content == Content::Empty
        };
        self.files.names(&self.path, &mut see).map_err(|error| unknown(&self.path, &error))?;
        Ok(content)
    }

    /// An empty file is not written yet.
    fn first_file(&self) -> Known<Option<FileId>> {
        let found = file_at(self.files.as_ref(), &self.at("PG_VERSION"))?;
        Ok(found.filter(|found| found.size > 0))
    }

    /// The process in `postmaster.pid`, if it lives: its first line, negative for a single-user backend. The lines
    /// after it contain paths in any encoding.
    fn postmaster(&self) -> Known<Option<u32>> {
        let Some(text) = self.text("postmaster.pid")? else { return Ok(None) };
        let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok()?.checked_abs());
        let pid = pid.filter(|pid| *pid > 0 && sys::process_lives(*pid));
        Ok(pid.map(i32::unsigned_abs))
    }

    fn marks(&self) -> Known<Marks> {
        let file = |name: &str| file_at(self.files.as_ref(), &self.at(name));
        Ok(Marks {
            pg_version: file("PG_VERSION")?,
            pg_control: file("global/pg_control")?,
            label: file("backup_label")?,
            info: file(".barman-recover.info")?,
            auto_conf: file("postgresql.auto.conf")?,
            origin: file("postgresql.auto.conf.origin")?,
        })
    }

    fn wal(&self) -> Known<Option<WalFiles>> {
        let mut wal = WalFiles::default();
        let mut add = |name: OsString| {
            if let Some(name) = name.to_str() {
                wal.add(name);
            }
            true
        };
        let path = self.at("pg_wal");
        let read = if_there(&path, self.files.names(&path, &mut add))?;
        Ok(read.map(|()| wal))
    }

    /// PostgreSQL 12 and later reads the command from `postgresql.auto.conf`, and uses it if a signal file is there.
    fn fetcher(&self) -> Known<Option<String>> {
        let file = |name: &str| file_at(self.files.as_ref(), &self.at(name));
        let has_signal = file("recovery.signal")?.is_some() || file("standby.signal")?.is_some();
        let text = self.text(if has_signal { "postgresql.auto.conf" } else { "recovery.conf" })?;
        Ok(text.and_then(|text| info::wal_fetcher(&text)))
    }

    /// The ID in the name of the manifest whose content is that of this backup. A source that Barman itself had
    /// restored brings those of earlier backups along.
    fn manifest_id(&self, info: &Info) -> Known<Option<String>> {
        let mut names = Vec::new();
        let mut add = |name: OsString| {
            names.extend(name.into_string().ok().filter(|name| info::manifest_id(name).is_some()));
            true
        };
        self.files.names(&self.path, &mut add).map_err(|error| unknown(&self.path, &error))?;
        for name in names {
            let path = self.at(&name);
            if file_at(self.files.as_ref(), &path)?.is_none() {
                continue;
            }
            let end = if_there(&path, self.files.read_end(&path, MANIFEST_END))?.unwrap_or_default();
            if info::manifest_starts_at(&String::from_utf8_lossy(&end), info.start.location) {
                return Ok(info::manifest_id(&name).map(Into::into));
            }
        }
        Ok(None)
    }

    /// An error if another directory is at the path than at the beginning of a look: what was found is of both.
    fn confirm_same(&self, begun: Place) -> Known<()> {
        let is_same = match (begun, self.place()?) {
            (Place::Directory(before), Place::Directory(now)) => before.is_same_directory(&now),
            (before, now) => before == now,
        };
        if is_same { Ok(()) } else { Err(format!("{} was replaced during a look", self.path.display())) }
    }

    /// An error if what is not there may only be out of sight: there is another file system than the one on which
    /// content was seen.
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
            "{} is on another file system than before: its own may not be mounted",
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
