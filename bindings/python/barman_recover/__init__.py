"""Restores a Barman backup onto a PostgreSQL node through pg-backup-api.

    from barman_recover import Options, RecoveryFailed, restore

    options = Options(api_url="http://barman:7480", barman_server="main",
                      ssh_command="ssh postgres@node1", data_directory="/var/lib/postgresql/17/main")
    try:
        print("restored", restore(options, on_event=print).bytes, "bytes")
    except RecoveryFailed as failure:
        print(failure, failure.hint, failure.result)

Every command blocks; other threads of Python go on. Ctrl-C, and any exception of `on_event`, cancels it: a restore is
then ended on the Barman host too, which takes up to eight seconds. `barman_recover.aio` has the same for asyncio.
Different calls are independent of each other, in any number of threads.
"""
from __future__ import annotations

from typing import Optional

from ._run import Command, Handle, OnEvent, run
from ._types import (
    ApiNotOk,
    Busy,
    Cancelled,
    Code,
    Error,
    Event,
    EventKind,
    Finding,
    HttpError,
    InvalidArgument,
    Level,
    Operation,
    Options,
    Panic,
    RecoveryFailed,
    Result,
    State,
    SwitchCode,
    TimedOut,
    Verdict,
)

__all__ = [
    "ApiNotOk", "Busy", "Cancelled", "Code", "Error", "Event", "EventKind", "Finding", "HttpError", "InvalidArgument",
    "Level", "Operation", "Options", "Panic", "RecoveryFailed", "Result", "State", "SwitchCode", "TimedOut", "Verdict",
    "check", "config_switch", "operation", "operations", "restore", "wait",
]


def restore(options: Options, on_event: Optional[OnEvent] = None) -> Result:
    """Restores a backup. Raises the exception of the code unless that is 0."""
    handle, code = run(options, on_event, "run")
    return handle.raise_for(code)


def check(options: Options, on_event: Optional[OnEvent] = None) -> list[Finding]:
    """Checks what a restore needs; starts and changes nothing. A finding that fails is no exception."""
    handle, code = run(options, on_event, "check")
    if code not in (0, 1):
        handle.raise_for(code)
    return _findings(handle)


def operations(options: Options, newest: int = 20) -> list[Operation]:
    """The newest operations of the Barman server, at most so many; 0 for all. Each costs a request."""
    handle, code = run(options, None, "list_operations", newest)
    handle.raise_for(code)
    return _listed(handle)


def operation(options: Options, id: str) -> Operation:
    """One operation."""
    handle, code = run(options, None, "show_operation", id.encode())
    handle.raise_for(code)
    return _listed(handle)[0]


def wait(options: Options, id: str, on_event: Optional[OnEvent] = None) -> Operation:
    """Waits until an operation has ended. One that has failed is no exception."""
    handle, code = run(options, on_event, "wait_operation", id.encode())
    if code not in (0, 1):
        handle.raise_for(code)
    return _listed(handle)[0]


def config_switch(options: Options, role: str, on_event: Optional[OnEvent] = None) -> SwitchCode:
    """Switches Barman's configuration of the server, if the role is one for that. Its codes are returned, not raised."""
    _, code = run(options, on_event, "config_switch", role.encode())
    return SwitchCode(code)


def _findings(handle: Handle) -> list[Finding]:
    text = handle.text
    return [
        Finding(
            Verdict(handle.call("finding_verdict", i)),
            text("finding_what", i), text("finding_detail", i), text("finding_hint", i),
        )
        for i in range(handle.call("finding_count"))
    ]


def _listed(handle: Handle) -> list[Operation]:
    states = [handle.call("listed_state", i) for i in range(handle.call("listed_count"))]
    return [
        Operation(handle.text("listed_id", i), handle.text("listed_kind", i), None if state < 0 else State(state))
        for i, state in enumerate(states)
    ]
