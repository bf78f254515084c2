//! The calls into libc that std lacks, each behind a safe function.

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io;
#[cfg(target_os = "linux")]
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Whether a process of this number exists, whoever owns it.
pub(crate) fn process_lives(pid: i32) -> bool {
    // SAFETY: signal 0 only checks; no memory is passed.
    let sent = unsafe { libc::kill(pid, 0) } == 0;
    sent || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Opens a file without waiting for a writer where it is a pipe.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Bytes that this user can still write to the file system of a path.
pub(crate) fn free_space(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a NUL, and statvfs fills `found` where it succeeds.
    let found = unsafe {
        if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        found.assume_init()
    };
    // The types differ between platforms, u64 holds them all.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let (blocks, size) = (found.f_bavail as u64, found.f_frsize as u64);
    Ok(blocks.saturating_mul(size))
}

/// Whether this user may make and remove files in a directory.
pub(crate) fn may_write(directory: &Path) -> bool {
    may(directory, libc::W_OK | libc::X_OK)
}

/// Whether this user may execute a file.
pub(crate) fn may_execute(file: &Path) -> bool {
    file.is_file() && may(file, libc::X_OK)
}

fn may(path: &Path, access: i32) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path ends with a NUL.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), access, libc::AT_EACCESS) == 0 }
}

/// Runs `start` with every signal blocked, so that a thread which it starts never runs one of the host's
/// signal handlers (which may expect a thread of the host's own).
pub(crate) fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut old = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both point to memory of the right type; sigfillset initialises the first, and the second is
    // read only if pthread_sigmask, which then has filled it, succeeded.
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
    // SAFETY: takes nothing, and never fails.
    unsafe { libc::geteuid() }
}

/// The name of a user.
pub(crate) fn user_name(user: u32) -> Option<String> {
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    let mut buffer = vec![0; 16 << 10];
    // SAFETY: all point to memory of the right type and of the length that is passed. Where `found` is set, the entry is
    // filled, and its name is a string that ends with a NUL in the buffer.
    let name = unsafe {
        let entry = entry.as_mut_ptr();
        if libc::getpwuid_r(user, entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found) != 0
            || found.is_null()
        {
            return None;
        }
        CStr::from_ptr((*entry).pw_name).to_string_lossy().into_owned()
    };
    Some(name).filter(|name| !name.is_empty())
}

/// Reports when somebody opens a directory, by whatever path.
#[cfg(target_os = "linux")]
pub(crate) struct OpenWatch(File);

#[cfg(target_os = "linux")]
impl OpenWatch {
    pub(crate) fn new(directory: &Path) -> io::Result<OpenWatch> {
        let path = CString::new(directory.as_os_str().as_bytes())?;
        // SAFETY: takes flags alone. What it returns is a new descriptor, which nobody else owns.
        let watch = unsafe {
            match libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) {
                -1 => return Err(io::Error::last_os_error()),
                watch => OwnedFd::from_raw_fd(watch),
            }
        };
        // SAFETY: the descriptor is open, and the path ends with a NUL.
        let added = unsafe {
            libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), libc::IN_OPEN | libc::IN_ONLYDIR)
        };
        if added == -1 { Err(io::Error::last_os_error()) } else { Ok(OpenWatch(watch.into())) }
    }

    /// Whether the directory itself, and not only a file in it, was opened since the last call.
    pub(crate) fn was_opened(&mut self) -> bool {
        /// An event: descriptor, mask, cookie, length of the name behind it.
        const HEAD: usize = 16;
        let (mut events, mut opened) = ([0; 4096], false);
        while let Ok(length @ 1..) = self.0.read(&mut events) {
            let mut rest = events.get(..length).unwrap_or_default();
            while let Some((head, behind)) = rest.split_at_checked(HEAD) {
                let word = |at: usize| {
                    let bytes = head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                    u32::from_ne_bytes(bytes.unwrap_or_default())
                };
                opened |= word(4) & libc::IN_OPEN != 0 && word(4) & libc::IN_ISDIR != 0;
                let name = usize::try_from(word(12)).unwrap_or(usize::MAX);
                rest = behind.get(name..).unwrap_or_default();
            }
        }
        opened
    }
}

/// Reports when somebody opens a directory: not on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) struct OpenWatch;

#[cfg(not(target_os = "linux"))]
impl OpenWatch {
    pub(crate) fn new(_: &Path) -> io::Result<OpenWatch> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn was_opened(&mut self) -> bool {
        false
    }
}

/// Another descriptor of an open file, of at least this number; closed when a program is executed.
pub(crate) fn duplicate(file: &File, least: i32) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open. What it returns is a new one, which nobody else owns.
    unsafe {
        match libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) {
            -1 => Err(io::Error::last_os_error()),
            copy => Ok(OwnedFd::from_raw_fd(copy)),
        }
    }
}

/// Whether a mount point is here; `None` where the kernel does not say (Linux does from 5.8 on).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn is_mount_point(path: &Path) -> Option<bool> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path ends with a NUL, and `found`, which any bytes are valid for, is large enough for what statx
    // fills.
    let found = unsafe {
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
        if libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, 0, found.as_mut_ptr()) != 0 {
            return None;
        }
        found.assume_init()
    };
    #[allow(clippy::cast_sign_loss)] // one bit
    let is_root = libc::STATX_ATTR_MOUNT_ROOT as u64;
    (found.stx_attributes_mask & is_root != 0).then_some(found.stx_attributes & is_root != 0)
}

/// Whether a mount point is here; `None` where the kernel does not say.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn is_mount_point(_: &Path) -> Option<bool> {
    None
}

/// A process to signal. Held by a descriptor where the kernel has those, so that its number can't come to mean
/// another process meanwhile.
pub(crate) struct Process {
    pid: i32,
    handle: Option<OwnedFd>,
}

impl Process {
    /// An error means that there is none.
    pub(crate) fn open(pid: i32) -> io::Result<Process> {
        match pidfd_open(pid) {
            Ok(handle) => Ok(Process { pid, handle: Some(handle) }),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err(error),
            Err(_) if process_lives(pid) => Ok(Process { pid, handle: None }), // an old kernel, or a sandbox
            Err(error) => Err(error),
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        if let Some(handle) = &self.handle {
            return pidfd_terminate(handle);
        }
        // SAFETY: no memory is passed.
        if unsafe { libc::kill(self.pid, libc::SIGTERM) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(target_os = "linux")]
fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers. What it returns is a new descriptor, which nobody else owns.
    unsafe {
        let handle = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        match i32::try_from(handle) {
            Ok(handle) if handle >= 0 => Ok(OwnedFd::from_raw_fd(handle)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(target_os = "linux")]
fn pidfd_terminate(handle: &OwnedFd) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and no information about the signal is passed.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), libc::SIGTERM, info, 0) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn pidfd_open(_: i32) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn pidfd_terminate(_: &OwnedFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
