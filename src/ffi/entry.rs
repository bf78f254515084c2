//! The checks at every entry point: a panic breaks the handle, a NULL handle gets an answer, a text must be
//! UTF-8.

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use super::done::Done;
use super::guard::catch;
use super::handle::Handle;

/// Calls `body` with the content of the handle; a panic in it breaks the handle.
pub(super) fn with<T>(
    handle: *const Handle,
    on_null: T,
    on_panic: T,
    body: impl FnOnce(&Arc<Handle>) -> T,
) -> T {
    if handle.is_null() {
        return on_null;
    }
    // SAFETY: as the header requires, the handle came from `barman_recover_new` or `_again`, so the pointer
    // is from `Arc::into_raw`, and its reference count is still held, because it has not been freed.
    let handle = unsafe {
        Arc::increment_strong_count(handle);
        Arc::from_raw(handle)
    };
    // We hold a count of our own, so that the handle outlives this call even if the callback frees it.
    catch(|| body(&handle)).unwrap_or_else(|why| {
        handle.break_down(&why);
        on_panic
    })
}

/// The result of a getter that returns a number; `none` for a NULL handle too.
pub(super) fn number<T: Copy>(handle: *const Handle, none: T, of: impl FnOnce(&Done) -> Option<T>) -> T {
    with(handle, none, none, |handle| handle.number(of).unwrap_or(none))
}

/// The result of a getter that returns a text; "" for a NULL handle too.
pub(super) fn text_of(handle: *const Handle, of: impl FnOnce(&Done) -> Option<&str>) -> *const c_char {
    let none = c"".as_ptr();
    with(handle, none, none, |handle| handle.text(of))
}

/// A text from the host. The lifetime is that of the variable that holds the pointer.
pub(super) fn text(pointer: &*const c_char) -> Result<&str, &'static str> {
    if pointer.is_null() {
        return Err("must not be NULL");
    }
    // SAFETY: as the header requires, it points to a NUL-terminated text that stays unchanged during the
    // call.
    let text = unsafe { CStr::from_ptr(*pointer) };
    text.to_str().map_err(|_| "is not valid UTF-8")
}
