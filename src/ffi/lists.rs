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

/// How many backups were listed.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_count(handle: *const Handle) -> u32 {
    with(handle, 0, 0, |handle| handle.rows(|rows| count(&rows.backups)))
}

/// The ID of a backup, as "backup-id" takes it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_id(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.backups, i).map(|row| &row.id))
}

/// Barman's word for its state: "DONE", "FAILED", "WAITING_FOR_WALS", ...
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_status(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.backups, i).map(|row| &row.status))
}

/// 1 if it can be restored, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_is_complete(handle: *const Handle, i: u32) -> i32 {
    with(handle, -1, -1, |handle| {
        handle.rows(|rows| row(&rows.backups, i).map_or(-1, |row| i32::from(row.is_complete)))
    })
}

/// When it was begun, as Barman writes it: "2026-11-22T13:34:30.680354+00:00".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_begin_time(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.backups, i).map(|row| &row.begin_time))
}

/// When it was complete, likewise; "" until then.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_end_time(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.backups, i).map(|row| &row.end_time))
}

/// How many bytes a restore writes, without WAL; 0 when Barman does not say it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_bytes(handle: *const Handle, i: u32) -> u64 {
    with(handle, 0, 0, |handle| handle.rows(|rows| row(&rows.backups, i).map_or(0, |row| row.bytes)))
}

/// The version of PostgreSQL: "15.18".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_version(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.backups, i).map(|row| &row.version))
}

/// How Barman made it: "rsync", "postgres", ...
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_mode(handle: *const Handle, i: u32) -> *const c_char {
    text(handle, |rows| row(&rows.backups, i).map(|row| &row.mode))
}

/// The BARMAN_RECOVER_VERIFIED_... that barman_recover_verify found; -1 until it has ended.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_state(handle: *const Handle) -> i32 {
    with(handle, -1, -1, |handle| handle.rows(|rows| rows.verified.as_ref().map_or(-1, |row| row.state)))
}

/// What it found, in one line.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_detail(handle: *const Handle) -> *const c_char {
    text(handle, |rows| rows.verified.as_ref().map(|row| &row.detail))
}

/// The ID of the backup that was restored; like the rest, "" or 0 where the directory does not say it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_backup_id(handle: *const Handle) -> *const c_char {
    text(handle, |rows| rows.verified.as_ref().map(|row| &row.backup_id))
}

/// The Barman server that the backup is of.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_server(handle: *const Handle) -> *const c_char {
    text(handle, |rows| rows.verified.as_ref().map(|row| &row.server))
}

/// When the backup was taken, as Barman writes it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_taken(handle: *const Handle) -> *const c_char {
    text(handle, |rows| rows.verified.as_ref().map(|row| &row.taken))
}

/// When Barman wrote its last file, in seconds since 1970.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_restored(handle: *const Handle) -> u64 {
    with(handle, 0, 0, |handle| handle.rows(|rows| rows.verified.as_ref().map_or(0, |row| row.restored)))
}

/// The newest WAL file that was restored.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_last_wal(handle: *const Handle) -> *const c_char {
    text(handle, |rows| rows.verified.as_ref().map(|row| &row.last_wal))
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
