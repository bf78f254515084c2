//! The lease: a script in the state directory through which Barman runs its commands on this node. It runs them while
//! this process lives and the lease has not been revoked.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::outcome::Problem;
use crate::sys::lock::LockFile;
use crate::text::printable;
use crate::timing::HOLDERS_AGAIN;
use crate::world::folder::Folder;
use crate::world::holders;
use crate::world::place::Place;
use crate::world::{Drain, Known, LeaseHandle, LeftLog, LogLine};

const SCRIPT: &str = include_str!("lease.sh");
/// Room for the log, reserved before anything runs: a restore that fills the file system must still be able
/// to log. No more than this is read of the log at once, either.
const LOG_ROOM: u64 = 64 << 10;
/// A longer line of the log is cut off.
const LONGEST_LINE: usize = 4096;

/// What the names of a lease's files begin with; its number follows.
pub(crate) const LEASE: &str = "lease-";
pub(crate) const REVOKED: &str = "revoked-";
pub(crate) const ALIVE: &str = "alive-";
pub(crate) const LOG: &str = "log-";
/// A lease before it is granted.
pub(crate) const NEW: &str = "new-";

/// A lease, with all its files open.
pub(crate) struct Lease {
    folder: Arc<Folder>,
    path: String,
    number: String,
    /// Locked while the lease is good.
    alive: Option<LockFile>,
    revoked: Revoked,
    log: Log,
    user: u32,
    /// Tells the claim that this lease still exists.
    _exists: Arc<()>,
}

impl Lease {
    /// Grants a lease: writes its files into the state directory. `only` is the one command that it runs, or "" for
    /// any.
    pub(crate) fn grant(place: &Place, exists: Arc<()>, only: &str) -> Result<Lease, Problem> {
        let number = number();
        Lease::write(place, &number, exists, only).map_err(|error| {
            // Nothing has used them. The next run removes the rest, as it does for a dead run.
            for kind in [NEW, LEASE, ALIVE, LOG] {
                let _ = place.folder.remove(&format!("{kind}{number}"));
            }
            cannot_lock(&place.path, &error)
        })
    }

    pub(crate) fn number(&self) -> &str {
        &self.number
    }

    fn write(place: &Place, number: &str, exists: Arc<()>, only: &str) -> io::Result<Lease> {
        let folder = &place.folder;
        let file = |kind: &str| format!("{kind}{number}");
        let path = |kind: &str| format!("{}/{kind}{number}", place.path);
        let log = folder.create(&file(LOG))?;
        make_room(&log)?;
        drop(folder.create(&file(ALIVE))?);
        let alive = folder.lock_file(&file(ALIVE))?;
        let script = SCRIPT
            .replace("@LEASE@", &path(LEASE))
            .replace("@ALIVE@", &path(ALIVE))
            .replace("@LOG@", &path(LOG))
            .replace("@ONLY@", only);
        folder.create(&file(NEW))?.write_all(script.as_bytes())?;
        let lease = folder.lock_file(&file(NEW))?;
        // The commands of Barman need these two kinds of locks; better that it fails here.
        if !alive.try_exclusive()? || !lease.try_shared()? {
            return Err(io::Error::other("another process has locked a new file"));
        }
        lease.unlock()?;
        folder.rename(&file(NEW), &file(LEASE))?;
        Ok(Lease {
            folder: Arc::clone(folder),
            path: path(LEASE),
            number: number.into(),
            alive: Some(alive),
            revoked: Revoked::new(lease),
            log: Log::new(log),
            user: place.user,
            _exists: exists,
        })
    }
}

impl LeaseHandle for Lease {
    fn path(&self) -> String {
        self.path.clone()
    }

    fn log(&mut self) -> Known<Vec<LogLine>> {
        self.log.read().map_err(|error| format!("the log of the lease can't be read: {error}"))
    }

    fn moved(&mut self) -> Option<u64> {
        holders::moved(self.revoked.file.file().ok()?)
    }

    fn revoke(&mut self) {
        // In a forked child the lease is not ours to revoke.
        let Some(alive) = self.alive.take().filter(|alive| alive.file().is_ok()) else { return };
        // Releasing the lock comes first: the watcher beside each command kills it, and nothing new starts.
        drop(alive);
        let _ = retire(&self.folder, &self.number);
    }

    fn drain(&mut self) -> Drain {
        let drain = self.revoked.drain();
        if drain == Drain::Drained {
            clear(&self.folder, &self.number);
        }
        drain
    }

    fn kill_holders(&mut self) {
        self.revoked.kill_holders(self.user);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// The file of a lease, which its commands have locked; once it is revoked, no new command can use it.
pub(crate) struct Revoked {
    file: LockFile,
    /// When the holders were last looked up, and who they were.
    looked: Instant,
    holders: Vec<String>,
}

impl Revoked {
    pub(crate) fn new(file: LockFile) -> Revoked {
        Revoked { file, looked: Instant::now(), holders: Vec::new() }
    }

    pub(crate) fn drain(&mut self) -> Drain {
        let locked = self.file.try_exclusive().and_then(|free| {
            // A lock of ours would look like one of Barman's to whoever looks next.
            if free { self.file.unlock() } else { Ok(()) }.map(|()| free)
        });
        match locked {
            Ok(true) => Drain::Drained,
            Ok(false) => {
                if self.looked.elapsed() >= HOLDERS_AGAIN {
                    let found = self.file.file().map(holders::of).unwrap_or_default();
                    self.holders = found.iter().map(holders::Holder::text).collect();
                    self.looked = Instant::now();
                }
                Drain::Held(self.holders.clone())
            }
            Err(error) => Drain::Unknown(format!("the lease can't be locked: {error}")),
        }
    }

    /// Kills what holds it and belongs to this user, PostgreSQL excepted.
    pub(crate) fn kill_holders(&self, user: u32) {
        if let Ok(file) = self.file.file() {
            holders::kill(file, user);
        }
    }
}

/// Takes a lease away from its path.
pub(crate) fn retire(folder: &Folder, number: &str) -> io::Result<()> {
    folder.rename(&format!("{LEASE}{number}"), &format!("{REVOKED}{number}"))
}

/// Removes the files of a lease that has been drained. Its log stays for the operator.
pub(crate) fn clear(folder: &Folder, number: &str) {
    for kind in [NEW, LEASE, REVOKED, ALIVE] {
        let _ = folder.remove(&format!("{kind}{number}")); // removed with the rest, by the next run at the latest
    }
}

/// Reads the logs in a state directory. The script logs the end of a command before it releases the lease, so
/// nothing is written to the log of a drained lease.
pub(crate) fn left_log(folder: &Folder) -> io::Result<Option<LeftLog>> {
    let mut left = None;
    for name in folder.names()? {
        if parse_name(&name).is_none_or(|(kind, _)| kind != LOG) {
            continue;
        }
        let file = folder.file(&name)?;
        let found = file.metadata()?;
        let written = found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
        let all = left.get_or_insert(LeftLog { lines: Vec::new(), written, device: found.dev() });
        all.written = all.written.max(written);
        all.lines.extend(Log::new(file).read()?);
    }
    Ok(left)
}

/// Splits the name of a file of a lease into its kind and the lease's number.
pub(crate) fn parse_name(name: &str) -> Option<(&'static str, &str)> {
    [LEASE, REVOKED, ALIVE, LOG, NEW].into_iter().find_map(|kind| {
        let number = name.strip_prefix(kind)?;
        let is_number =
            number.len() == 16 && number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_number.then_some((kind, number))
    })
}

/// The problem of a state directory in which nothing can be written or locked.
pub(crate) fn cannot_lock(path: &str, error: &io::Error) -> Problem {
    let has_no_descriptor = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    let (what, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ("written to", "make room on that file system")
        }
        _ if has_no_descriptor => ("opened", "allow this process more open files: a restore has up to eight"),
        _ => ("locked", "--state-dir must name a directory on a file system that can lock files (flock)"),
    };
    Problem::new(format!("the state directory {path} can't be {what}: {error}"), hint)
}

/// A number that no lease has had: 16 hexadecimal digits. The standard library seeds each hasher with randomness.
fn number() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:016x}", RandomState::new().hash_one((std::process::id(), now.as_nanos())))
}

#[cfg(target_os = "linux")]
fn make_room(log: &File) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(log, FallocateFlags::KEEP_SIZE, 0, LOG_ROOM) {
        // Not every file system can do it.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn make_room(_: &File) -> io::Result<()> {
    Ok(())
}

/// The log of a lease, read as it grows. Whoever is this user can write anything into it.
struct Log {
    file: File,
    /// How far it has been read.
    end: u64,
    /// The beginning of a line whose end has not been read.
    rest: Vec<u8>,
    /// Whether the beginning of the current line was skipped.
    skips: bool,
}

impl Log {
    fn new(file: File) -> Log {
        Log { file, end: 0, rest: Vec::new(), skips: false }
    }

    /// The lines that are new. Of many, only the last ones.
    fn read(&mut self) -> io::Result<Vec<LogLine>> {
        let length = self.file.metadata()?.len();
        if length.saturating_sub(self.end) > LOG_ROOM {
            self.end = length - LOG_ROOM;
            self.rest.clear();
            self.skips = true;
        }
        let mut lines = Vec::new();
        let mut buffer = [0; 8192];
        while self.end < length {
            let read = match self.file.read_at(&mut buffer, self.end) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.end += read as u64;
            self.add(buffer.get(..read).unwrap_or_default(), &mut lines);
        }
        Ok(lines)
    }

    fn add(&mut self, bytes: &[u8], lines: &mut Vec<LogLine>) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.rest.len());
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            self.rest.extend(text.iter().take(room));
            if text.len() < part.len() {
                if !std::mem::take(&mut self.skips) {
                    lines.extend(parse_line(&String::from_utf8_lossy(&self.rest)));
                }
                self.rest.clear();
            }
        }
    }
}

/// `4711 ls /data`, `4711 = 0`; None for what the script does not write, and for a call without a command, which is not
/// Barman's.
pub(crate) fn parse_line(line: &str) -> Option<LogLine> {
    let (pid, words) = line.split_once(' ')?;
    let pid = plain_number(pid)?;
    match words.strip_prefix("= ").and_then(plain_number) {
        Some(status) => Some(LogLine::Ended(pid, i32::try_from(status).ok()?)),
        None if words.is_empty() => None,
        None => Some(LogLine::Began(pid, printable(words))),
    }
}

fn plain_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
pub(in crate::world) mod tests;
