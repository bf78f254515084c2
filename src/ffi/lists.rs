//! The exported functions that return the rows of a command.

use std::ffi::{CStr, CString, c_char};

use super::entry::with;
use super::handle::Handle;
use super::rows::Rows;

/// How many findings barman_recover_check has made.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_count(handle: *const Handle) -> u32 {
    with(handle, 0, 0, |handle| handle.rows(|rows| count(&rows.findings)))
}

/// The BARMAN_RECOVER_VERDICT_... of a finding.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_verdict(handle: *const Handle, i: u32) -> i32 {
    with(handle, -1, -1, |handle| handle.rows(|rows| row(&rows.findings, i).map_or(-1, |row| row.verdict)))
}

/// What was checked: "data directory".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_what(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.findings, i).map(|row| &row.what))
}

/// What was found, in one line.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_detail(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.findings, i).map(|row| &row.detail))
}

/// What to do about it, in one line; may be "".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_hint(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.findings, i).map(|row| &row.hint))
}

/// How many operations were listed. A list has the newest first.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_listed_count(handle: *const Handle) -> u32 {
    with(handle, 0, 0, |handle| handle.rows(|rows| count(&rows.listed)))
}

/// The ID of an operation.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_listed_id(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.listed, i).map(|row| &row.id))
}

/// The API's word for what it does: "recovery", "config_switch"; "" when the API gives none.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_listed_kind(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.listed, i).map(|row| &row.kind))
}

/// The BARMAN_RECOVER_STATE_... of an operation; -1 also when the API does not give it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_listed_state(handle: *const Handle, i: u32) -> i32 {
    with(handle, -1, -1, |handle| handle.rows(|rows| row(&rows.listed, i).map_or(-1, |row| row.state)))
}

fn count<T>(rows: &[T]) -> u32 {
    u32::try_from(rows.len()).unwrap_or(u32::MAX)
}

fn row<T>(rows: &[T], i: u32) -> Option<&T> {
    rows.get(usize::try_from(i).ok()?)
}

/// A text of a row, which lives as long as the handle.
fn text(handle: *const Handle, of: impl FnOnce(&Rows) -> Option<&CString>) -> *const c_char {
    const NONE: &CStr = c"";
    with(handle, NONE.as_ptr(), NONE.as_ptr(), |handle| {
        handle.rows(|rows| of(rows).map_or(NONE.as_ptr(), |text| text.as_ptr()))
    })
}
