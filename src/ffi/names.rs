//! The exported version functions, and the names of numbers.

use std::ffi::c_char;

use super::guard::guard;
use super::numbers::{self, BUSY, EVENTS, SWITCH_CODES, VERDICTS, VERIFIED};
use crate::event::Level;
use crate::outcome::{Code, Names, OperationState, name_of};

/// Version of the library that is running, as BARMAN_RECOVER_VERSION_NUMBER: MAJOR << 16 | MINOR << 8 | PATCH.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_version_number() -> u32 {
    numbers::VERSION_NUMBER
}

/// The same as text: "1.2.3".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_version() -> *const c_char {
    numbers::VERSION.as_ptr()
}

/// Name of a code, without its prefix: "RECOVERY_DONE". This and the next seven return "UNKNOWN" for other numbers.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_code_name(code: i32) -> *const c_char {
    name(Code::NAMES, code)
}

/// Name of the code of a config switch, without its prefix: "SKIPPED".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_switch_code_name(code: i32) -> *const c_char {
    name(SWITCH_CODES, code)
}

/// Name of a reason to be busy, without its prefix: "STATE_FILE".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_busy_name(reason: i32) -> *const c_char {
    name(BUSY, reason)
}

/// Name of the state of an operation: "IN_PROGRESS".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_state_name(state: i32) -> *const c_char {
    name(OperationState::NAMES, state)
}

/// Name of the level of a log line: "WARNING".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_level_name(level: i32) -> *const c_char {
    name(Level::NAMES, level)
}

/// Name of the kind of an event: "PROGRESS".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_event_name(kind: i32) -> *const c_char {
    name(EVENTS, kind)
}

/// Name of a verdict: "FAILED".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verdict_name(verdict: i32) -> *const c_char {
    name(VERDICTS, verdict)
}

/// Name of what was found in a data directory: "COMPLETE".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_name(state: i32) -> *const c_char {
    name(VERIFIED, state)
}

fn name(names: &'static Names, number: i32) -> *const c_char {
    guard(c"UNKNOWN".as_ptr(), || name_of(names, number).as_ptr())
}
