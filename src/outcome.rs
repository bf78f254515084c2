//! How a command ended: the stable codes, the state of an operation, and the reports. Pure.

use std::ffi::CStr;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::text::printable;

/// How a command ended. The numbers never change; 0, 1, 2, -1 and -2 are those of patroni_barman.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::doc_markdown, reason = "these comments are those of the C header, whose readers read C")]
#[repr(C)]
#[non_exhaustive]
pub enum Code {
    /// Done; of a recovery: the backup was restored, and the data is in the data directory.
    RecoveryDone = 0,
    /// Barman says that it failed, the data is not in the data directory, nothing has arrived in it for the stall
    /// timeout; or a finding of a check has FAILED, "verify" found no complete restore, "settle" could not move the
    /// remains of one.
    RecoveryFailed = 1,
    /// The API refused the request, or could not be reached any more.
    HttpError = 2,
    /// No command has run.
    NoCommand = -1,
    /// The API is not up and running; nothing was started.
    ApiNotOk = -2,
    /// An option is missing or wrong, or the state directory or the data directory can't be used; nothing was started.
    InvalidArgument = -3,
    /// Ended by a cancel.
    Cancelled = -4,
    /// The overall deadline passed.
    TimedOut = -5,
    /// A command runs on this handle, no thread can be started for one, or PostgreSQL runs in the data directory:
    /// nothing was started, or the restore was ended.
    Busy = -6,
    /// A bug in the library, which was caught.
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

    /// The name of the code with this number; UNKNOWN for a code of a later version.
    pub(crate) fn name_of(number: i32) -> &'static CStr {
        Code::ALL.into_iter().find(|code| *code as i32 == number).map_or(c"UNKNOWN", Code::c_name)
    }

    fn c_name(self) -> &'static CStr {
        match self {
            Code::RecoveryDone => c"RECOVERY_DONE",
            Code::RecoveryFailed => c"RECOVERY_FAILED",
            Code::HttpError => c"HTTP_ERROR",
            Code::NoCommand => c"NO_COMMAND",
            Code::ApiNotOk => c"API_NOT_OK",
            Code::InvalidArgument => c"INVALID_ARGUMENT",
            Code::Cancelled => c"CANCELLED",
            Code::TimedOut => c"TIMED_OUT",
            Code::Busy => c"BUSY",
            Code::Panic => c"PANIC",
        }
    }

    /// The name of the code as in the C header, without its prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.c_name().to_str().unwrap_or_default()
    }

    /// The exit status of a program that ends with this code: 2 for wrong arguments, as is usual, and `code & 0xff` for
    /// all others.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        let [lowest, ..] = (self as i32).to_le_bytes();
        if self == Code::InvalidArgument { 2 } else { lowest }
    }
}

impl Serialize for Code {
    /// As the two fields `code` and `code_name`, which each result has.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Code", 2)?;
        fields.serialize_field("code", &(*self as i32))?;
        fields.serialize_field("code_name", self.name())?;
        fields.end()
    }
}

/// What is known about an operation on the Barman host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum OperationState {
    /// None was created.
    #[default]
    NotCreated,
    /// A create is being sent or was sent, and its result is unknown: a restore may be running.
    MaybeCreated,
    /// It was running when last seen.
    InProgress,
    /// It has ended; Barman calls it done.
    Done,
    /// It has ended; Barman calls it failed.
    Failed,
}

impl OperationState {
    /// Whether a restore may be running on the Barman host.
    #[must_use]
    pub fn may_be_running(self) -> bool {
        matches!(self, OperationState::MaybeCreated | OperationState::InProgress)
    }

    /// The name, as results have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OperationState::NotCreated => "NOT_CREATED",
            OperationState::MaybeCreated => "MAYBE_CREATED",
            OperationState::InProgress => "IN_PROGRESS",
            OperationState::Done => "DONE",
            OperationState::Failed => "FAILED",
        }
    }
}

/// What went wrong, and what to do about it, in one line each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Problem {
    /// What went wrong.
    pub message: String,
    /// What to do about it, if that is known.
    #[serde(serialize_with = "or_empty")]
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(printable(&hint.into())), ..Problem::without_hint(message) }
    }

    pub(crate) fn without_hint(message: impl Into<String>) -> Problem {
        Problem { message: printable(&message.into()), hint: None }
    }
}

/// In JSON such a text is always there, as in C.
#[allow(clippy::ref_option, reason = "serde passes the field so")]
pub(crate) fn or_empty<S: Serializer>(text: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text.as_deref().unwrap_or_default())
}

/// The result of a command: how it ended, and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Answer<T> {
    /// How it ended; serialized as `code` and `code_name`.
    #[serde(flatten)]
    pub code: Code,
    /// What went wrong, in one line; empty when all went well.
    pub message: String,
    /// What to do about it, in one line, if that is known.
    #[serde(serialize_with = "or_empty")]
    pub hint: Option<String>,
    /// Time from the start of the command to its end.
    #[serde(rename = "elapsed_seconds", serialize_with = "in_seconds")]
    pub elapsed: Duration,
    /// What it found, as far as it got; its fields are serialized beside the others.
    #[serde(flatten)]
    pub found: T,
}

impl<T> Answer<T> {
    pub(crate) fn new(code: Code, problem: Problem, elapsed: Duration, found: T) -> Answer<T> {
        Answer { code, message: problem.message, hint: problem.hint, elapsed, found }
    }

    /// Of a command that sent nothing.
    pub(crate) fn not_begun(code: Code, problem: Problem) -> Answer<T>
    where
        T: Default,
    {
        Answer::new(code, problem, Duration::ZERO, T::default())
    }

    /// The same end, of a command that found something else.
    pub(crate) fn with<U>(self, found: U) -> Answer<U> {
        let Answer { code, message, hint, elapsed, .. } = self;
        Answer { code, message, hint, elapsed, found }
    }
}

/// What a recovery found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// The operation that was created or followed, if it is known.
    pub operation_id: Option<String>,
    /// What is known about that operation.
    pub operation_state: OperationState,
    /// The backup that was restored, if the data directory names it.
    pub backup_id: Option<String>,
    /// Bytes in the data directory at the end, if they were counted.
    pub bytes: Option<u64>,
    /// Size of the backup, if known.
    pub total_bytes: Option<u64>,
    /// The HTTP status of the reply that decided how it ended; `None` when no reply did.
    pub http_status: Option<u16>,
    /// The warnings of the log, each once; of very many the newest.
    pub warnings: Vec<String>,
}

/// As a number with milliseconds.
#[allow(clippy::cast_precision_loss, reason = "exact for the next 285,000 years")]
pub(crate) fn in_seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_millis() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_those_of_the_python_program() {
        let statuses = Code::ALL.map(Code::exit_status);
        assert_eq!(statuses, [0, 1, 2, 255, 254, 2, 252, 251, 250, 249]);
    }

    #[test]
    fn every_code_has_its_name() {
        let names = Code::ALL.map(Code::name);
        assert_eq!((names[0], names[4], names[9]), ("RECOVERY_DONE", "API_NOT_OK", "PANIC"));
        assert_eq!(Code::name_of(77), c"UNKNOWN");
    }

    #[test]
    fn what_a_command_found_stands_beside_how_it_ended() {
        let elapsed = Duration::from_micros(1_234_567);
        let found = std::collections::BTreeMap::from([("more", 1)]);
        let answer = Answer::new(Code::ApiNotOk, Problem::new("why", "what to do"), elapsed, found);
        let json = serde_json::to_value(answer).unwrap();
        let expected = serde_json::json!({
            "code": -2, "code_name": "API_NOT_OK", "message": "why", "hint": "what to do", "elapsed_seconds": 1.234, "more": 1
        });
        assert_eq!(json, expected);
    }
}
