//! The calls into libc that std lacks, each behind a safe function.

/// Whether a process of this number exists, whoever owns it.
pub(crate) fn process_lives(pid: i32) -> bool {
    // SAFETY: signal 0 only checks; no memory is passed.
    let sent = unsafe { libc::kill(pid, 0) } == 0;
    sent || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
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
