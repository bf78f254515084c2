//! The exported functions that deliver events: pushed to the host's callback, or pulled from the queue.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::entry::with;
use super::handle::Handle;
use super::queue::{Callback, barman_recover_event_fn};
use crate::outcome::Code;

/// Sets the function that receives the events. function: NULL for none, the default. user_data: passed to the
/// function and not used otherwise; must be valid until the command has ended.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set_event_callback(
    handle: *mut Handle,
    function: barman_recover_event_fn,
    user_data: *mut c_void,
) -> i32 {
    let callback = function.map(|function| Callback { function, user_data });
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.set_callback(callback)) as i32
}

/// Takes the next event from the handle, waiting for it up to timeout_ms milliseconds. Call it from one
/// thread only. In the event callback it returns 0 at once.
///
/// Returns the BARMAN_RECOVER_EVENT_...; 0 when none came in time; -1 when the command has ended and all events
/// have been taken, or the handle is NULL. A command that has not begun is waited for.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_next_event(handle: *mut Handle, timeout_ms: u32) -> i32 {
    with(handle, -1, -1, |handle| handle.next_event(Duration::from_millis(timeout_ms.into())))
}

/// The level of the event that barman_recover_next_event returned last.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_event_level(handle: *const Handle) -> i32 {
    with(handle, 0, 0, |handle| handle.current_event(0, |event| event.level))
}

/// The message of the event that barman_recover_next_event returned last. Valid until its next call.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_event_message(handle: *const Handle) -> *const c_char {
    let none = c"".as_ptr();
    with(handle, none, none, |handle| handle.current_event(none, |event| event.message.as_ptr()))
}
