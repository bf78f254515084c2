//! The exported functions, in the header's order.
#![allow(clippy::doc_markdown, reason = "these comments are the header's, whose readers read C")]

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::guard::{catch, guard};
use super::handle::Handle;
use crate::config::options::OPTIONS;
use crate::outcome::Code;

const NONE: *const c_char = c"".as_ptr();

/// The version of the library that is running, as BARMAN_RECOVER_VERSION_NUMBER.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_version_number() -> u32 {
    const PARTS: [&str; 3] =
        [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")];
    PARTS.iter().fold(0, |number, part| number << 8 | part.parse::<u32>().unwrap_or_default())
}

/// The same as text: "1.2.3".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// All options, as a JSON list of objects: name, alias, kind (text, word, path, url, seconds, count, flag), words (of
/// a word), default, required, commands (that take it), help.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_options() -> *const c_char {
    static TABLE: LazyLock<CString> = LazyLock::new(|| {
        let json = serde_json::to_string(OPTIONS).unwrap_or_default(); // texts and lists always serialize
        CString::new(json).unwrap_or_default()
    });
    guard(NONE, || TABLE.as_ptr())
}

/// The name of a code, without its prefix: "HTTP_ERROR"; "UNKNOWN" for another number.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_code_name(code: i32) -> *const c_char {
    Code::name_of(code).as_ptr()
}

/// Makes a handle whose options have their defaults. Returns NULL only in case of a bug.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_new() -> *mut Handle {
    guard(ptr::null_mut(), || Arc::into_raw(Arc::new(Handle::default())).cast_mut())
}

/// Frees a handle. If a command runs, cancels it and waits for its end: 9 seconds at most in a restore, less otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_free(handle: *mut Handle) {
    guard((), || {
        if !handle.is_null() {
            // SAFETY: as the header requires, it came from `barman_recover_new`, and no call begins with it any more.
            unsafe { Arc::from_raw(handle) }.close();
        }
    });
}

/// Sets an option. name: one of barman_recover_options, with "-" or "_" between its words. value: as on the command line
/// of patroni_barman, "5"; of a flag "true" or "false"; NULL: the default again. Returns 0, or why the value was refused,
/// which changes no option.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_set(handle: *mut Handle, name: *const c_char, value: *const c_char) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.set(text(&name), text(&value))) as i32
}

/// Restores the backup: barman_recover_call with "recover".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_run(handle: *mut Handle) -> i32 {
    barman_recover_call(handle, c"recover".as_ptr())
}

/// Runs a command and returns its code, when it has ended: "recover", "check", "verify", "settle", "backups",
/// "operations" or "config-switch".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_call(handle: *mut Handle, command: *const c_char) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.call(text(&command))) as i32
}

/// Runs a command on a thread of the library. Returns 0 at once, or why it was not started; barman_recover_code has the
/// code of the command when barman_recover_next_event has returned -1.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_start(handle: *mut Handle, command: *const c_char) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.start(text(&command))) as i32
}

/// Takes the next event of the command, for which it waits timeout_ms milliseconds at most. Returns 1: an event, for
/// barman_recover_event; 0: none in time, or no command has begun; -1: the command has ended, and all were taken.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_next_event(handle: *mut Handle, timeout_ms: u32) -> i32 {
    with(handle, -1, -1, |handle| handle.next_event(Duration::from_millis(timeout_ms.into())))
}

/// What stands at a pointer in the event that was taken last: "/kind" (log, state or progress), "/level" (DEBUG, INFO,
/// WARNING or ERROR) and "/message" in each; "/operation_id" and "/operation_state" in a state; "/percent", "/bytes",
/// "/total_bytes" and more in a progress.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_event(handle: *const Handle, pointer: *const c_char) -> *const c_char {
    with(handle, NONE, NONE, |handle| handle.event(text(&pointer)))
}

/// Ends the command that runs, and its restore with it; a restore without a lease and a config switch go on. When none
/// runs, ends the next one, as it begins. Returns at once: the command has ended when its function returns, or
/// barman_recover_next_event returns -1.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_cancel(handle: *mut Handle) {
    with(handle, (), (), |handle| handle.cancel());
}

/// The code of the last command, or of a call that was refused since; BUSY while a command runs, NO_COMMAND before the
/// first.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_code(handle: *const Handle) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.code()) as i32
}

/// What stands at a pointer in the result of the last command: "/code", "/code_name", "/message", "/hint" and
/// "/elapsed_seconds" in each; "/operation_id", "/operation_state", "/backup_id", "/bytes", "/total_bytes",
/// "/http_status" and "/warnings/0" of "recover"; "/findings/0/verdict" (what, detail, hint) of "check";
/// "/operations/0/id" (kind, state) of "operations"; docs/abi.md has all. "/message" is also why a call was refused.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_get(handle: *const Handle, pointer: *const c_char) -> *const c_char {
    with(handle, NONE, NONE, |handle| handle.get(text(&pointer)))
}

/// Calls `body` with the content of the handle; a panic in it becomes its result.
fn with<T>(handle: *const Handle, on_null: T, on_panic: T, body: impl FnOnce(&Arc<Handle>) -> T) -> T {
    if handle.is_null() {
        return on_null;
    }
    // SAFETY: as the header requires, the handle came from `barman_recover_new`, so the pointer is from
    // `Arc::into_raw`, and its reference count is still held, because it has not been freed.
    let handle = unsafe {
        Arc::increment_strong_count(handle);
        Arc::from_raw(handle)
    };
    // We hold a count of our own, so that the handle outlives this call even if another thread frees it.
    catch(|| body(&handle)).unwrap_or_else(|why| {
        handle.panicked(&why);
        on_panic
    })
}

/// A text from the host; `None` for NULL. The lifetime is that of the variable that holds the pointer.
fn text(pointer: &*const c_char) -> Option<Result<&str, &'static str>> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: as the header requires, it points to a NUL-terminated text that stays unchanged during the call.
    let text = unsafe { CStr::from_ptr(*pointer) };
    Some(text.to_str().map_err(|_| "is not valid UTF-8"))
}
