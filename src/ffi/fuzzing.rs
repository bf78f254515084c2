//! The fuzz target of the exported functions: calls in any order with any values, all but a run that sends.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a target tells what it found")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use super::handle::Handle;
use super::running::*;
use super::setters::*;
use super::{barman_recover_code_name, barman_recover_free, barman_recover_new, barman_recover_state_name};
use crate::outcome::Code;

type SetText = extern "C" fn(*mut Handle, *const c_char) -> i32;
type SetNumber = extern "C" fn(*mut Handle, u32) -> i32;
type SetFlag = extern "C" fn(*mut Handle, i32) -> i32;

const TEXTS: [SetText; 6] = [
    barman_recover_set_api_url,
    barman_recover_set_proxy,
    barman_recover_set_barman_server,
    barman_recover_set_backup_id,
    barman_recover_set_ssh_command,
    barman_recover_set_operation_id,
];
const PATHS: [SetText; 5] = [
    barman_recover_set_data_directory,
    barman_recover_set_state_file,
    barman_recover_set_cert_file,
    barman_recover_set_key_file,
    barman_recover_set_ca_file,
];
const NUMBERS: [SetNumber; 9] = [
    barman_recover_set_retry_wait,
    barman_recover_set_max_retries,
    barman_recover_set_connect_timeout,
    barman_recover_set_request_timeout,
    barman_recover_set_create_timeout,
    barman_recover_set_loop_wait,
    barman_recover_set_max_outage,
    barman_recover_set_deadline,
    barman_recover_set_stall_timeout,
];
const FLAGS: [SetFlag; 6] = [
    barman_recover_set_verify,
    barman_recover_set_no_state_file,
    barman_recover_set_no_diagnose,
    barman_recover_set_no_verify,
    barman_recover_set_leave_running,
    barman_recover_set_force,
];

/// Calls, each a byte for the function and a value up to the next newline. The run that ends them is cancelled
/// before it begins.
pub fn setters(data: &[u8]) {
    let handle = barman_recover_new();
    assert!(!handle.is_null());
    for call in data.split(|byte| *byte == b'\n') {
        let Some((which, value)) = call.split_first() else { continue };
        let code = set(handle, usize::from(*which), value);
        assert!(code == 0 || code == Code::InvalidArgument as i32, "{code}");
        let message = look(handle);
        assert!(code == 0 || !message.is_empty());
    }
    barman_recover_cancel(handle);
    let code = barman_recover_run(handle);
    let right = [Code::Cancelled, Code::InvalidArgument];
    assert!(right.iter().any(|right| *right as i32 == code), "{code}: {}", look(handle));
    look(handle);
    assert_eq!(barman_recover_run(handle), Code::Busy as i32);
    assert_eq!(set(handle, 0, b"http://h"), Code::Busy as i32);
    barman_recover_free(handle);
}

fn set(handle: *mut Handle, which: usize, value: &[u8]) -> i32 {
    let set_text = |set: &SetText, text: Vec<u8>| match CString::new(text) {
        Ok(text) => set(handle, text.as_ptr()),
        Err(_) => set(handle, ptr::null()),
    };
    let number = value.iter().fold(0_u32, |number, byte| number.wrapping_mul(256) + u32::from(*byte));
    let counts = [TEXTS.len(), PATHS.len(), NUMBERS.len(), FLAGS.len()];
    let mut which = which % (counts.iter().sum::<usize>() + 1);
    if let Some(set) = TEXTS.get(which) {
        return set_text(set, value.into());
    }
    which -= TEXTS.len();
    if let Some(set) = PATHS.get(which) {
        // Nothing on this machine is to be read.
        let nowhere: &[u8] = if value.is_empty() { b"" } else { b"/nonexistent/" };
        return set_text(set, [nowhere, value].concat());
    }
    which -= PATHS.len();
    if let Some(set) = NUMBERS.get(which) {
        return set(handle, number);
    }
    which -= NUMBERS.len();
    if let Some(set) = FLAGS.get(which) {
        return set(handle, number.cast_signed());
    }
    let function = (number != 0).then_some(ignore as unsafe extern "C" fn(_, _, _, _) -> _);
    barman_recover_set_event_callback(handle, function, ptr::null_mut())
}

unsafe extern "C" fn ignore(_: i32, _: i32, message: *const c_char, _: *mut c_void) -> i32 {
    text(message);
    0
}

/// Calls everything that tells about the handle.
fn look(handle: *mut Handle) -> &'static str {
    text(barman_recover_hint(handle));
    text(barman_recover_operation_id(handle));
    text(barman_recover_state_name(barman_recover_operation_state(handle)));
    text(barman_recover_code_name(barman_recover_http_status(handle)));
    let numbers = [barman_recover_bytes(handle), barman_recover_total_bytes(handle)];
    assert_eq!(numbers, [0, 0]);
    barman_recover_elapsed_ms(handle);
    text(barman_recover_error_message(handle))
}

fn text(pointer: *const c_char) -> &'static str {
    assert!(!pointer.is_null());
    // SAFETY: the header promises a text that lives as long as the handle, which outlives its use here.
    let text = unsafe { CStr::from_ptr(pointer) }.to_str();
    assert!(text.is_ok(), "not UTF-8");
    text.unwrap_or_default()
}
