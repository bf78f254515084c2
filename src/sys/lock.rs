//! Locks on files (flock) that end with this process, however it ends.
//!
//! Such a lock belongs to the open file, which a forked child shares: a host that forks without exec would leave the
//! lock to its child, and the lock would live on when the host dies. So a handler of `pthread_atfork` closes the locked
//! files in every child. It is the one process-wide thing of this library.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};
use std::thread;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::timing::MOMENT;

/// Four files for each run of a process, and a process seldom has more than one run.
const MOST_FILES: usize = 1024;
const FREE: RawFd = -1;

/// The files that a forked child has to close.
static FILES: [AtomicI32; MOST_FILES] = [const { AtomicI32::new(FREE) }; MOST_FILES];
/// The forks that have begun in this process, and those that have ended. While the two differ, no file is
/// opened for locking.
static FORKS_BEGUN: AtomicU64 = AtomicU64::new(0);
static FORKS_ENDED: AtomicU64 = AtomicU64::new(0);

/// A file that can be locked. A forked child has it no more.
pub(crate) struct LockFile {
    file: Option<File>,
    slot: &'static AtomicI32,
}

impl LockFile {
    /// Opens a file; the closure may be called several times. A fork in this moment could give the file to a child
    /// that does not know it yet: then it is opened again.
    pub(crate) fn open(open: impl Fn() -> io::Result<File>) -> io::Result<LockFile> {
        watch_forks()?;
        for _ in 0..1000 {
            let begun = FORKS_BEGUN.load(SeqCst);
            if begun != FORKS_ENDED.load(SeqCst) {
                thread::sleep(MOMENT);
                continue;
            }
            let file = LockFile::register(open()?)?;
            if begun == FORKS_BEGUN.load(SeqCst) {
                return Ok(file);
            }
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "this process keeps forking"))
    }

    fn register(file: File) -> io::Result<LockFile> {
        let number = file.as_raw_fd();
        let slot = FILES.iter().find(|slot| slot.compare_exchange(FREE, number, SeqCst, SeqCst).is_ok());
        let slot = slot.ok_or(Errno::MFILE)?;
        Ok(LockFile { file: Some(file), slot })
    }

    /// The file, for everything but locks. An error in a forked child, which has it no more.
    pub(crate) fn file(&self) -> io::Result<&File> {
        Ok(self.file.as_ref().filter(|_| self.is_ours()).ok_or(Errno::BADF)?)
    }

    /// Locks the file so that nobody else can have a lock on it; false if somebody has. Does not wait.
    pub(crate) fn try_exclusive(&self) -> io::Result<bool> {
        self.lock(FlockOperation::NonBlockingLockExclusive)
    }

    /// Locks the file so that others can do the same; false if somebody has it exclusively. Does not wait.
    pub(crate) fn try_shared(&self) -> io::Result<bool> {
        self.lock(FlockOperation::NonBlockingLockShared)
    }

    /// Gives up the lock. Closing alone would not, as long as a child has the file.
    pub(crate) fn unlock(&self) -> io::Result<()> {
        Ok(flock(self.file()?, FlockOperation::Unlock)?)
    }

    fn lock(&self, operation: FlockOperation) -> io::Result<bool> {
        match flock(self.file()?, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// False in a forked child: the number of the file may mean another one there.
    fn is_ours(&self) -> bool {
        self.file.as_ref().is_some_and(|file| self.slot.load(SeqCst) == file.as_raw_fd())
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        let ours = self.is_ours();
        // Whoever waits for the lock sees that it is free; if that fails, closing the file is all that is left to do.
        let _ = self.unlock();
        if ours {
            self.slot.store(FREE, SeqCst);
        } else {
            // The handler closed it.
            if let Some(file) = self.file.take() {
                std::mem::forget(file);
            }
        }
    }
}

fn watch_forks() -> io::Result<()> {
    static ERROR: OnceLock<i32> = OnceLock::new();
    let error = *ERROR.get_or_init(|| {
        // SAFETY: the three functions only use atomics and close(), which are allowed in a forked child. The C library
        // forgets them when it unloads this library, as they are registered for the object that calls.
        unsafe { libc::pthread_atfork(Some(fork_begins), Some(fork_ended), Some(in_child)) }
    });
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

extern "C" fn fork_begins() {
    FORKS_BEGUN.fetch_add(1, SeqCst);
}

extern "C" fn fork_ended() {
    FORKS_ENDED.fetch_add(1, SeqCst);
}

extern "C" fn in_child() {
    for slot in &FILES {
        let number = slot.swap(FREE, SeqCst);
        if number != FREE {
            // SAFETY: the number is that of a file which is registered here, and whose owner sees from the slot that
            // it is closed.
            unsafe { libc::close(number) };
        }
    }
    FORKS_ENDED.store(FORKS_BEGUN.load(SeqCst), SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> LockFile {
        LockFile::open(|| File::options().read(true).write(true).create(true).truncate(false).open(path))
            .unwrap()
    }

    /// A child that does nothing, forked without exec.
    fn forked() -> i32 {
        // SAFETY: the child only calls alarm() and pause(), which are allowed after a fork in a program with threads.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                libc::alarm(60); // ends it also when the test fails
                libc::pause();
                libc::_exit(0);
            }
            pid
        }
    }

    /// The files that a process has open.
    fn open_in(pid: i32) -> Vec<std::path::PathBuf> {
        let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok()).collect()
    }

    #[test]
    fn a_lock_is_exclusive_also_in_one_process() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (open(&directory.path().join("f")), open(&directory.path().join("f")));
        assert!(first.try_exclusive().unwrap());
        assert!(!second.try_exclusive().unwrap() && !second.try_shared().unwrap());
        first.unlock().unwrap();
        assert!(second.try_shared().unwrap() && first.try_shared().unwrap());
    }

    #[test]
    fn a_forked_child_has_no_locked_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("f");
        let lock = open(&path);
        assert!(lock.try_exclusive().unwrap());
        let child = forked();
        assert!(child > 0);
        // It may still be on its way out of fork().
        for _ in 0..1000 {
            if !open_in(child).contains(&path) {
                break;
            }
            thread::sleep(MOMENT);
        }
        let files = open_in(child);
        assert!(!files.is_empty() && !files.contains(&path), "{files:?}");
        assert!(!open(&path).try_shared().unwrap(), "the lock of the parent is untouched");
        drop(lock);
        assert!(open(&path).try_exclusive().unwrap());
        crate::sys::Process::open(child).unwrap().kill().unwrap();
        // SAFETY: waits for a child of this test.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
}
