//! What stands at every entry point: a panic breaks the handle, a NULL handle is an answer, a text is UTF-8.

use std::ffi::{CStr, c_char};
use std::sync::Arc;

use super::done::Done;
use super::guard::catch;
use super::handle::Handle;

/// Calls `body` with what is behind the handle; a panic in it breaks the handle.
pub(super) fn with<T>(
    handle: *const Handle,
    on_null: T,
    on_panic: T,
    body: impl FnOnce(&Arc<Handle>) -> T,
) -> T {
    if handle.is_null() {
        return on_null;
    }
    // SAFETY: as the header asks, the handle came from `barman_recover_new` or `_again`, whose pointer is that of
    // `Arc::into_raw`, and its count of that time is still there, as it was not freed.
    let handle = unsafe {
        Arc::increment_strong_count(handle);
        Arc::from_raw(handle)
    };
    // Our own count: even if the callback frees the handle, it is there until the end of this call.
    catch(|| body(&handle)).unwrap_or_else(|why| {
        handle.break_down(&why);
        on_panic
    })
}

/// What a getter of a number returns; `none` for a NULL handle, too.
pub(super) fn number<T: Copy>(handle: *const Handle, none: T, of: impl FnOnce(&Done) -> Option<T>) -> T {
    with(handle, none, none, |handle| handle.number(of).unwrap_or(none))
}

/// What a getter of a text returns; "" for a NULL handle, too.
pub(super) fn text_of(handle: *const Handle, of: impl FnOnce(&Done) -> Option<&str>) -> *const c_char {
    let none = c"".as_ptr();
    with(handle, none, none, |handle| handle.text(of))
}

/// A text of the host's. The lifetime is that of the variable that holds the pointer.
pub(super) fn text(pointer: &*const c_char) -> Result<&str, &'static str> {
    if pointer.is_null() {
        return Err("must not be NULL");
    }
    // SAFETY: as the header asks, it points to a text with a NUL at its end, unchanged during the call.
    let text = unsafe { CStr::from_ptr(*pointer) };
    text.to_str().map_err(|_| "is not valid UTF-8")
}
