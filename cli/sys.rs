//! The program's calls into libc, each behind a safe function: signals and local time. All of the program's unsafe
//! code is here.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The signals that end a run cleanly.
const ENDING: [(i32, &str); 2] = [(libc::SIGTERM, "SIGTERM"), (libc::SIGINT, "SIGINT")];

/// Signals that are blocked in this thread and in the threads that it starts, so that they can be waited for.
#[derive(Clone, Copy)]
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks the ending signals, except those that the parent process had set to be ignored (`&`). Ignores SIGHUP: a
    /// lost terminal must not cost hours.
    pub fn block() -> Signals {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises `set` before anything reads it; sigaction initialises `old` if it succeeds.
        // No handler is installed; `signal` is a plain call.
        unsafe {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            libc::sigemptyset(set.as_mut_ptr());
            for (signal, _) in ENDING {
                let mut old = MaybeUninit::<libc::sigaction>::zeroed();
                let known = libc::sigaction(signal, ptr::null(), old.as_mut_ptr()) == 0;
                if !(known && old.assume_init().sa_sigaction == libc::SIG_IGN) {
                    libc::sigaddset(set.as_mut_ptr(), signal);
                }
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
            Signals(set.assume_init())
        }
    }

    /// Waits for one of them; returns its number and name.
    pub fn wait(&self) -> (i32, &'static str) {
        let mut came = 0;
        loop {
            // SAFETY: the set is initialised, and `came` is writable.
            let is_written = unsafe { libc::sigwait(&raw const self.0, &raw mut came) } == 0;
            if let Some(ending) = ENDING.into_iter().find(|(signal, _)| is_written && *signal == came) {
                return ending;
            }
        }
    }

    /// Restores their default action.
    pub fn unblock(&self) {
        // SAFETY: the set is initialised; a null old mask is allowed.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const self.0, ptr::null_mut()) };
    }

    /// Dies from this signal, so that the parent process sees it.
    pub fn die_by(&self, signal: i32) -> ! {
        // SAFETY: a plain call; the default action of the signal ends the process.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        self.unblock();
        // SAFETY: a plain call.
        unsafe { libc::raise(signal) };
        std::process::exit(128 + signal) // not reached
    }
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `2026-01-31 10:20:30,123`: local time, as Python's `logging` prints it.
pub fn local_time() -> String {
    now(c"%Y-%m-%d %H:%M:%S,MILLIS")
}

/// `2026-01-31T10:20:30.123+01:00`: local time with its offset.
pub fn rfc3339() -> String {
    let mut text = now(c"%Y-%m-%dT%H:%M:%S.MILLIS%z");
    text.insert(text.len().saturating_sub(2), ':');
    text
}

fn now(format: &CStr) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or(0);
    let (mut parts, mut text) = (MaybeUninit::<libc::tm>::zeroed(), vec![0_u8; 64]);
    // SAFETY: localtime_r writes `parts`, for which all zeros is valid too, and strftime at most the length of
    // `text`.
    let length = unsafe {
        libc::localtime_r(&raw const seconds, parts.as_mut_ptr());
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), parts.as_ptr())
    };
    text.truncate(length);
    String::from_utf8_lossy(&text).replace("MILLIS", &format!("{:03}", since.subsec_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replaces every digit with a 9.
    fn shape(text: &str) -> String {
        text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect()
    }

    #[test]
    fn local_time_has_pythons_form() {
        assert_eq!(shape(&local_time()), "9999-99-99 99:99:99,999");
    }

    #[test]
    fn the_time_of_the_json_log_has_an_offset() {
        assert_eq!(shape(&rfc3339()).replace('-', "+"), "9999+99+99T99:99:99.999+99:99");
    }
}
