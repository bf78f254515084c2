//! A directory that is held open, so that all work is done in it even if it or one of its parents is renamed.
//! Its files are for its owner alone, whatever the umask is: whoever can open a lock file can hold it.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use crate::sys::lock::LockFile;

/// How often to make a directory again if another run removes it.
const MOST_TRIES: usize = 50;

/// Whose a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Owner {
    pub(crate) fn of(found: &Metadata) -> Owner {
        Owner { user: found.uid(), group: found.gid() }
    }
}

/// A directory, and to whom root gives what it makes there: Barman's login has to use it, and root can read it anyway.
pub(crate) struct Folder {
    directory: OwnedFd,
    give_to: Option<Owner>,
}

impl Folder {
    /// Opens a directory by its path.
    pub(crate) fn open(path: &std::path::Path, give_to: Option<Owner>) -> io::Result<Folder> {
        let directory = rustix::fs::open(path, SEARCH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Folder { directory, give_to })
    }

    /// A directory in this one, which is made with these rights if it is not there; and whether it was made.
    pub(crate) fn directory(&self, name: &OsStr, rights: Rights) -> io::Result<(Folder, bool)> {
        for _ in 0..MOST_TRIES {
            let made = rustix::fs::mkdirat(&self.directory, name, rights.mode());
            let mut found = self.open_directory(name);
            if made.is_ok() && matches!(found, Err(Errno::ACCESS)) {
                // The umask takes rights from the owner himself.
                rustix::fs::chmodat(&self.directory, name, rights.mode(), AtFlags::empty())?;
                found = self.open_directory(name);
            }
            let directory = match (made, found) {
                // It exists, so it does not matter that it could not be made: its parent may not be writable.
                (_, Ok(directory)) => directory,
                // It has been removed meanwhile.
                (Ok(()) | Err(Errno::EXIST), Err(Errno::NOENT)) => continue,
                (Ok(()) | Err(Errno::EXIST), Err(error)) | (Err(error), Err(_)) => return Err(error.into()),
            };
            let folder = Folder { directory, give_to: self.give_to };
            if made.is_ok() && folder.stat()?.st_uid == rustix::process::geteuid().as_raw() {
                folder.finish(&folder.directory, rights)?;
            }
            return Ok((folder, made.is_ok()));
        }
        Err(io::Error::other("other processes keep creating and removing it"))
    }

    fn open_directory(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, name, flags, Mode::empty())
    }

    /// Gives what was just made its rights and its owner.
    fn finish(&self, made: &OwnedFd, rights: Rights) -> io::Result<()> {
        let bits = match rights {
            Rights::OwnerAlone => Mode::RWXU,
            Rights::Usual => Mode::from_raw_mode(rustix::fs::fstat(made)?.st_mode) | Mode::RWXU,
        };
        rustix::fs::fchmod(made, bits)?;
        self.give(made)
    }

    fn give(&self, made: &OwnedFd) -> io::Result<()> {
        if let Some(owner) = self.give_to {
            rustix::fs::fchown(made, Some(Uid::from_raw(owner.user)), Some(Gid::from_raw(owner.group)))?;
        }
        Ok(())
    }

    /// What this directory is.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.directory)?)
    }

    /// What the name leads to, without following a link.
    pub(crate) fn stat_of(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes a file that is not there yet, to read and to write.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let rights = Mode::RUSR | Mode::WUSR;
        let made = rustix::fs::openat(&self.directory, name, flags, rights)?;
        rustix::fs::fchmod(&made, rights)?;
        self.give(&made)?;
        Ok(made.into())
    }

    /// Opens a file to read and to write, because NFS gives an exclusive lock only on such a file.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.directory, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
        }
        Ok(file)
    }

    /// Opens a file to lock it.
    pub(crate) fn lock_file(&self, name: &str) -> io::Result<LockFile> {
        LockFile::open(|| self.file(name))
    }

    /// The text of a file that anybody of this user may have written; an error if it is longer than the limit.
    pub(crate) fn text(&self, name: &str, limit: u64) -> io::Result<String> {
        let mut bytes = Vec::new();
        let read = self.file(name)?.take(limit + 1).read_to_end(&mut bytes)?;
        if read as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.directory, from, &self.directory, to)?)
    }

    /// Removes a file. That there is none is no error.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a directory in this one; false if there is something in it, or it is not there.
    pub(crate) fn remove_directory(&self, name: &OsStr) -> io::Result<bool> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The names in it that are valid UTF-8, sorted: all of ours are.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_string());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The rights of a new directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    OwnerAlone,
    /// The rights that directories usually have, but never with write access for others.
    Usual,
}

impl Rights {
    fn mode(self) -> Mode {
        match self {
            Rights::OwnerAlone => Mode::RWXU,
            Rights::Usual => Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH,
        }
    }
}

/// How a parent is opened: it may be one whose names this user can't list.
#[cfg(target_os = "linux")]
const SEARCH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const SEARCH: OFlags = OFlags::RDONLY;
