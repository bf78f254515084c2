"""Options, results and exceptions. Results have the fields of the library's JSON: docs/abi.md of barman-recover."""
from __future__ import annotations

import dataclasses
import math
import os
from datetime import timedelta
from enum import IntEnum
from typing import Any, Optional, Union

Text = Union[str, "os.PathLike[str]"]
Seconds = Union[int, float, timedelta]


class Code(IntEnum):
    """How a command ended; later libraries may have others."""

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


class _Fields:
    """An object of the library's JSON: what has no annotation is there too, as a later library may have more."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)


class Event(_Fields):
    """What happened. `kind` is "log", "state" (which has operation_id and operation_state) or "progress" (which has
    percent, bytes and total_bytes)."""

    kind: str
    level: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.message}"


class Result(_Fields):
    """How a recovery ended; what is not known is None. `operation_state` is "NOT_CREATED", "MAYBE_CREATED",
    "IN_PROGRESS", "DONE" or "FAILED"."""

    code: int
    code_name: str
    message: str
    hint: str
    elapsed_seconds: float
    # These are missing if nothing has begun.
    operation_id: Optional[str] = None
    operation_state: str = "NOT_CREATED"
    backup_id: Optional[str] = None
    bytes: Optional[int] = None
    total_bytes: Optional[int] = None
    http_status: Optional[int] = None
    warnings: list[str] = []


class Switch(_Fields):
    """How a config switch ended: without a switch if it is not made for this role."""

    switched: bool
    operation_id: Optional[str]
    operation_state: str
    http_status: Optional[int]
    warnings: list[str]


class Finding(_Fields):
    """The result of checking one thing; the verdict is "OK", "WARNING", "FAILED" or "SKIPPED"."""

    verdict: str
    what: str
    detail: str
    hint: str


class Operation(_Fields):
    """An operation of the API; `state` is None if the API did not give it."""

    id: str
    kind: str
    state: Optional[str]


class Backup(_Fields):
    """A backup of the Barman server; what Barman does not say is None."""

    id: str
    status: str
    is_complete: bool
    note: str
    begin_time: Optional[str]
    end_time: Optional[str]
    bytes: Optional[int]
    version: Optional[str]
    mode: Optional[str]


class Directory(_Fields):
    """What `verify` found: "complete", "incomplete", "unproven" or "unknown". `backup` has id, server and begin_time of
    what was restored, or is None; `wal` has last, needed and there."""

    state: str
    detail: str
    data_directory: str
    backup: Optional[dict[str, Any]]
    wal: dict[str, Any]
    warnings: list[dict[str, str]]


class Settled(_Fields):
    """What `settle` did: where the remains of a failed restore are now, or why nothing was moved."""

    moved_to: list[str]
    left_alone: str


@dataclasses.dataclass
class Options:
    """The options of the command line, with `_` for `-`; None leaves the default. Times may be timedeltas; fractions of
    a second are rounded up. `extra` has further ones by name."""

    api_url: Optional[str] = None
    cert_file: Optional[Text] = None
    key_file: Optional[Text] = None
    ca_file: Optional[Text] = None
    proxy: Optional[str] = None
    retry_wait: Optional[Seconds] = None
    max_retries: Optional[int] = None
    request_timeout: Optional[Seconds] = None
    create_timeout: Optional[Seconds] = None
    barman_server: Optional[str] = None
    backup_id: Optional[str] = None
    ssh_command: Optional[str] = None
    data_directory: Optional[Text] = None
    loop_wait: Optional[Seconds] = None
    max_outage: Optional[Seconds] = None
    deadline: Optional[Seconds] = None
    stall_timeout: Optional[Seconds] = None
    barman_model: Optional[str] = None
    reset: Optional[bool] = None
    switch_when: Optional[str] = None
    no_verify: Optional[bool] = None
    state_dir: Optional[Text] = None
    no_lease: Optional[bool] = None
    no_probe: Optional[bool] = None
    strict: Optional[bool] = None
    role: Optional[str] = None
    limit: Optional[int] = None
    extra: dict[str, Union[Text, Seconds, bool]] = dataclasses.field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """The options that are set, each as the text that the command line takes."""
        fields = [field.name for field in dataclasses.fields(self) if field.name != "extra"]
        values = {**{name: getattr(self, name) for name in fields}, **self.extra}
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


class Error(Exception):
    """A command that did not end with 0. `result` has what is known."""

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
    """PostgreSQL is running in the data directory."""


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


def error(code: int, result: dict[str, Any]) -> Error:
    """The exception for a code."""
    return _ERRORS.get(code, Error)(code, result["message"], result["hint"], Result(result))
