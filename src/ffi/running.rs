//! The exported functions that run a handle, end the run, and ask what came of it.

use std::ffi::c_char;

use super::guard::with;
use super::handle::Handle;
use crate::outcome::{Code, OperationState, Outcome};

/// Runs the recovery; blocks until it has ended, which takes as long as the restore.
///
/// handle: with the needed options set. It can be run once.
///
/// Returns the code of the recovery. BARMAN_RECOVER_INVALID_ARGUMENT: the handle is NULL, or options are
/// missing or don't fit together (before anything is sent). BARMAN_RECOVER_BUSY: also when the handle is running
/// or has run; that run and its report are not touched. BARMAN_RECOVER_CANCELLED: nothing was sent if it was
/// cancelled before.
///
/// From any thread; the event callback is called on it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_run(handle: *mut Handle) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, Handle::run) as i32
}

/// Asks the run to end, now or when it begins. Once cancelled, a handle stays so; a run that has ended keeps
/// its code. It does not end the operation on the Barman host: its API has no call for that.
///
/// handle: NULL is ignored.
///
/// Returns at once. From any thread and in the event callback, any number of times, between
/// barman_recover_new and barman_recover_free; not in a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_cancel(handle: *mut Handle) {
    with(handle, (), (), |handle| handle.cancel.cancel());
}

/// What went wrong, in one line: in the setter that last refused a value, or, from barman_recover_run on, in
/// the run.
///
/// handle: may be NULL.
///
/// Returns "" when nothing did. Valid until barman_recover_free. From any thread and in the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_error_message(handle: *const Handle) -> *const c_char {
    text(handle, |report| &report.message)
}

/// What to do about it, in one line; known when the run has ended.
///
/// handle: may be NULL.
///
/// Returns "" when there is nothing to say. Valid until barman_recover_free. From any thread and in the event
/// callback.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_hint(handle: *const Handle) -> *const c_char {
    text(handle, |report| &report.hint)
}

/// The ID of the operation that the run created or follows; known as soon as the run knows it.
///
/// handle: may be NULL.
///
/// Returns "" when there is none. Valid until barman_recover_free. From any thread and in the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_operation_id(handle: *const Handle) -> *const c_char {
    text(handle, |report| report.operation_id.as_deref().unwrap_or_default())
}

/// What is known about the operation, during the run and after it. After any code but
/// BARMAN_RECOVER_RECOVERY_DONE it tells whether files may still be landing in the data directory:
/// BARMAN_RECOVER_STATE_MAYBE_CREATED and BARMAN_RECOVER_STATE_IN_PROGRESS mean that they may.
///
/// handle: may be NULL.
///
/// Returns a BARMAN_RECOVER_STATE_..., for NULL and before the run BARMAN_RECOVER_STATE_NOT_CREATED. From any
/// thread and in the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_operation_state(handle: *const Handle) -> i32 {
    let none = OperationState::NotCreated;
    with(handle, none, none, |handle| handle.number(|report| report.operation_state)) as i32
}

/// The last HTTP status that the API answered with; known when the run has ended.
///
/// handle: may be NULL.
///
/// Returns 0 when there was no answer. From any thread and in the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_http_status(handle: *const Handle) -> i32 {
    with(handle, 0, 0, |handle| handle.number(|report| report.http_status.map_or(0, i32::from)))
}

/// How long the run has taken so far, or took, in milliseconds.
///
/// handle: may be NULL.
///
/// Returns 0 before the run. From any thread and in the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_elapsed_ms(handle: *const Handle) -> u64 {
    with(handle, 0, 0, |handle| u64::try_from(handle.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// How many bytes are in the data directory, its tablespaces and its WAL directory; counted during the run
/// where the data directory can be seen.
///
/// handle: may be NULL.
///
/// Returns 0 while nothing was counted. From any thread and in the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_bytes(handle: *const Handle) -> u64 {
    with(handle, 0, 0, |handle| handle.number(|report| report.bytes.unwrap_or(0)))
}

/// The size of the backup in bytes, its WAL not included, as Barman tells it.
///
/// handle: may be NULL.
///
/// Returns 0 while it is not known. From any thread and in the event callback.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_total_bytes(handle: *const Handle) -> u64 {
    with(handle, 0, 0, |handle| handle.number(|report| report.total_bytes.unwrap_or(0)))
}

fn text(handle: *const Handle, of: impl FnOnce(&Outcome) -> &str) -> *const c_char {
    with(handle, c"".as_ptr(), c"".as_ptr(), |handle| handle.text(of))
}
