//! The numbers of the C header, and their names. The enums are only for the header: every function takes and
//! returns `int32_t`, so that no caller can create an invalid Rust value. Tests check that they match the
//! crate's enums.
#![allow(non_camel_case_types, dead_code, reason = "named as in the header, where they are used")]

use std::ffi::CStr;

use crate::commands::check::Verdict;
use crate::outcome::{Busy, Code, Names, SwitchCode};

/// How a command ended, or a call. 0, 1, 2, -1 and -2 are the numbers of Patroni's patroni_barman.
#[repr(C)]
pub enum barman_recover_code {
    /// The backup was restored, and the data is in the data directory; or: the call succeeded.
    BARMAN_RECOVER_RECOVERY_DONE = 0,
    /// Barman reports that the recovery failed; or the data is not in the data directory; or nothing has arrived in
    /// it for the stall timeout.
    BARMAN_RECOVER_RECOVERY_FAILED = 1,
    /// The API refused the request, or can't be reached any more.
    BARMAN_RECOVER_HTTP_ERROR = 2,
    /// Only an exit status of the program patroni_barman: without a sub-command.
    BARMAN_RECOVER_NO_COMMAND = -1,
    /// The API is not up and running; nothing was started.
    BARMAN_RECOVER_API_NOT_OK = -2,
    /// An argument or option is missing or wrong; nothing was sent.
    BARMAN_RECOVER_INVALID_ARGUMENT = -3,
    /// Ended by barman_recover_cancel, barman_recover_detach or the event callback.
    BARMAN_RECOVER_CANCELLED = -4,
    /// The deadline has passed.
    BARMAN_RECOVER_TIMED_OUT = -5,
    /// Nothing was started; barman_recover_busy_reason says why.
    BARMAN_RECOVER_BUSY = -6,
    /// A bug in the library was caught.
    BARMAN_RECOVER_PANIC = -7,
}

/// How a config switch ended. 0 to 4 and -2 are the numbers of Patroni's patroni_barman.
#[repr(C)]
pub enum barman_recover_switch_code {
    /// The configuration was switched.
    BARMAN_RECOVER_SWITCH_DONE = 0,
    /// "switch-when" does not include the new role; nothing was sent.
    BARMAN_RECOVER_SWITCH_SKIPPED = 1,
    /// Barman reports that the switch failed.
    BARMAN_RECOVER_SWITCH_FAILED = 2,
    /// The API refused the request, or can't be reached any more.
    BARMAN_RECOVER_SWITCH_HTTP_ERROR = 3,
    /// An argument or option is missing or wrong; nothing was sent.
    BARMAN_RECOVER_SWITCH_INVALID_ARGUMENT = 4,
    /// The API is not up and running; nothing was switched.
    BARMAN_RECOVER_SWITCH_API_NOT_OK = -2,
    /// Ended by barman_recover_cancel, barman_recover_detach or the event callback.
    BARMAN_RECOVER_SWITCH_CANCELLED = -4,
    /// The deadline has passed.
    BARMAN_RECOVER_SWITCH_TIMED_OUT = -5,
    /// The command of this handle has already begun.
    BARMAN_RECOVER_SWITCH_BUSY = -6,
    /// A bug in the library was caught.
    BARMAN_RECOVER_SWITCH_PANIC = -7,
}

/// Why a function returned BARMAN_RECOVER_BUSY.
#[repr(C)]
pub enum barman_recover_busy {
    /// No function has.
    BARMAN_RECOVER_BUSY_NONE = 0,
    /// The command of the handle has already begun.
    BARMAN_RECOVER_BUSY_HANDLE = 1,
    /// PostgreSQL is running in the data directory.
    BARMAN_RECOVER_BUSY_POSTGRES = 2,
    /// The state file belongs to a different API, server, data directory or operation; for
    /// barman_recover_end_restore, to a run that is alive.
    BARMAN_RECOVER_BUSY_STATE_FILE = 3,
    /// The system could not create a thread for barman_recover_start.
    BARMAN_RECOVER_BUSY_THREAD = 4,
}

/// What is known about an operation on the Barman host.
#[repr(C)]
pub enum barman_recover_state {
    /// No operation was created.
    BARMAN_RECOVER_STATE_NOT_CREATED = 0,
    /// A request to create one is in flight, or its reply was lost: a restore may be running.
    BARMAN_RECOVER_STATE_MAYBE_CREATED = 1,
    /// It was running when the API was last asked.
    BARMAN_RECOVER_STATE_IN_PROGRESS = 2,
    /// It has ended; Barman calls it done.
    BARMAN_RECOVER_STATE_DONE = 3,
    /// It has ended; Barman calls it failed.
    BARMAN_RECOVER_STATE_FAILED = 4,
}

/// The level of a BARMAN_RECOVER_EVENT_LOG.
#[repr(C)]
pub enum barman_recover_level {
    /// Details for troubleshooting.
    BARMAN_RECOVER_LEVEL_DEBUG = 0,
    /// What the command does.
    BARMAN_RECOVER_LEVEL_INFO = 1,
    /// Something is wrong, and the command goes on.
    BARMAN_RECOVER_LEVEL_WARNING = 2,
    /// Why the command ends, or a hint at what to do.
    BARMAN_RECOVER_LEVEL_ERROR = 3,
}

/// The kind of an event. Ignore those that you do not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum barman_recover_event {
    /// A line for the log: level is a BARMAN_RECOVER_LEVEL_..., message one line of text.
    BARMAN_RECOVER_EVENT_LOG = 1,
    /// The state of the operation has changed: level is the BARMAN_RECOVER_STATE_..., message the ID of the
    /// operation, "" while it is not known.
    BARMAN_RECOVER_EVENT_STATE = 2,
    /// About a second has passed (none come while a TCP connection is being established): level is 0, message "".
    BARMAN_RECOVER_EVENT_TICK = 3,
    /// What has arrived in the data directory, if it can be seen; about once a second, more often at first. level
    /// is the share of the backup in percent, -1 while its size is not known, at most 99 until the data is
    /// complete, and 100 in the last one of a successful recovery; message has the figures for people, and
    /// barman_recover_bytes and barman_recover_total_bytes return them.
    BARMAN_RECOVER_EVENT_PROGRESS = 4,
}

/// The verdict of a finding of barman_recover_check.
#[repr(C)]
pub enum barman_recover_verdict {
    /// As it should be.
    BARMAN_RECOVER_VERDICT_OK = 0,
    /// A restore may run into trouble.
    BARMAN_RECOVER_VERDICT_WARNING = 1,
    /// A restore can't succeed.
    BARMAN_RECOVER_VERDICT_FAILED = 2,
    /// It was not checked; the detail says why.
    BARMAN_RECOVER_VERDICT_SKIPPED = 3,
}

/// What barman_recover_verify found in the data directory.
#[repr(C)]
pub enum barman_recover_verified {
    /// Nothing: it is missing, empty, not a directory, or can't be seen.
    BARMAN_RECOVER_VERIFIED_NONE = 0,
    /// A complete restore, on which PostgreSQL has not been started yet.
    BARMAN_RECOVER_VERIFIED_COMPLETE = 1,
    /// Barman is writing into it, or something in it has just changed.
    BARMAN_RECOVER_VERIFIED_BEING_WRITTEN = 2,
    /// Files of a restore that was cut off, or that did not come from Barman.
    BARMAN_RECOVER_VERIFIED_INCOMPLETE = 3,
    /// PostgreSQL is running in it, or has been started in it since the restore.
    BARMAN_RECOVER_VERIFIED_IN_USE = 4,
}

/// What the value of an option looks like.
#[repr(C)]
pub enum barman_recover_kind {
    /// Text that is not empty.
    BARMAN_RECOVER_KIND_TEXT = 1,
    /// One word of a list, which the help gives.
    BARMAN_RECOVER_KIND_WORD = 2,
    /// Path of a file or directory.
    BARMAN_RECOVER_KIND_PATH = 3,
    /// URL with http or https.
    BARMAN_RECOVER_KIND_URL = 4,
    /// Whole seconds.
    BARMAN_RECOVER_KIND_SECONDS = 5,
    /// A whole number.
    BARMAN_RECOVER_KIND_COUNT = 6,
    /// "true" or "false", also "on", "off", "yes", "no", "1", "0"; false unless set.
    BARMAN_RECOVER_KIND_FLAG = 7,
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

pub(super) const SWITCH_CODES: &Names = &[
    (SwitchCode::Done as i32, c"DONE"),
    (SwitchCode::Skipped as i32, c"SKIPPED"),
    (SwitchCode::Failed as i32, c"FAILED"),
    (SwitchCode::HttpError as i32, c"HTTP_ERROR"),
    (SwitchCode::InvalidArgument as i32, c"INVALID_ARGUMENT"),
    (SwitchCode::ApiNotOk as i32, c"API_NOT_OK"),
    (SwitchCode::Cancelled as i32, c"CANCELLED"),
    (SwitchCode::TimedOut as i32, c"TIMED_OUT"),
    (Code::Busy as i32, c"BUSY"),
    (Code::Panic as i32, c"PANIC"),
];

pub(super) const BUSY: &Names = &[
    (barman_recover_busy::BARMAN_RECOVER_BUSY_NONE as i32, c"NONE"),
    (barman_recover_busy::BARMAN_RECOVER_BUSY_HANDLE as i32, c"HANDLE"),
    (Busy::Postgres as i32, c"POSTGRES"),
    (Busy::StateFile as i32, c"STATE_FILE"),
    (barman_recover_busy::BARMAN_RECOVER_BUSY_THREAD as i32, c"THREAD"),
];

pub(super) const EVENTS: &Names = &[
    (barman_recover_event::BARMAN_RECOVER_EVENT_LOG as i32, c"LOG"),
    (barman_recover_event::BARMAN_RECOVER_EVENT_STATE as i32, c"STATE"),
    (barman_recover_event::BARMAN_RECOVER_EVENT_TICK as i32, c"TICK"),
    (barman_recover_event::BARMAN_RECOVER_EVENT_PROGRESS as i32, c"PROGRESS"),
];

pub(super) const VERDICTS: &Names = &[
    (Verdict::Ok as i32, c"OK"),
    (Verdict::Warning as i32, c"WARNING"),
    (Verdict::Failed as i32, c"FAILED"),
    (Verdict::Skipped as i32, c"SKIPPED"),
];

pub(super) const VERIFIED: &Names = &[
    (barman_recover_verified::BARMAN_RECOVER_VERIFIED_NONE as i32, c"NONE"),
    (barman_recover_verified::BARMAN_RECOVER_VERIFIED_COMPLETE as i32, c"COMPLETE"),
    (barman_recover_verified::BARMAN_RECOVER_VERIFIED_BEING_WRITTEN as i32, c"BEING_WRITTEN"),
    (barman_recover_verified::BARMAN_RECOVER_VERIFIED_INCOMPLETE as i32, c"INCOMPLETE"),
    (barman_recover_verified::BARMAN_RECOVER_VERIFIED_IN_USE as i32, c"IN_USE"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Level;
    use crate::outcome::{OperationState, name_of};

    #[test]
    fn verdicts_are_those_of_a_check() {
        for verdict in [Verdict::Ok, Verdict::Warning, Verdict::Failed, Verdict::Skipped] {
            assert_eq!(name_of(VERDICTS, verdict as i32).to_str(), Ok(verdict.name()));
        }
    }

    #[test]
    fn other_numbers_have_no_name() {
        for names in
            [Code::NAMES, SWITCH_CODES, BUSY, OperationState::NAMES, Level::NAMES, EVENTS, VERDICTS, VERIFIED]
        {
            for unknown in [-8, 5, i32::MIN, i32::MAX] {
                assert_eq!(name_of(names, unknown), c"UNKNOWN");
            }
        }
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
        let mut expected: Vec<(String, i32)> = Vec::new();
        for (prefix, names) in [
            ("", Code::NAMES),
            ("SWITCH_", SWITCH_CODES),
            ("BUSY_", BUSY),
            ("STATE_", OperationState::NAMES),
            ("LEVEL_", Level::NAMES),
            ("EVENT_", EVENTS),
            ("VERDICT_", VERDICTS),
            ("VERIFIED_", VERIFIED),
        ] {
            let of_names =
                names.iter().map(|(number, name)| (prefix.to_string() + name.to_str().unwrap(), *number));
            expected.extend(of_names.map(|(name, number)| (format!("BARMAN_RECOVER_{name}"), number)));
        }
        let (kinds, others): (Vec<_>, Vec<_>) =
            header().into_iter().partition(|(name, _)| name.starts_with("BARMAN_RECOVER_KIND_"));
        assert_eq!(others, expected);
        assert_eq!(kinds.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    }
}
