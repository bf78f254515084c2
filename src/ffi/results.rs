//! The exported functions that return the result of a command.

use std::ffi::c_char;

use super::entry::{number, text_of, with};
use super::handle::Handle;
use crate::outcome::{Code, OperationState};

/// The code that the command ended with, as the function that ran it returned it; BARMAN_RECOVER_BUSY during
/// the command, BARMAN_RECOVER_INVALID_ARGUMENT before it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_result(handle: *const Handle) -> i32 {
    with(handle, Code::InvalidArgument as i32, Code::Panic as i32, |handle| handle.result())
}

/// What went wrong, in one line: in the last function that refused an argument, or in the command.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_error_message(handle: *const Handle) -> *const c_char {
    text_of(handle, |done| Some(&done.report.message))
}

/// What to do about it, in one line; may be "". Known when the command has ended.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_hint(handle: *const Handle) -> *const c_char {
    text_of(handle, |done| Some(&done.report.hint))
}

/// The ID of the operation that the command started or follows; "" while it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_operation_id(handle: *const Handle) -> *const c_char {
    text_of(handle, |done| done.report.operation_id.as_deref())
}

/// The BARMAN_RECOVER_STATE_... of that operation. If a recovery has ended with a code other than 0,
/// BARMAN_RECOVER_STATE_MAYBE_CREATED and BARMAN_RECOVER_STATE_IN_PROGRESS mean that Barman may still be
/// writing into the data directory.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_operation_state(handle: *const Handle) -> i32 {
    number(handle, OperationState::NotCreated, |done| Some(done.report.operation_state)) as i32
}

/// The HTTP status of the reply that decided how a recovery or a config switch ended; 0 when no reply did. Known
/// when the command has ended.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_http_status(handle: *const Handle) -> i32 {
    number(handle, 0, |done| done.report.http_status.map(i32::from))
}

/// The BARMAN_RECOVER_BUSY_... that says why a function last returned BARMAN_RECOVER_BUSY for this handle.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_busy_reason(handle: *const Handle) -> i32 {
    with(handle, 0, 0, |handle| handle.busy_reason())
}

/// How long the command has taken so far, or took, in milliseconds.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_elapsed_ms(handle: *const Handle) -> u64 {
    with(handle, 0, 0, |handle| u64::try_from(handle.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// How many bytes have arrived in the data directory, its tablespaces and its WAL directory, WAL included: it
/// may exceed the total while WAL arrives. 0 until something has been counted.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_bytes(handle: *const Handle) -> u64 {
    number(handle, 0, |done| done.report.bytes)
}

/// The size of the backup in bytes, without WAL; 0 until Barman has given it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_total_bytes(handle: *const Handle) -> u64 {
    number(handle, 0, |done| done.report.total_bytes)
}
