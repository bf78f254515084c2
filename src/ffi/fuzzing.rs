//! The fuzz target of the exported functions: calls in any order with any values, except a run that sends
//! requests.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a target reports what it found")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use super::commands::*;
use super::events::*;
use super::handle::Handle;
use super::lifecycle::*;
use super::lists::*;
use super::names::*;
use super::options::*;
use super::results::*;
use super::setters::*;
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

type Command = fn(*mut Handle) -> i32;

const COMMANDS: [Command; 10] = [
    |handle| barman_recover_run(handle),
    started,
    |handle| barman_recover_check(handle),
    |handle| barman_recover_verify(handle),
    |handle| barman_recover_end_restore(handle),
    |handle| barman_recover_list_backups(handle),
    |handle| barman_recover_list_operations(handle, 3),
    |handle| barman_recover_show_operation(handle, c"20261122T101942".as_ptr()),
    |handle| barman_recover_wait_operation(handle, c"20261122T101942".as_ptr()),
    |handle| barman_recover_config_switch(handle, c"primary".as_ptr()),
];

/// Calls: for each, a byte for the function and a value up to the next newline. The commands at the end are
/// cancelled before they begin.
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
    for (which, command) in COMMANDS.into_iter().enumerate() {
        ended(barman_recover_again(handle), which, command);
    }
    let first = data.first().map_or(0, |byte| usize::from(*byte)) % COMMANDS.len();
    if let Some(command) = COMMANDS.get(first) {
        ended(handle, first, *command);
    }
}

/// Runs this command on a cancelled handle, and frees it.
fn ended(handle: *mut Handle, which: usize, command: Command) {
    barman_recover_cancel(handle);
    let code = command(handle);
    let switch = which == COMMANDS.len() - 1;
    let expected = if switch { vec![-4, 4, 1] } else { vec![-4, -3] };
    assert!(expected.contains(&code), "{which}: {code}: {}", look(handle));
    assert_eq!(barman_recover_result(handle), code);
    look(handle);
    assert_eq!(barman_recover_run(handle), Code::Busy as i32);
    assert_eq!(barman_recover_set(handle, c"api-url".as_ptr(), c"http://h".as_ptr()), Code::Busy as i32);
    while barman_recover_next_event(handle, 1000) > 0 {
        text(barman_recover_event_message(handle));
        text(barman_recover_level_name(barman_recover_event_level(handle)));
    }
    text(barman_recover_event_message(handle));
    barman_recover_free(handle);
}

fn started(handle: *mut Handle) -> i32 {
    assert_eq!(barman_recover_start(handle), 0);
    while barman_recover_next_event(handle, 60_000) > 0 {}
    barman_recover_result(handle)
}

fn set(handle: *mut Handle, which: usize, value: &[u8]) -> i32 {
    let number = value.iter().fold(0_u32, |number, byte| number.wrapping_mul(256) + u32::from(*byte));
    let counts = [TEXTS.len(), PATHS.len(), NUMBERS.len(), FLAGS.len()];
    let mut which = which % (counts.iter().sum::<usize>() + 3);
    if let Some(set) = TEXTS.get(which) {
        return given(value, |text| set(handle, text));
    }
    which -= TEXTS.len();
    if let Some(set) = PATHS.get(which) {
        return given(&nowhere(value), |text| set(handle, text));
    }
    which -= PATHS.len();
    if let Some(set) = NUMBERS.get(which) {
        return set(handle, number);
    }
    which -= NUMBERS.len();
    if let Some(set) = FLAGS.get(which) {
        return set(handle, number.cast_signed());
    }
    match which - FLAGS.len() {
        0 => {
            let function = (number != 0).then_some(ignore as unsafe extern "C" fn(_, _, _, _) -> _);
            barman_recover_set_event_callback(handle, function, ptr::null_mut())
        }
        1 => by_name(handle, value),
        _ => given(value, |name| {
            // Never a file of this machine, whatever the option is.
            barman_recover_set(handle, name, c"/nonexistent/1".as_ptr())
        }),
    }
}

/// The option whose index is the first byte, with the rest as its value.
fn by_name(handle: *mut Handle, value: &[u8]) -> i32 {
    let (number, value) = value.split_first().map_or((0, value), |(first, rest)| (u32::from(*first), rest));
    let i = number % (barman_recover_option_count() + 1);
    let name = text(barman_recover_option_name(i));
    text(barman_recover_option_default(i));
    text(barman_recover_option_help(i));
    assert_eq!(barman_recover_option_kind(i) == -1, name.is_empty());
    assert_eq!(barman_recover_option_required(i) == -1, name.is_empty());
    let is_path = barman_recover_option_kind(i) == 3;
    let value = if is_path { nowhere(value) } else { value.into() };
    given(&value, |value| barman_recover_set(handle, barman_recover_option_name(i), value))
}

/// Nothing on this machine may be read.
fn nowhere(value: &[u8]) -> Vec<u8> {
    let nowhere: &[u8] = if value.is_empty() { b"" } else { b"/nonexistent/" };
    [nowhere, value].concat()
}

/// Passes a C string, or NULL if the text can't be one.
fn given(value: &[u8], call: impl FnOnce(*const c_char) -> i32) -> i32 {
    match CString::new(value) {
        Ok(text) => call(text.as_ptr()),
        Err(_) => call(ptr::null()),
    }
}

unsafe extern "C" fn ignore(_: i32, _: i32, message: *const c_char, _: *mut c_void) -> i32 {
    text(message);
    0
}

/// Calls everything that returns something about the handle.
fn look(handle: *mut Handle) -> &'static str {
    text(barman_recover_hint(handle));
    text(barman_recover_operation_id(handle));
    text(barman_recover_state_name(barman_recover_operation_state(handle)));
    text(barman_recover_code_name(barman_recover_http_status(handle)));
    let numbers = [barman_recover_bytes(handle), barman_recover_total_bytes(handle)];
    assert_eq!(numbers, [0, 0]);
    barman_recover_elapsed_ms(handle);
    for i in 0..=barman_recover_finding_count(handle) {
        text(barman_recover_finding_what(handle, i));
        text(barman_recover_finding_detail(handle, i));
        text(barman_recover_finding_hint(handle, i));
        text(barman_recover_verdict_name(barman_recover_finding_verdict(handle, i)));
    }
    assert_eq!(barman_recover_backup_count(handle), 0);
    text(barman_recover_backup_id(handle, 0));
    assert_eq!(barman_recover_verified_state(handle), -1);
    text(barman_recover_verified_detail(handle));
    assert_eq!(barman_recover_listed_count(handle), 0);
    text(barman_recover_listed_id(handle, 0));
    text(barman_recover_listed_kind(handle, 0));
    assert_eq!(barman_recover_listed_state(handle, 0), -1);
    text(barman_recover_error_message(handle))
}

fn text(pointer: *const c_char) -> &'static str {
    assert!(!pointer.is_null());
    // SAFETY: the header promises a text that lives as long as the handle, which is still alive here.
    let text = unsafe { CStr::from_ptr(pointer) }.to_str();
    assert!(text.is_ok(), "not UTF-8");
    text.unwrap_or_default()
}
