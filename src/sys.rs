//! System calls that std lacks. Those that rustix lacks too are called through libc, each behind a safe function.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

pub(crate) mod lock;

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
#[cfg(target_os = "linux")]
use rustix::{
    fs::{StatxAttributes, StatxFlags},
    process::{PidfdFlags, pidfd_send_signal},
};

/// Whether a process with this ID exists, whoever owns it.
pub(crate) fn process_lives(pid: i32) -> bool {
    process_id(pid).is_ok_and(lives)
}

fn lives(pid: Pid) -> bool {
    matches!(test_kill_process(pid), Ok(()) | Err(Errno::PERM))
}

/// Refuses numbers that mean a group of processes.
fn process_id(pid: i32) -> Result<Pid, Errno> {
    Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

/// Bytes that this user can still write to the file system of a path.
pub(crate) fn free_space(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Writes everything of the file system with this file to disk. Can take minutes.
#[cfg(target_os = "linux")]
pub(crate) fn sync_file_system(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

/// Has everything written to disk, as there is no call for one file system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_file_system(_: &File) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// Whether this user may make and remove files in a directory.
pub(crate) fn may_write(directory: &Path) -> bool {
    may(directory, Access::WRITE_OK | Access::EXEC_OK)
}

/// Whether this user may execute a file.
pub(crate) fn may_execute(file: &Path) -> bool {
    file.is_file() && may(file, Access::EXEC_OK)
}

fn may(path: &Path, access: Access) -> bool {
    rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

/// Runs `start` with every signal blocked, so that a thread started in it never runs one of the host's signal
/// handlers (which may expect one of the host's own threads).
pub(crate) fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both point to memory of the right type; sigfillset initialises the first, and the second is read only
    // if pthread_sigmask has succeeded and thus filled it.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) == 0
    };
    let result = start();
    if blocked {
        // SAFETY: `old` was filled above; a null old mask is allowed.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), std::ptr::null_mut()) };
    }
    result
}

/// The user whose rights this process has.
pub(crate) fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The name of a user.
pub(crate) fn user_name(user: u32) -> Option<String> {
    let name = user_entry(user, |entry| entry.pw_name)?.to_string_lossy().into_owned();
    Some(name).filter(|name| !name.is_empty())
}

/// The home directory of a user, as the user database has it: HOME may be another user's, as under sudo.
pub(crate) fn user_home(user: u32) -> Option<PathBuf> {
    let home = OsString::from_vec(user_entry(user, |entry| entry.pw_dir)?.into_bytes());
    Some(PathBuf::from(home)).filter(|home| home.is_absolute())
}

/// A text of the entry of a user in the user database.
fn user_entry(user: u32, field: impl Fn(&libc::passwd) -> *mut libc::c_char) -> Option<CString> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    let mut buffer = vec![0; 16 << 10];
    // SAFETY: all point to memory of the right type and of the given length. If `found` is set, it points to the
    // entry, which is filled, and each of its texts is null or a NUL-terminated string in the buffer.
    unsafe {
        let result =
            libc::getpwuid_r(user, entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        if result != 0 || found.is_null() {
            return None;
        }
        let text = field(&*found);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_owned())
    }
}

/// Whether this is a mount point; `None` if the kernel does not say (Linux does since 5.8).
#[cfg(target_os = "linux")]
pub(crate) fn is_mount_point(path: &Path) -> Option<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = rustix::fs::statx(CWD, path, flags, StatxFlags::empty()).ok()?;
    let is_root = StatxAttributes::MOUNT_ROOT;
    found.stx_attributes_mask.contains(is_root).then(|| found.stx_attributes.contains(is_root))
}

/// Whether this is a mount point; `None`, as the kernel does not say.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_mount_point(_: &Path) -> Option<bool> {
    None
}

/// A process to signal. Held by a pidfd if the kernel has those, so that its ID can't be reused for another process
/// in the meantime.
pub(crate) struct Process {
    pid: Pid,
    handle: Option<OwnedFd>,
}

impl Process {
    /// An error means that there is no such process.
    pub(crate) fn open(pid: i32) -> io::Result<Process> {
        let pid = process_id(pid)?;
        match pidfd_open(pid) {
            Ok(handle) => Ok(Process { pid, handle: Some(handle) }),
            // An old kernel, or a sandbox.
            Err(error) if error != Errno::SRCH && lives(pid) => Ok(Process { pid, handle: None }),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let sent = match &self.handle {
            Some(handle) => pidfd_send_signal(handle, Signal::KILL),
            None => kill_process(self.pid, Signal::KILL),
        };
        Ok(sent?)
    }
}

#[cfg(target_os = "linux")]
fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty())
}

#[cfg(not(target_os = "linux"))]
fn pidfd_open(_: Pid) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

#[cfg(not(target_os = "linux"))]
fn pidfd_send_signal(_: &OwnedFd, _: Signal) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}
