//! The few questions that a file system is asked about a data directory, behind a trait, so that a test can let any
//! of them fail.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::text::one_line;
use crate::world::{FileId, Known};

/// More than any of the texts that are read: Barman's record lists every tablespace and every included file.
const LONGEST_TEXT: u64 = 4 << 20;

/// The questions. None of them waits for a pipe, or reads anything but a regular file.
pub(super) trait Files: Send {
    /// What is at the path, links followed.
    fn stat(&self, path: &Path) -> io::Result<Entry>;

    /// What is at the path, which may itself be a link.
    fn entry(&self, path: &Path) -> io::Result<Entry>;

    /// The beginning of a regular file, at most this many bytes. A link is refused.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The end of a regular file, at most this many bytes. A link is refused.
    fn read_end(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// Each name in a directory, until `each` returns false.
    fn names(&self, path: &Path, each: &mut dyn FnMut(OsString) -> bool) -> io::Result<()>;
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) device: u64,
    pub(super) owner: u32,
    pub(super) id: FileId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl Entry {
    pub(super) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Whether both are the same directory. Times and size do not count: its content changes them.
    pub(super) fn is_same_directory(&self, other: &Entry) -> bool {
        self.is_directory()
            && other.is_directory()
            && (self.device, self.id.inode) == (other.device, other.id.inode)
    }
}

impl From<&Metadata> for Entry {
    fn from(found: &Metadata) -> Entry {
        let kind = match found.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        let modified = found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
        let id = FileId { inode: found.ino(), modified, size: found.len() };
        Entry { kind, device: found.dev(), owner: found.uid(), id }
    }
}

/// The file system itself.
pub(super) struct RealFiles;

impl Files for RealFiles {
    fn stat(&self, path: &Path) -> io::Result<Entry> {
        Ok(Entry::from(&fs::metadata(path)?))
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        Ok(Entry::from(&fs::symlink_metadata(path)?))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_end(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut file = open(path)?;
        let start = file.metadata()?.len().saturating_sub(limit);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn names(&self, path: &Path, each: &mut dyn FnMut(OsString) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            if !each(entry?.file_name()) {
                break;
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// The result, or None if there is nothing at the path. Every other error leaves open what is there.
pub(super) fn if_there<T>(path: &Path, result: io::Result<T>) -> Known<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unknown(path, &error)),
    }
}

/// Why something could not be found out.
pub(super) fn unknown(path: &Path, error: &io::Error) -> String {
    one_line(&format!("{}: {error}", path.display()))
}

/// The regular file at a path, not through a link.
pub(super) fn file_at(files: &dyn Files, path: &Path) -> Known<Option<FileId>> {
    let found = if_there(path, files.entry(path))?;
    Ok(found.filter(|found| found.kind == Kind::File).map(|found| found.id))
}

/// The text of a regular file; None if there is none, or one too long to be what it is named for.
pub(super) fn text_at(files: &dyn Files, path: &Path) -> Known<Option<String>> {
    if file_at(files, path)?.is_none_or(|found| found.size > LONGEST_TEXT) {
        return Ok(None);
    }
    let bytes = if_there(path, files.read(path, LONGEST_TEXT))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// What a file system has in its root. `ls` prints it, and so Barman refuses the directory.
pub(super) const LOST_AND_FOUND: &str = "lost+found";

/// Whether a name is hidden from `ls`, by which Barman sees whether a directory is empty.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// The links of a data directory that lead to other parts of it: to tablespaces, and to a WAL directory elsewhere.
pub(super) fn linked(files: &dyn Files, root: &Path) -> Known<Vec<PathBuf>> {
    let (tablespaces, mut links) = (root.join("pg_tblspc"), vec![root.join("pg_wal")]);
    let mut add = |name: OsString| {
        links.push(tablespaces.join(name));
        true
    };
    if_there(&tablespaces, files.names(&tablespaces, &mut add))?;
    let mut found = Vec::new();
    for link in links {
        if if_there(&link, files.entry(&link))?.is_some_and(|entry| entry.kind == Kind::Link) {
            found.push(link);
        }
    }
    Ok(found)
}
