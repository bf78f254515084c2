//! The border to C: `include/barman_recover.h` is made from this folder, and is the contract that its
//! `SAFETY` comments refer to. The exported functions only convert; they can't be named from Rust.
#![allow(clippy::doc_markdown, reason = "most of these comments are the header's, whose readers read C")]

#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod guard;
mod handle;
mod numbers;

// In the header's order.
mod setters;

mod running;

use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;

use guard::guard;
use handle::Handle;

/// The version of the library that is running, as BARMAN_RECOVER_VERSION_NUMBER: MAJOR << 16 | MINOR << 8 |
/// PATCH. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_version_number() -> u32 {
    numbers::VERSION_NUMBER
}

/// The same as text, for example "1.2.3". Valid for ever. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_version() -> *const c_char {
    numbers::VERSION.as_ptr()
}

/// The name of a code, without its prefix: "RECOVERY_DONE".
///
/// code: any number; "UNKNOWN" is the name of those that are none.
///
/// The text is valid for ever. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_code_name(code: i32) -> *const c_char {
    guard(c"UNKNOWN".as_ptr(), || numbers::code_name(code).as_ptr())
}

/// The name of an operation's state, without its prefix: "IN_PROGRESS".
///
/// state: any number; "UNKNOWN" is the name of those that are none.
///
/// The text is valid for ever. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_state_name(state: i32) -> *const c_char {
    guard(c"UNKNOWN".as_ptr(), || numbers::state_name(state).as_ptr())
}

/// Makes a handle, for one recovery. All options have their defaults.
///
/// Returns the handle, to be freed with barman_recover_free; NULL only in case of a bug (without memory the
/// process ends). All functions accept NULL for a handle. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_new() -> *mut Handle {
    guard(ptr::null_mut(), || Arc::into_raw(Arc::new(Handle::new())).cast_mut())
}

/// Frees a handle and every text that its functions returned.
///
/// handle: NULL is ignored. No other call with it may be under way, so not while barman_recover_run has not
/// returned (cancel it, and wait for its return), nor in the event callback.
///
/// From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_free(handle: *mut Handle) {
    guard((), || {
        if !handle.is_null() {
            // SAFETY: as the header asks, it came from `barman_recover_new` and is not used any more.
            drop(unsafe { Arc::from_raw(handle) });
        }
    });
}
