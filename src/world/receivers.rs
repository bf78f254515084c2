//! The rsync processes on this node that receive a restore into the data directory. Barman's rsync starts them
//! through ssh, as our own user, with the directory that they write into as their working directory; their arguments
//! do not name it. No other process is ever signalled.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::sys;
use crate::world::fs::directory::{Inode, inode, parent};

/// How much of a command line is read; `--server` and `--sender` are among rsync's first arguments.
const COMMAND_LINE: u64 = 4096;
/// How many directories are remembered.
const MOST_PLACES: usize = 1000;

/// Finds the receivers of one data directory.
pub(crate) struct Receivers {
    directory: PathBuf,
    processes: PathBuf,
    /// Where the directory, its tablespaces and its WAL directory have been so far, with links resolved: a receiver
    /// outlives the directory that it writes into.
    paths: BTreeSet<PathBuf>,
    /// The directories that have been at its path.
    inodes: Vec<Inode>,
}

impl Receivers {
    pub(crate) fn new(directory: &Path) -> Receivers {
        let processes = PathBuf::from("/proc");
        Receivers { directory: directory.into(), processes, paths: BTreeSet::new(), inodes: Vec::new() }
    }

    /// Also finds the receivers of the directory that an earlier run restored into, wherever it is now.
    pub(crate) fn remember(&mut self, directory: Inode) {
        if !self.inodes.contains(&directory) && self.inodes.len() < MOST_PLACES {
            self.inodes.push(directory);
        }
    }

    /// Their process IDs; empty if this process can't see other processes.
    pub(crate) fn find(&mut self) -> Vec<i32> {
        // Process IDs of another PID namespace would mean different processes here.
        let own = fs::read_link(self.processes.join("self")).ok();
        if own.is_none_or(|own| own.to_str() != Some(&std::process::id().to_string())) {
            return Vec::new();
        }
        self.see_places();
        let user = sys::effective_user();
        let entries = fs::read_dir(&self.processes).into_iter().flatten().filter_map(Result::ok);
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|pid| self.is_receiver(*pid, user)).collect()
    }

    /// Sends SIGTERM to each; returns how many there were.
    pub(crate) fn end(&mut self) -> usize {
        let found = self.find();
        let user = sys::effective_user();
        let ended = found.into_iter().filter(|pid| {
            // Check again with the process held: its ID may have been reused.
            let process = sys::Process::open(*pid);
            self.is_receiver(*pid, user) && process.is_ok_and(|process| process.terminate().is_ok())
        });
        ended.count()
    }

    /// Records where the directory and its links are now.
    fn see_places(&mut self) {
        if let Ok(found) = fs::metadata(&self.directory) {
            self.remember(inode(&found));
        }
        let name = self.directory.file_name().unwrap_or_default();
        let real = self.directory.canonicalize();
        let Ok(real) = real.or_else(|_| parent(&self.directory).canonicalize().map(|up| up.join(name)))
        else {
            return;
        };
        let tablespaces = fs::read_dir(real.join("pg_tblspc")).into_iter().flatten().filter_map(Result::ok);
        let links = tablespaces.map(|entry| entry.path()).chain([real.join("pg_wal")]);
        let is_link = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        for target in links.filter(is_link).filter_map(|link| link.canonicalize().ok()) {
            // A link to above the data directory does not lead to files of the restore.
            if !real.starts_with(&target) && self.paths.len() < MOST_PLACES {
                self.paths.insert(target);
            }
        }
        self.paths.insert(real);
    }

    fn is_receiver(&self, pid: i32, user: u32) -> bool {
        let process = self.processes.join(pid.to_string());
        let is_ours = fs::metadata(&process).is_ok_and(|found| found.uid() == user);
        is_ours && is_rsync_receiver(&process) && self.writes_here(&process.join("cwd"))
    }

    /// Whether this working directory is one of ours, or below one.
    fn writes_here(&self, link: &Path) -> bool {
        let (Ok(text), Ok(found)) = (fs::read_link(link), fs::metadata(link)) else { return false };
        let found = inode(&found);
        // The link still leads there when the directory has been deleted.
        if self.inodes.contains(&found) {
            return true;
        }
        let path = if fs::metadata(&text).is_ok_and(|there| inode(&there) == found) {
            text
        } else {
            let Some(name) = text.as_os_str().as_bytes().strip_suffix(b" (deleted)") else { return false };
            PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()))
        };
        self.paths.iter().any(|place| path.starts_with(place))
    }
}

fn is_rsync_receiver(process: &Path) -> bool {
    let mut line = Vec::new();
    let read = File::open(process.join("cmdline")).map(|file| file.take(COMMAND_LINE).read_to_end(&mut line));
    if !matches!(read, Ok(Ok(_))) {
        return false;
    }
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().and_then(|path| path.rsplit(|byte| *byte == b'/').next());
    let arguments: Vec<&[u8]> = words.collect();
    program == Some(b"rsync")
        && arguments.contains(&&b"--server"[..])
        && !arguments.contains(&&b"--sender"[..])
}

#[cfg(test)]
mod tests;
