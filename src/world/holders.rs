//! The processes on this node that hold the lock on a file. `/proc` proves it; what it does not show is not guessed.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::sys;
use crate::text::printable;

/// More than the kernel writes about one open file.
const FDINFO_LIMIT: u64 = 4096;

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: i32,
    user: u32,
    name: String,
}

impl Holder {
    /// For messages: `rsync (pid 4711)`
    pub(crate) fn text(&self) -> String {
        format!("{} (pid {})", self.name, self.pid)
    }

    fn moved(&self) -> Option<u64> {
        let figures = read(&Path::new("/proc").join(self.pid.to_string()).join("io"));
        let figure = |name: &str| -> Option<u64> {
            figures.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
        };
        Some(figure("rchar:")?.wrapping_add(figure("wchar:")?))
    }

    fn is_postgres(&self) -> bool {
        self.name == "postgres" || self.name == "postmaster"
    }
}

/// Who has locked this file, as far as this user can see it.
pub(crate) fn of(file: &File) -> Vec<Holder> {
    let Some(file) = Identity::of(file.metadata().ok()) else { return Vec::new() };
    // A process inherits its locked file, so that many can hold one lock.
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| holder(pid, file)).collect()
}

/// How many bytes the holders have read and written; None if `/proc` shows that of none of them.
pub(crate) fn moved(file: &File) -> Option<u64> {
    of(file).iter().filter_map(Holder::moved).reduce(u64::wrapping_add)
}

/// Kills the holders that belong to this user, except PostgreSQL: Barman does not start it, but an operator's
/// script may have done so.
pub(crate) fn kill(file: &File, user: u32) {
    let Some(identity) = Identity::of(file.metadata().ok()) else { return };
    for found in of(file) {
        // Again with the process held: its ID may mean another one by now.
        let Ok(process) = sys::Process::open(found.pid) else { continue };
        if holder(found.pid, identity).is_some_and(|found| found.user == user && !found.is_postgres()) {
            let _ = process.kill(); // it has ended, or it stays and is named
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(found: Option<fs::Metadata>) -> Option<Identity> {
        found.map(|found| Identity { device: found.dev(), inode: found.ino() })
    }
}

fn holder(pid: i32, file: Identity) -> Option<Holder> {
    let process = Path::new("/proc").join(pid.to_string());
    let links = fs::read_dir(process.join("fd")).ok()?.filter_map(Result::ok);
    links.map(|link| link.file_name()).find(|number| {
        Identity::of(fs::metadata(process.join("fd").join(number)).ok()) == Some(file)
            && read(&process.join("fdinfo").join(number)).contains("FLOCK")
    })?;
    let name = printable(read(&process.join("comm")).trim_end());
    Some(Holder { pid, user: fs::metadata(&process).ok()?.uid(), name })
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    let file = File::open(path).map(|file| file.take(FDINFO_LIMIT).read_to_end(&mut bytes));
    if file.is_ok() { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() }
}
