//! Looks at the data directory. Never writes, moves or deletes anything there.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::sys;
use crate::world::fs::mark::{self, Info, Label};
use crate::world::snapshot;
pub(crate) use crate::world::snapshot::{Identity, Inode, MARKS, Stamp};
use crate::world::snapshot::{Mark, Snapshot, Stamps};

/// More than Barman writes into `.barman-recover.info`, even for a server with thousands of tablespaces.
const INFO_LIMIT: u64 = 4 << 20;
const LABEL_LIMIT: u64 = 64 << 10;

/// The data directory of a run.
pub(crate) struct Directory {
    path: PathBuf,
    /// The last mark, with the versions of the files that it was read from.
    mark: Option<(Sources, Option<Mark>)>,
}

/// Versions of the files that form a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sources {
    info: Stamp,
    label: Stamp,
    auto_conf: Stamp,
}

impl Directory {
    pub(crate) fn new(path: &Path) -> Directory {
        Directory { path: path.into(), mark: None }
    }

    /// Everything in a look except what has arrived and who is writing.
    pub(crate) fn look(&mut self) -> Snapshot {
        let look = self.look_once();
        // Look twice, as a call that failed may work a moment later: a restore that can't be seen would be repeated.
        if look.content == snapshot::Content::Unseen { self.look_once() } else { look }
    }

    fn look_once(&mut self) -> Snapshot {
        let found = match fs::metadata(&self.path) {
            Ok(found) if found.is_dir() => found,
            found => {
                return Snapshot { content: self.no_directory(found.err().as_ref()), ..Snapshot::default() };
            }
        };
        let Ok(is_empty) = visible_names(&self.path).map(|mut names| names.next().is_none()) else {
            return Snapshot::default();
        };
        let file = |name: &str| fs::metadata(self.path.join(name)).ok().filter(Metadata::is_file);
        // An empty file is not written yet.
        let written = |name: &str| file(name).filter(|found| found.len() > 0).map(|found| stamp(&found));
        let marks = MARKS.map(|name| fs::metadata(self.path.join(name)).ok().map(|found| inode(&found)));
        let mut look = Snapshot {
            content: if is_empty { snapshot::Content::Empty } else { snapshot::Content::Something },
            identity: Some(Identity { directory: inode(&found), marks }),
            removable: self.is_removable(&found),
            stamps: Stamps {
                pg_version: written("PG_VERSION"),
                pg_control: written("global/pg_control"),
                info: written(".barman-recover.info"),
                auto_conf: file("postgresql.auto.conf").map(|found| stamp(&found)), // may be empty
            },
            postmaster: postmaster(&self.path.join("postmaster.pid")).filter(|pid| sys::process_lives(*pid)),
            ..Snapshot::default()
        };
        let label = written("backup_label");
        if let (Some(info), Some(label), Some(auto_conf)) = (look.stamps.info, label, look.stamps.auto_conf) {
            look.mark = self.mark(Sources { info, label, auto_conf });
        }
        look
    }

    /// What is here instead of a directory.
    fn no_directory(&self, error: Option<&io::Error>) -> snapshot::Content {
        let Some(error) = error else { return snapshot::Content::NotADirectory };
        if fs::symlink_metadata(&self.path).is_ok_and(|entry| entry.is_symlink()) {
            snapshot::Content::NotADirectory // a dangling link is not "nothing": nobody can make a directory here
        } else if error.kind() == ErrorKind::NotFound && parent(&self.path).is_dir() {
            snapshot::Content::Missing
        } else {
            snapshot::Content::Unseen
        }
    }

    /// A mount point or a link can only be emptied in place.
    fn is_removable(&self, found: &Metadata) -> bool {
        let parent = parent(&self.path);
        sys::may_write(parent)
            && fs::symlink_metadata(&self.path).is_ok_and(|entry| entry.is_dir())
            && fs::metadata(parent).is_ok_and(|parent| parent.dev() == found.dev())
            && sys::is_mount_point(&self.path) != Some(true)
    }

    /// The mark that these files form; read only once.
    fn mark(&mut self, sources: Sources) -> Option<Mark> {
        match &self.mark {
            Some((known, mark)) if *known == sources => mark.clone(),
            _ => {
                let mark = if sources.auto_conf.ctime > sources.info.ctime { self.read_mark() } else { None };
                self.mark = Some((sources, mark.clone()));
                mark
            }
        }
    }

    fn read_mark(&self) -> Option<Mark> {
        let info = Info::parse(&read(&self.path.join(".barman-recover.info"), INFO_LIMIT)?)?;
        let label = Label::parse(&read(&self.path.join("backup_label"), LABEL_LIMIT)?)?;
        info.matches(&label).then(|| Mark {
            backup_id: info.backup_id(&label).or_else(|| self.manifest_id()),
            last_wal: names(&self.path.join("pg_wal")).filter(|name| mark::is_segment(name)).max(),
            server: info.server,
            begin_time: info.begin_time,
        })
    }

    /// A source that Barman itself had restored contains the manifest of that earlier backup too. Barman renamed the
    /// newest one last.
    fn manifest_id(&self) -> Option<String> {
        let found = names(&self.path).filter_map(|name| {
            let id = mark::manifest_id(&name)?.to_string();
            let found = fs::symlink_metadata(self.path.join(&name)).ok()?;
            Some(((found.ctime(), found.ctime_nsec()), id))
        });
        found.max().map(|(_, id)| id)
    }
}

/// The names in a directory that count as content: hidden ones don't, as in Barman (which uses `ls`).
pub(crate) fn visible_names(path: &Path) -> io::Result<impl Iterator<Item = OsString>> {
    let names = fs::read_dir(path)?.filter_map(Result::ok).map(|entry| entry.file_name());
    Ok(names.filter(|name| !is_hidden(name)))
}

pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// The names in a directory that are valid UTF-8; none if it can't be read.
fn names(path: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// The text of a file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Option<String> {
    let mut bytes = Vec::new();
    open(path).ok()?.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Opens a regular file.
fn open(path: &Path) -> io::Result<File> {
    let file = sys::open_to_read(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// The process in a `postmaster.pid`: its first line, negative for a single-user backend. The lines after it contain
/// paths in any encoding.
fn postmaster(path: &Path) -> Option<i32> {
    let mut first = Vec::new();
    BufReader::new(open(path).ok()?.take(64)).read_until(b'\n', &mut first).ok()?;
    let pid: i32 = std::str::from_utf8(&first).ok()?.trim().parse().ok()?;
    pid.checked_abs().filter(|pid| *pid > 0)
}

/// The directory that contains this path.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

pub(crate) fn inode(found: &Metadata) -> Inode {
    let born = found.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let born = born.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
    Inode { device: found.dev(), inode: found.ino(), born }
}

pub(crate) fn stamp(found: &Metadata) -> Stamp {
    Stamp { inode: found.ino(), ctime: (found.ctime(), found.ctime_nsec()) }
}

#[cfg(test)]
mod tests;
