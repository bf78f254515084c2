"""Options, results and exceptions. Results have the fields of the library's JSON (docs/abi.md of barman-recover), also those
that a later library adds."""
from __future__ import annotations

import dataclasses
import math
import os
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Optional, Union

Text = Union[str, "os.PathLike[str]"]
Seconds = Union[int, float, timedelta]


class Event(SimpleNamespace):
    """What happened. `kind` is "log", "state" (which has operation_id and operation_state) or "progress" (which has
    percent, bytes and total_bytes)."""

    kind: str
    level: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.message}"


class Result(SimpleNamespace):
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


class Switch(SimpleNamespace):
    """How a config switch ended: without a switch if it is not made for this role."""

    switched: bool
    operation_id: Optional[str]
    operation_state: str
    http_status: Optional[int]
    warnings: list[str]


class Finding(SimpleNamespace):
    """The result of checking one thing; the verdict is "OK", "WARNING", "FAILED" or "SKIPPED"."""

    verdict: str
    what: str
    detail: str
    hint: str


class Operation(SimpleNamespace):
    """An operation of the API; `state` is None if the API did not give it."""

    id: str
    kind: str
    state: Optional[str]


class Backup(SimpleNamespace):
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


class Directory(SimpleNamespace):
    """What `verify` found: "complete", "incomplete", "unproven" or "unknown". `backup` has id, server and begin_time of
    what was restored, or is None; `wal` has last, needed and there."""

    state: str
    detail: str
    data_directory: str
    backup: Optional[dict[str, Any]]
    wal: dict[str, Any]
    warnings: list[dict[str, str]]


class Settled(SimpleNamespace):
    """What `settle` did: where the remains of a failed restore are now, or why nothing was moved."""

    moved_to: list[str]
    left_alone: str


@dataclasses.dataclass
class Options:
    """The options of the command line, with `_` for `-`; None leaves the default. Times may be timedeltas; fractions of
    a second are rounded up. `extra` has those that this package does not know yet, by name."""

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
    watch_size: Optional[bool] = None
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
        value = math.floor(value) if value < 0 else math.ceil(value)  # what is negative stays so, and is refused
    if isinstance(value, (int, str, os.PathLike)):
        text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
        if "\0" in text:  # a C string ends there: the rest would be lost
            raise ValueError(f"{name}: must not contain a NUL character")
        return text
    raise TypeError(f"{name}: takes a text, a path, a number, a timedelta or a bool, not {type(value).__name__}")


class Error(Exception):
    """A command that did not end with 0: `message` says what went wrong, `hint` what to do about it, `result` what is
    known. Each code has its exception; one of a later library is an Error itself."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result, self.code, self.message, self.hint = result, result.code, result.message, result.hint

    def __str__(self) -> str:
        return self.message


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


_ERRORS = {error.__name__: error for error in Error.__subclasses__()}


def error(result: dict[str, Any]) -> Error:
    """The exception for the code of a result: RecoveryFailed for RECOVERY_FAILED."""
    name = result["code_name"].title().replace("_", "")
    return _ERRORS.get(name, Error)(Result(**result))
