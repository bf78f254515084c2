//! The exported functions that make and free handles.

use std::ptr;
use std::sync::Arc;

use super::entry::with;
use super::guard::guard;
use super::handle::Handle;
use crate::config::Config;

/// Makes a handle whose options have their defaults. Returns NULL only in case of a bug.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_new() -> *mut Handle {
    guard(ptr::null_mut(), || made(Config::new()))
}

/// Makes a handle with the same options, but without the event callback, for another command: check first,
/// then run; or run again. Returns NULL for NULL. May be called before, during and after the command.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_again(handle: *const Handle) -> *mut Handle {
    with(handle, ptr::null_mut(), ptr::null_mut(), |handle| made(handle.config()))
}

/// Frees a handle and every text that its functions returned. No other function may be in progress with it.
/// If barman_recover_start started something, that is cancelled first, and its end waited for: some seconds
/// at most, unless a TCP connection is being established.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_free(handle: *mut Handle) {
    guard((), || {
        if !handle.is_null() {
            // SAFETY: as the header requires, it came from `made` and is not used any more.
            unsafe { Arc::from_raw(handle) }.close();
        }
    });
}

fn made(config: Config) -> *mut Handle {
    Arc::into_raw(Arc::new(Handle::new(config))).cast_mut()
}
