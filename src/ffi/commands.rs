//! The exported functions that run a command, and those that end one early.

use std::ffi::c_char;

use super::done::Done;
use super::entry::{text, with};
use super::handle::{Handle, OnEvent};
use super::numbers::barman_recover_switch_code as Switch;
use crate::cancel::Cancel;
use crate::commands::backups::backups;
use crate::commands::cancel::end_restore;
use crate::commands::check::{Verdict, check};
use crate::commands::config_switch::config_switch;
use crate::commands::operations::{Operations, OperationsError};
use crate::commands::recover;
use crate::commands::verify::verify;
use crate::config::Config;
use crate::outcome::{Code, OperationState};

/// Restores the backup; blocks until that is finished.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_run(handle: *mut Handle) -> i32 {
    command(handle, run)
}

/// The same on a thread of the library, with all signals blocked. Take its events with
/// barman_recover_next_event until that returns -1, then call barman_recover_result.
///
/// Returns 0 when it was started. Also returns BARMAN_RECOVER_BUSY when the system can't create a thread; the
/// handle is then unchanged.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_start(handle: *mut Handle) -> i32 {
    with(handle, Code::InvalidArgument, Code::Panic, |handle| handle.start(run)) as i32
}

/// Checks everything that a restore with these options needs; starts and changes nothing.
///
/// Returns 0; 1 when a finding is BARMAN_RECOVER_VERDICT_FAILED (barman_recover_error_message has the first
/// one); or another code. A missing option is a finding.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_check(handle: *mut Handle) -> i32 {
    command(handle, |config, cancel, on_event| {
        if cancel.is_cancelled() {
            return cancelled();
        }
        let findings = check(config, cancel, on_event, |_| ());
        let done = match findings.iter().find(|finding| finding.verdict == Verdict::Failed) {
            _ if cancel.is_cancelled() => cancelled(),
            None => Done::well(),
            Some(failed) => {
                let message = format!("{}: {}", failed.what, failed.detail);
                Done::new(Code::RecoveryFailed, &message, &failed.hint)
            }
        };
        Done { findings, ..done }
    })
}

/// Checks whether the data directory holds a complete restore, without API and state file. Its one option is
/// "data-directory". Takes about a second at most.
///
/// Returns 0 when it does, 1 when it does not, or another code; barman_recover_verified_state says what is there.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_verify(handle: *mut Handle) -> i32 {
    command(handle, |config, cancel, _| match verify(config) {
        _ if cancel.is_cancelled() => cancelled(),
        Ok(verified) => {
            let done = if verified.is_complete() {
                Done::well()
            } else {
                Done::new(Code::RecoveryFailed, &verified.detail, "")
            };
            Done { verified: Some(verified), ..done }
        }
        Err(why) => Done::new(Code::InvalidArgument, &why.to_string(), ""),
    })
}

/// Ends a restore into the data directory whose own run is gone: sends SIGTERM to the rsync receivers in it
/// until there has been none for two seconds. With "api-url" and "barman-server" it also waits for Barman to
/// say that the operation in the state file has ended, and removes that file, unless the data directory holds
/// remains of the restore.
///
/// Returns 0 when nothing writes into the data directory (any more), 1 when something still does, or another code.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_end_restore(handle: *mut Handle) -> i32 {
    command(handle, |config, cancel, on_event| {
        Done::reported(end_restore(config, cancel, on_event).map(|code| code as i32))
    })
}

/// Lists the backups of the Barman server, the newest first. Its options are "api-url", "barman-server" and those of
/// the connection, as for the next three. May take as long as "create-timeout" allows.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_list_backups(handle: *mut Handle) -> i32 {
    command(handle, |config, cancel, on_event| {
        answered(backups(config, cancel, on_event).map(|backups| Done { backups, ..Done::well() }))
    })
}

/// Lists the newest operations of the Barman server, with their states. newest: how many at most; 0 for all.
/// Each costs a request.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_list_operations(handle: *mut Handle, newest: u32) -> i32 {
    let newest = if newest == 0 { usize::MAX } else { usize::try_from(newest).unwrap_or(usize::MAX) };
    command(handle, |config, cancel, on_event| {
        let opened = Operations::open(config, cancel, on_event);
        let operations = opened.and_then(|mut opened| opened.list(newest));
        answered(operations.map(|operations| Done { operations, ..Done::well() }))
    })
}

/// Lists one operation.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_show_operation(handle: *mut Handle, id: *const c_char) -> i32 {
    of_operation(handle, id, |operations, id| {
        Ok(Done { operations: vec![operations.show(id)?], ..Done::well() })
    })
}

/// Waits until an operation has ended, and lists it.
///
/// Returns 0 when the operation is done, 1 when it has failed, or another code.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_wait_operation(handle: *mut Handle, id: *const c_char) -> i32 {
    of_operation(handle, id, |operations, id| {
        let ended = operations.wait(id)?;
        let done = if ended.state == Some(OperationState::Failed) {
            Done::new(Code::RecoveryFailed, &format!("operation {id} has failed"), "")
        } else {
            Done::well()
        };
        Ok(Done { operations: vec![ended], ..done })
    })
}

/// Switches Barman's configuration of the server when the role of this node has changed. Its options are "api-url",
/// "barman-server", "switch-when", and either "barman-model" or "reset". role: the new role, as Patroni calls it.
///
/// Returns a BARMAN_RECOVER_SWITCH_..., whose numbers mean other things than those of the other commands.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_config_switch(handle: *mut Handle, role: *const c_char) -> i32 {
    const WRONG: i32 = Switch::BARMAN_RECOVER_SWITCH_INVALID_ARGUMENT as i32;
    with(handle, WRONG, Code::Panic as i32, |handle| {
        let result = text(&role).map_err(|why| handle.refuse(&format!("the role {why}"))).and_then(|role| {
            handle.run(|config, cancel, on_event| {
                Done::reported(config_switch(config, role, cancel, on_event).map(|code| code as i32))
            })
        });
        match result {
            Ok(code) => code,
            Err(Code::InvalidArgument) => WRONG,
            Err(refused) => refused as i32,
        }
    })
}

/// Ends the command, now or when it begins, and the restore that it started (unless "leave-running" is set).
/// A handle stays cancelled; a command that has ended keeps its code. Returns at once; may be called more
/// than once.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_cancel(handle: *mut Handle) {
    with(handle, (), (), |handle| handle.cancel.cancel());
}

/// The same, but the restore always goes on; the state file then lets the next run follow it.
#[unsafe(no_mangle)]
pub extern "C" fn barman_recover_detach(handle: *mut Handle) {
    with(handle, (), (), |handle| handle.cancel.detach());
}

fn command(handle: *mut Handle, command: impl FnOnce(&Config, &Cancel, OnEvent) -> Done) -> i32 {
    with(handle, Code::InvalidArgument as i32, Code::Panic as i32, |handle| {
        handle.run(command).unwrap_or_else(|refused| refused as i32)
    })
}

fn run(config: &Config, cancel: &Cancel, on_event: OnEvent) -> Done {
    Done::reported(recover::run(config, cancel, on_event).map(|code| code as i32))
}

fn of_operation(
    handle: *mut Handle,
    id: *const c_char,
    ask: impl FnOnce(&mut Operations, &str) -> Result<Done, OperationsError>,
) -> i32 {
    with(handle, Code::InvalidArgument as i32, Code::Panic as i32, |handle| {
        let id = text(&id).map_err(|why| handle.refuse(&format!("the ID of the operation {why}")));
        let result = id.and_then(|id| {
            handle.run(|config, cancel, on_event| {
                let operations = Operations::open(config, cancel, on_event);
                answered(operations.and_then(|mut operations| ask(&mut operations, id)))
            })
        });
        result.unwrap_or_else(|refused| refused as i32)
    })
}

fn answered(answer: Result<Done, OperationsError>) -> Done {
    answer.unwrap_or_else(|error| Done::new(error.code(), &error.to_string(), error.hint()))
}

fn cancelled() -> Done {
    Done::new(Code::Cancelled, "cancelled", "")
}
