//! How a recovery ended: the stable codes, the state of the operation, and the report. Pure.

use std::ffi::CStr;
use std::time::Duration;

use serde::Serialize;

use crate::text::printable;

/// The numbers of an enum of the C ABI with their names, as in the header without the prefix.
pub(crate) type Names = [(i32, &'static CStr)];

pub(crate) fn name_of(names: &Names, number: i32) -> &'static CStr {
    names.iter().find(|(known, _)| *known == number).map_or(c"UNKNOWN", |(_, name)| name)
}

/// The same as text.
pub(crate) fn text_of(names: &Names, number: i32) -> &'static str {
    name_of(names, number).to_str().unwrap_or_default()
}

/// The result of a recovery. The numbers are part of the C ABI and never change; 0, 1, 2, -1 and -2
/// are those of Patroni's `patroni_barman`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Code {
    /// The backup was restored, and the data is in the data directory.
    RecoveryDone = 0,
    /// Barman says that the recovery failed; or the data is not in the data directory; or nothing has arrived in it
    /// for the stall timeout.
    RecoveryFailed = 1,
    /// The API refused the request, or could not be reached any more.
    HttpError = 2,
    /// The program was called without a sub-command. The library never returns it.
    NoCommand = -1,
    /// The API is not up and running; nothing was started.
    ApiNotOk = -2,
    /// An option is missing or wrong; nothing was sent.
    InvalidArgument = -3,
    /// Ended by [`Cancel`](crate::Cancel) or by the event callback.
    Cancelled = -4,
    /// The overall deadline passed.
    TimedOut = -5,
    /// The handle is running or has run, PostgreSQL is running in the data directory, or the state file belongs to a
    /// different API, server, data directory or operation. Nothing was started.
    Busy = -6,
    /// A bug in the library, caught at the C border.
    Panic = -7,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 10] = [
        Code::RecoveryDone,
        Code::RecoveryFailed,
        Code::HttpError,
        Code::NoCommand,
        Code::ApiNotOk,
        Code::InvalidArgument,
        Code::Cancelled,
        Code::TimedOut,
        Code::Busy,
        Code::Panic,
    ];

    pub(crate) const NAMES: &Names = &[
        (Code::RecoveryDone as i32, c"RECOVERY_DONE"),
        (Code::RecoveryFailed as i32, c"RECOVERY_FAILED"),
        (Code::HttpError as i32, c"HTTP_ERROR"),
        (Code::NoCommand as i32, c"NO_COMMAND"),
        (Code::ApiNotOk as i32, c"API_NOT_OK"),
        (Code::InvalidArgument as i32, c"INVALID_ARGUMENT"),
        (Code::Cancelled as i32, c"CANCELLED"),
        (Code::TimedOut as i32, c"TIMED_OUT"),
        (Code::Busy as i32, c"BUSY"),
        (Code::Panic as i32, c"PANIC"),
    ];

    /// The name of the code as in the C header, without its prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        text_of(Code::NAMES, self as i32)
    }

    /// The status with which a program ends for this code: `code & 0xff`.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        lowest_byte(self as i32)
    }
}

/// The result of a config switch: the numbers of Patroni's `patroni_barman config-switch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum SwitchCode {
    /// The configuration was switched.
    Done = 0,
    /// Nothing to do for this role; nothing was sent.
    Skipped = 1,
    /// Barman says that the switch failed.
    Failed = 2,
    /// The API refused the request, or could not be reached any more.
    HttpError = 3,
    /// An option is missing or wrong; nothing was sent.
    InvalidArgument = 4,
    /// The API is not up and running; nothing was switched.
    ApiNotOk = -2,
    /// Ended by [`Cancel`](crate::Cancel).
    Cancelled = -4,
    /// The overall deadline passed.
    TimedOut = -5,
}

impl SwitchCode {
    /// The status with which a program ends for this code: `code & 0xff`.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        lowest_byte(self as i32)
    }

    /// The name of the code.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SwitchCode::Done => "CONFIG_SWITCH_DONE",
            SwitchCode::Skipped => "CONFIG_SWITCH_SKIPPED",
            SwitchCode::Failed => "CONFIG_SWITCH_FAILED",
            SwitchCode::HttpError => "HTTP_ERROR",
            SwitchCode::InvalidArgument => "INVALID_ARGS",
            SwitchCode::ApiNotOk => "API_NOT_OK",
            SwitchCode::Cancelled => "CANCELLED",
            SwitchCode::TimedOut => "TIMED_OUT",
        }
    }
}

fn lowest_byte(code: i32) -> u8 {
    let [lowest, ..] = code.to_le_bytes();
    lowest
}

/// What is known about the operation on the Barman host. It shows whether files may still be written into the data
/// directory. The numbers are part of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(i32)]
#[non_exhaustive]
pub enum OperationState {
    /// None was created.
    #[default]
    NotCreated = 0,
    /// A create is being sent or was sent, and its result is unknown: a restore may be running.
    MaybeCreated = 1,
    /// It was running when last seen.
    InProgress = 2,
    /// It has ended; Barman calls it done.
    Done = 3,
    /// It has ended; Barman calls it failed.
    Failed = 4,
}

impl OperationState {
    pub(crate) const NAMES: &Names = &[
        (OperationState::NotCreated as i32, c"NOT_CREATED"),
        (OperationState::MaybeCreated as i32, c"MAYBE_CREATED"),
        (OperationState::InProgress as i32, c"IN_PROGRESS"),
        (OperationState::Done as i32, c"DONE"),
        (OperationState::Failed as i32, c"FAILED"),
    ];

    /// Whether a restore may be writing into the data directory.
    #[must_use]
    pub fn may_be_running(self) -> bool {
        matches!(self, OperationState::MaybeCreated | OperationState::InProgress)
    }

    /// The name as in the C header, without its prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        text_of(OperationState::NAMES, self as i32)
    }
}

/// What went wrong, and what to do about it, in one line each; empty where there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Problem {
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { message: printable(&message.into()), hint: printable(&hint.into()) }
    }
}

/// Why a recovery ended with [`Code::Busy`]. The numbers are part of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Busy {
    /// PostgreSQL is running in the data directory.
    Postgres = 2,
    /// The state file belongs to a different API, server, data directory or operation; or, when a restore is to be
    /// ended, to a run that is alive.
    StateFile = 3,
}

/// The report of a run: of a recovery, or of a command with its own codes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome<C = Code> {
    /// How it ended.
    pub code: C,
    /// What went wrong, in one line; empty when all went well.
    pub message: String,
    /// What to do about it, in one line; empty when there is nothing to say.
    pub hint: String,
    /// The backup that was restored, if the data directory names it.
    pub backup_id: Option<String>,
    /// The operation that was created or followed, if it is known.
    pub operation_id: Option<String>,
    /// What is known about that operation.
    pub operation_state: OperationState,
    /// The HTTP status of the reply that decided how it ended; `None` when no reply did.
    pub http_status: Option<u16>,
    /// Why the code is [`Code::Busy`]; `None` for every other code.
    pub busy: Option<Busy>,
    /// Time from the start of the run to its end.
    pub elapsed: Duration,
    /// Bytes in the data directory at the end, if they were counted.
    pub bytes: Option<u64>,
    /// Size of the backup, if known.
    pub total_bytes: Option<u64>,
}

impl<C> Outcome<C> {
    /// The same report with a different type of code.
    pub(crate) fn map<D>(self, code: impl FnOnce(C) -> D) -> Outcome<D> {
        Outcome {
            code: code(self.code),
            message: self.message,
            hint: self.hint,
            backup_id: self.backup_id,
            operation_id: self.operation_id,
            operation_state: self.operation_state,
            http_status: self.http_status,
            busy: self.busy,
            elapsed: self.elapsed,
            bytes: self.bytes,
            total_bytes: self.total_bytes,
        }
    }

    /// For a run that sent nothing.
    pub(crate) fn not_begun(code: C, message: &str) -> Outcome<C> {
        Outcome {
            code,
            message: printable(message),
            hint: String::new(),
            backup_id: None,
            operation_id: None,
            operation_state: OperationState::NotCreated,
            http_status: None,
            busy: None,
            elapsed: Duration::ZERO,
            bytes: None,
            total_bytes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_those_of_the_python_program() {
        let statuses = Code::ALL.map(Code::exit_status);
        assert_eq!(statuses, [0, 1, 2, 255, 254, 253, 252, 251, 250, 249]);
    }

    #[test]
    fn every_code_has_its_name() {
        assert!(Code::NAMES.iter().map(|(number, _)| *number).eq(Code::ALL.map(|code| code as i32)));
        assert_eq!(Code::ApiNotOk.name(), "API_NOT_OK");
    }
}
