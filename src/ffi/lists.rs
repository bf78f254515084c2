//! The exported functions that return the rows of a command.

use std::ffi::c_char;
use std::time::UNIX_EPOCH;

use super::done::Done;
use super::entry::{number, text_of};
use super::handle::Handle;
use super::numbers::barman_recover_verified as Found;
use crate::commands::verify::{CompleteRestore, RestoreState};

/// How many findings barman_recover_check has made.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_count(handle: *const Handle) -> u32 {
    number(handle, 0, |done| count(&done.findings))
}

/// The BARMAN_RECOVER_VERDICT_... of a finding.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_verdict(handle: *const Handle, i: u32) -> i32 {
    number(handle, -1, |done| Some(row(&done.findings, i)?.verdict as i32))
}

/// What was checked: "data directory".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_what(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| Some(row(&done.findings, i)?.what))
}

/// What was found, in one line.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_detail(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| Some(&row(&done.findings, i)?.detail))
}

/// What to do about it, in one line; may be "".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_finding_hint(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| Some(&row(&done.findings, i)?.hint))
}

/// How many operations were listed. Lists begin with the newest.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_listed_count(handle: *const Handle) -> u32 {
    number(handle, 0, |done| count(&done.operations))
}

/// The ID of an operation.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_listed_id(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| Some(&row(&done.operations, i)?.id))
}

/// What the API calls the kind of operation: "recovery", "config_switch"; "" when the API gives none.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_listed_kind(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| Some(&row(&done.operations, i)?.kind))
}

/// The BARMAN_RECOVER_STATE_... of an operation; -1 also when the API does not give its state.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_listed_state(handle: *const Handle, i: u32) -> i32 {
    number(handle, -1, |done| Some(row(&done.operations, i)?.state? as i32))
}

/// How many backups were listed.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_count(handle: *const Handle) -> u32 {
    number(handle, 0, |done| count(&done.backups))
}

/// The ID of a backup, as "backup-id" takes it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_id(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| Some(&row(&done.backups, i)?.id))
}

/// The state that Barman gives: "DONE", "FAILED", "WAITING_FOR_WALS", ...
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_status(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| Some(&row(&done.backups, i)?.status))
}

/// 1 if it can be restored, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_is_complete(handle: *const Handle, i: u32) -> i32 {
    number(handle, -1, |done| Some(row(&done.backups, i)?.is_complete.into()))
}

/// When it began, as Barman writes it: "2026-11-22T13:34:30.680354+00:00".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_begin_time(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| row(&done.backups, i)?.begin_time.as_deref())
}

/// When it was complete, in the same format; "" until then.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_end_time(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| row(&done.backups, i)?.end_time.as_deref())
}

/// How many bytes a restore writes, without WAL; 0 when Barman does not say.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_bytes(handle: *const Handle, i: u32) -> u64 {
    number(handle, 0, |done| row(&done.backups, i)?.bytes)
}

/// The version of PostgreSQL: "15.18".
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_version(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| row(&done.backups, i)?.version.as_deref())
}

/// How Barman made it: "rsync", "postgres", ...
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_backup_mode(handle: *const Handle, i: u32) -> *const c_char {
    text_of(handle, |done| row(&done.backups, i)?.mode.as_deref())
}

/// The BARMAN_RECOVER_VERIFIED_... that barman_recover_verify found; -1 until it has ended.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_state(handle: *const Handle) -> i32 {
    number(handle, -1, |done| {
        let found = match done.verified.as_ref()?.state {
            RestoreState::Nothing => Found::BARMAN_RECOVER_VERIFIED_NONE,
            RestoreState::Complete => Found::BARMAN_RECOVER_VERIFIED_COMPLETE,
            RestoreState::BeingWritten => Found::BARMAN_RECOVER_VERIFIED_BEING_WRITTEN,
            RestoreState::Incomplete => Found::BARMAN_RECOVER_VERIFIED_INCOMPLETE,
            RestoreState::InUse => Found::BARMAN_RECOVER_VERIFIED_IN_USE,
        };
        Some(found as i32)
    })
}

/// What it found, in one line.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_detail(handle: *const Handle) -> *const c_char {
    text_of(handle, |done| Some(&done.verified.as_ref()?.detail))
}

/// The ID of the backup that was restored; like the functions below, "" or 0 when the directory does not say.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_backup_id(handle: *const Handle) -> *const c_char {
    text_of(handle, |done| restore(done)?.backup_id.as_deref())
}

/// The Barman server that the backup belongs to.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_server(handle: *const Handle) -> *const c_char {
    text_of(handle, |done| Some(&restore(done)?.server))
}

/// When the backup was taken, as Barman writes it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_taken(handle: *const Handle) -> *const c_char {
    text_of(handle, |done| Some(&restore(done)?.taken))
}

/// When Barman wrote its last file, in seconds since 1970.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_restored(handle: *const Handle) -> u64 {
    number(handle, 0, |done| {
        let since = restore(done)?.restored.duration_since(UNIX_EPOCH).ok()?;
        Some(since.as_secs())
    })
}

/// The newest WAL file that was restored.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verified_last_wal(handle: *const Handle) -> *const c_char {
    text_of(handle, |done| restore(done)?.last_wal.as_deref())
}

fn count<T>(rows: &[T]) -> Option<u32> {
    u32::try_from(rows.len()).ok()
}

fn row<T>(rows: &[T], i: u32) -> Option<&T> {
    rows.get(usize::try_from(i).ok()?)
}

fn restore(done: &Done) -> Option<&CompleteRestore> {
    done.verified.as_ref()?.restore.as_ref()
}
