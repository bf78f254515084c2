//! The program's calls into libc, each behind a safe function: signals and local time. All of the program's
//! unsafe code.

use std::mem::MaybeUninit;
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The signals that end a run in order.
const ENDING: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Signals that are blocked in this thread and those that it starts, to be waited for.
#[derive(Clone, Copy)]
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks the ending signals, but for those that whoever started us wants ignored (nohup, `&`).
    pub fn block() -> Signals {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `set` is initialised by sigemptyset before anything reads it; `old` by sigaction, where
        // that succeeds. No handler is installed.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in ENDING {
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

    /// Waits for one of them.
    pub fn wait(&self) -> i32 {
        loop {
            let mut signal = 0;
            // SAFETY: the set is initialised, and `signal` is there to be written.
            if unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } == 0 {
                return signal;
            }
        }
    }

    /// Gives them back their default action.
    pub fn unblock(&self) {
        // SAFETY: the set is initialised; a null old mask is allowed.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const self.0, ptr::null_mut()) };
    }

    /// Ends the process by this signal, so that whoever started it sees that.
    pub fn die_by(&self, signal: i32) -> ! {
        // SAFETY: plain calls; the default action of the signal ends the process.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
        self.unblock();
        // SAFETY: a plain call.
        unsafe { libc::raise(signal) };
        std::process::exit(128 + signal) // not reached
    }
}

/// The name of an ending signal.
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGTERM => "SIGTERM",
        libc::SIGINT => "SIGINT",
        libc::SIGHUP => "SIGHUP",
        _ => "a signal",
    }
}

/// `2026-01-31 10:20:30,123`: local time, as Python's `logging` prints it.
pub fn local_time() -> String {
    let (t, millis) = now();
    format!("{} {},{millis:03}", date(&t), time(&t))
}

/// `2026-01-31T10:20:30.123+01:00`: local time with its offset.
pub fn rfc3339_time() -> String {
    let (t, millis) = now();
    let minutes = t.tm_gmtoff / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    format!("{}T{}.{millis:03}{sign}{hours:02}:{minutes:02}", date(&t), time(&t))
}

fn date(t: &libc::tm) -> String {
    format!("{:04}-{:02}-{:02}", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday)
}

fn time(t: &libc::tm) -> String {
    format!("{:02}:{:02}:{:02}", t.tm_hour, t.tm_min, t.tm_sec)
}

/// Local time and its milliseconds.
fn now() -> (libc::tm, u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(now.as_secs()).unwrap_or(0);
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: localtime_r reads `seconds` and writes `parts`; all-zero is a valid `tm` where it fails.
    let local = unsafe {
        libc::localtime_r(&raw const seconds, parts.as_mut_ptr());
        parts.assume_init()
    };
    (local, now.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every digit as a 9.
    fn shape(text: &str) -> String {
        text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect()
    }

    #[test]
    fn local_time_has_pythons_form() {
        assert_eq!(shape(&local_time()), "9999-99-99 99:99:99,999");
    }

    #[test]
    fn the_time_of_the_json_log_has_an_offset() {
        assert_eq!(shape(&rfc3339_time()).replace('-', "+"), "9999+99+99T99:99:99.999+99:99");
    }
}
