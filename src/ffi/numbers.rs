//! The numbers of the C header, and their names. The enums are only for the header: every function takes and
//! returns `int32_t`, so that no caller can make an invalid Rust value. Tests hold them equal to the crate's.
#![allow(non_camel_case_types, dead_code, reason = "named as in the header, where they are used")]

use std::ffi::CStr;

use crate::outcome::{Code, OperationState};

/// How a function, above all barman_recover_run, ended. 0, 1, 2, -1 and -2 are the numbers of Patroni's
/// patroni_barman.
#[repr(C)]
pub enum barman_recover_code {
    /// The backup was restored; or: the call succeeded.
    BARMAN_RECOVER_RECOVERY_DONE = 0,
    /// Barman says that the recovery failed; or the data directory does not hold the data that it should, or
    /// nothing arrived in it for the stall timeout.
    BARMAN_RECOVER_RECOVERY_FAILED = 1,
    /// The API refused the request, or could not be talked to any more.
    BARMAN_RECOVER_HTTP_ERROR = 2,
    /// The exit status of the program patroni_barman without a sub-command; no function returns it.
    BARMAN_RECOVER_NO_COMMAND = -1,
    /// The API is not up and running; nothing was started.
    BARMAN_RECOVER_API_NOT_OK = -2,
    /// An argument or option is missing or wrong; nothing was sent.
    BARMAN_RECOVER_INVALID_ARGUMENT = -3,
    /// Ended by barman_recover_cancel or by the event callback.
    BARMAN_RECOVER_CANCELLED = -4,
    /// The overall deadline passed.
    BARMAN_RECOVER_TIMED_OUT = -5,
    /// The handle is running or has run, a PostgreSQL runs in the data directory, or a state file speaks of
    /// another recovery; nothing was started.
    BARMAN_RECOVER_BUSY = -6,
    /// A bug in the library, caught at its border.
    BARMAN_RECOVER_PANIC = -7,
}

/// What is known about the operation on the Barman host.
#[repr(C)]
pub enum barman_recover_state {
    /// None was created.
    BARMAN_RECOVER_STATE_NOT_CREATED = 0,
    /// A create is being sent or was sent, and its fate is unknown: files may be landing in the data directory.
    BARMAN_RECOVER_STATE_MAYBE_CREATED = 1,
    /// It was running when last seen: files may be landing in the data directory.
    BARMAN_RECOVER_STATE_IN_PROGRESS = 2,
    /// It has ended; Barman calls it done.
    BARMAN_RECOVER_STATE_DONE = 3,
    /// It has ended; Barman calls it failed.
    BARMAN_RECOVER_STATE_FAILED = 4,
}

/// The level of a BARMAN_RECOVER_EVENT_LOG.
#[repr(C)]
pub enum barman_recover_level {
    /// For those who look for a fault.
    BARMAN_RECOVER_LEVEL_DEBUG = 0,
    /// The course of things.
    BARMAN_RECOVER_LEVEL_INFO = 1,
    /// Something is odd, and the run goes on.
    BARMAN_RECOVER_LEVEL_WARNING = 2,
    /// The run ends because of this, or a hint to it.
    BARMAN_RECOVER_LEVEL_ERROR = 3,
}

/// The kind of an event. Ignore those that you do not know.
#[repr(C)]
pub enum barman_recover_event {
    /// A line for the log: level is a BARMAN_RECOVER_LEVEL_..., message one line of text.
    BARMAN_RECOVER_EVENT_LOG = 1,
    /// The state of the operation has changed: level is the BARMAN_RECOVER_STATE_..., message the ID of the
    /// operation, or "" while it is not known. BARMAN_RECOVER_STATE_MAYBE_CREATED comes before the create is
    /// sent, and BARMAN_RECOVER_STATE_NOT_CREATED again when it has started nothing.
    BARMAN_RECOVER_EVENT_STATE = 2,
    /// About a second has passed, whatever the run waits for (only while a TCP connection is being
    /// established there are none): level is 0, message "".
    BARMAN_RECOVER_EVENT_TICK = 3,
    /// What has arrived in the data directory, from the first byte on, where the data directory can be seen.
    /// Comes about once a second while an operation runs, more often in its first seconds: level is the share
    /// of the backup in percent, or -1 while its size is not known, message the figures for people.
    /// barman_recover_bytes and barman_recover_total_bytes have the numbers.
    BARMAN_RECOVER_EVENT_PROGRESS = 4,
}

pub(super) const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL"),
    };

pub(super) const VERSION_NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
    | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
    | number(env!("CARGO_PKG_VERSION_PATCH"));

const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("a part of a version is a number"),
    }
}

const UNKNOWN: &CStr = c"UNKNOWN";

pub(super) fn code_name(code: i32) -> &'static CStr {
    let Some(code) = Code::ALL.into_iter().find(|known| *known as i32 == code) else { return UNKNOWN };
    match code {
        Code::RecoveryDone => c"RECOVERY_DONE",
        Code::RecoveryFailed => c"RECOVERY_FAILED",
        Code::HttpError => c"HTTP_ERROR",
        Code::NoCommand => c"NO_COMMAND",
        Code::ApiNotOk => c"API_NOT_OK",
        Code::InvalidArgument => c"INVALID_ARGUMENT",
        Code::Cancelled => c"CANCELLED",
        Code::TimedOut => c"TIMED_OUT",
        Code::Busy => c"BUSY",
        Code::Panic => c"PANIC",
    }
}

const STATES: [(OperationState, &CStr); 5] = [
    (OperationState::NotCreated, c"NOT_CREATED"),
    (OperationState::MaybeCreated, c"MAYBE_CREATED"),
    (OperationState::InProgress, c"IN_PROGRESS"),
    (OperationState::Done, c"DONE"),
    (OperationState::Failed, c"FAILED"),
];

pub(super) fn state_name(state: i32) -> &'static CStr {
    STATES.iter().find(|(known, _)| *known as i32 == state).map_or(UNKNOWN, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Level;

    #[test]
    fn names_are_those_of_the_crate() {
        for code in Code::ALL {
            assert_eq!(code_name(code as i32).to_str(), Ok(code.name()));
        }
        for (state, name) in STATES {
            assert_eq!(name.to_str(), Ok(state.name()));
            assert_eq!(state_name(state as i32), name);
        }
        for unknown in [-8, 3, i32::MIN, i32::MAX] {
            assert_eq!(code_name(unknown), c"UNKNOWN");
        }
        assert_eq!([state_name(-1), state_name(5)], [c"UNKNOWN"; 2]);
    }

    /// Every enumerator of the header, with its value.
    fn header() -> Vec<(String, i32)> {
        let header = std::fs::read_to_string(env!("BARMAN_RECOVER_HEADER")).unwrap();
        let enumerators = header.lines().filter_map(|line| line.trim().split_once(" = "));
        enumerators
            .filter(|(name, _)| name.starts_with("BARMAN_RECOVER_"))
            .map(|(name, value)| (name.to_string(), value.trim_end_matches(',').parse().unwrap()))
            .collect()
    }

    #[test]
    fn numbers_in_the_header_are_those_of_the_crate() {
        let mut expected: Vec<(String, i32)> =
            Code::ALL.iter().map(|code| (format!("BARMAN_RECOVER_{}", code.name()), *code as i32)).collect();
        for (state, _) in STATES {
            expected.push((format!("BARMAN_RECOVER_STATE_{}", state.name()), state as i32));
        }
        for level in [Level::Debug, Level::Info, Level::Warning, Level::Error] {
            expected.push((format!("BARMAN_RECOVER_LEVEL_{}", level.name()), level as i32));
        }
        for (kind, number) in [("LOG", 1), ("STATE", 2), ("TICK", 3), ("PROGRESS", 4)] {
            expected.push((format!("BARMAN_RECOVER_EVENT_{kind}"), number));
        }
        assert_eq!(header(), expected);
    }
}
