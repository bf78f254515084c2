"""Options, results, numbers and exceptions. Names and numbers are the same as in barman_recover.h."""
from __future__ import annotations

import dataclasses
import math
import os
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Optional, Union

Text = Union[str, "os.PathLike[str]"]
Seconds = Union[int, float, timedelta]


class _Number(IntEnum):
    """Known numbers; any other that a later library returns becomes UNKNOWN_n."""

    @classmethod
    def _missing_(cls, value: object) -> Optional["_Number"]:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_, member._value_ = f"UNKNOWN_{value}", value
        return member


class Code(_Number):
    RECOVERY_DONE = 0
    RECOVERY_FAILED = 1
    HTTP_ERROR = 2
    NO_COMMAND = -1
    API_NOT_OK = -2
    INVALID_ARGUMENT = -3
    CANCELLED = -4
    TIMED_OUT = -5
    BUSY = -6
    PANIC = -7


class SwitchCode(_Number):
    DONE = 0
    SKIPPED = 1
    FAILED = 2
    HTTP_ERROR = 3
    INVALID_ARGUMENT = 4
    API_NOT_OK = -2
    CANCELLED = -4
    TIMED_OUT = -5
    BUSY = -6
    PANIC = -7


class State(_Number):
    """What is known about an operation on the Barman host."""

    NOT_CREATED = 0
    MAYBE_CREATED = 1
    IN_PROGRESS = 2
    DONE = 3
    FAILED = 4

    @property
    def may_be_running(self) -> bool:
        """Whether Barman may still be writing into the data directory."""
        return self in (State.MAYBE_CREATED, State.IN_PROGRESS)


class Level(_Number):
    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class EventKind(_Number):
    LOG = 1
    STATE = 2
    TICK = 3
    PROGRESS = 4


class Verdict(_Number):
    OK = 0
    WARNING = 1
    FAILED = 2
    SKIPPED = 3


class Verified(_Number):
    """What is in a data directory."""

    NONE = 0
    COMPLETE = 1
    BEING_WRITTEN = 2
    INCOMPLETE = 3
    IN_USE = 4


class BusyReason(_Number):
    """Why a command ended as BUSY."""

    NONE = 0
    HANDLE = 1
    POSTGRES = 2
    STATE_FILE = 3
    THREAD = 4


@dataclasses.dataclass(frozen=True)
class Event:
    """What happened. `level` is a Level for LOG, a State for STATE, and the share in percent, or -1, for PROGRESS."""

    kind: EventKind
    level: int
    message: str


@dataclasses.dataclass
class Options:
    """The options of the command line, with `_` for `-`; None leaves the default. Times may be timedeltas; fractions of
    a second are rounded up."""

    api_url: Optional[str] = None
    cert_file: Optional[Text] = None
    key_file: Optional[Text] = None
    ca_file: Optional[Text] = None
    proxy: Optional[str] = None
    retry_wait: Optional[Seconds] = None
    max_retries: Optional[int] = None
    connect_timeout: Optional[Seconds] = None
    request_timeout: Optional[Seconds] = None
    create_timeout: Optional[Seconds] = None
    barman_server: Optional[str] = None
    backup_id: Optional[str] = None
    ssh_command: Optional[str] = None
    data_directory: Optional[Text] = None
    operation_id: Optional[str] = None
    loop_wait: Optional[Seconds] = None
    max_outage: Optional[Seconds] = None
    deadline: Optional[Seconds] = None
    verify: Optional[bool] = None
    state_file: Optional[Text] = None
    no_state_file: Optional[bool] = None
    stall_timeout: Optional[Seconds] = None
    no_diagnose: Optional[bool] = None
    barman_model: Optional[str] = None
    reset: Optional[bool] = None
    switch_when: Optional[str] = None
    no_verify: Optional[bool] = None
    leave_running: Optional[bool] = None
    force: Optional[bool] = None
    probe: Optional[bool] = None
    strict: Optional[bool] = None

    def texts(self) -> dict[str, str]:
        """The options that are set, each as the text that the command line takes."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: _text(name, value) for name, value in values.items() if value is not None}


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, float):
        value = math.ceil(value)
    if isinstance(value, int):
        if value < 0:
            raise InvalidArgument(Code.INVALID_ARGUMENT, f"{name}: must not be negative")
        return str(value)
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        # A C string ends there: the rest would be lost.
        if isinstance(text, str) and "\0" not in text:
            return text
        raise InvalidArgument(Code.INVALID_ARGUMENT, f"{name}: must be a text without a NUL character")
    raise TypeError(f"{name}: takes a text, a path, a number, a timedelta or a bool, not {type(value).__name__}")


@dataclasses.dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    message: str
    hint: str
    operation_id: str
    state: State
    http_status: int
    elapsed: timedelta
    bytes: int
    total_bytes: int
    busy_reason: BusyReason = BusyReason.NONE


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of checking one thing."""

    verdict: Verdict
    what: str
    detail: str
    hint: str


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of the API; `state` is None if the API did not give it."""

    id: str
    kind: str
    state: Optional[State]


@dataclasses.dataclass(frozen=True)
class Backup:
    """A backup of the Barman server. `bytes` is 0 if Barman does not know it."""

    id: str
    status: str
    is_complete: bool
    begin_time: str
    end_time: str
    bytes: int
    version: str
    mode: str


@dataclasses.dataclass(frozen=True)
class Directory:
    """What `verify` found: which backup it is, if the directory says so, and when it was restored."""

    state: Verified
    detail: str
    backup_id: str
    server: str
    taken: str
    restored: Optional[datetime]
    last_wal: str


class Error(Exception):
    """A command that did not end with 0. `result` has what is known, if the command had begun."""

    def __init__(self, code: int, message: str, hint: str = "", result: Optional[Result] = None) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.result = code, message, hint, result


class RecoveryFailed(Error):
    """Barman reports that it failed, or the data is not here."""


class HttpError(Error):
    """The API refused the request, or can't be reached any more."""


class ApiNotOk(Error):
    """The API is not up and running; nothing was started."""


class InvalidArgument(Error):
    """An option is missing or wrong; nothing was sent."""


class Cancelled(Error):
    """The command was cancelled."""


class TimedOut(Error):
    """The deadline has passed."""


class Busy(Error):
    """PostgreSQL is running in the data directory, or the state file belongs to a different API or server."""


class Panic(Error):
    """A bug in the library."""


_ERRORS: dict[int, type[Error]] = {
    Code.RECOVERY_FAILED: RecoveryFailed,
    Code.HTTP_ERROR: HttpError,
    Code.API_NOT_OK: ApiNotOk,
    Code.INVALID_ARGUMENT: InvalidArgument,
    Code.CANCELLED: Cancelled,
    Code.TIMED_OUT: TimedOut,
    Code.BUSY: Busy,
    Code.PANIC: Panic,
}


def error(code: int, message: str, hint: str, result: Optional[Result]) -> Error:
    """The exception for a code."""
    return _ERRORS.get(code, Error)(code, message, hint, result)
