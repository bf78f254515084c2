"""Restores a Barman backup onto a PostgreSQL node through pg-backup-api.

    from barman_recover import Options, RecoveryFailed, restore

    options = Options(api_url="http://barman:7480", barman_server="main",
                      ssh_command="ssh postgres@node1", data_directory="/var/lib/postgresql/17/main")
    try:
        print("restored", restore(options, on_event=print).bytes, "bytes")
    except RecoveryFailed as failure:
        print(failure, failure.hint, failure.result)

Every command blocks; other Python threads go on. Ctrl-C, or any exception in `on_event`, cancels it: a restore is
then ended on the Barman host too, which takes up to eight seconds. `barman_recover.aio` has the same for asyncio.
Different calls are independent of each other, in any number of threads.
"""
from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional

from ._run import Command, Handle, OnEvent, run
from ._types import (
    ApiNotOk,
    Backup,
    Busy,
    BusyReason,
    Cancelled,
    Code,
    Directory,
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
    Verified,
)

__all__ = [
    "ApiNotOk", "Backup", "Busy", "BusyReason", "Cancelled", "Code", "Directory", "Error", "Event", "EventKind", "Finding",
    "HttpError", "InvalidArgument", "Level", "Operation", "Options", "Panic", "RecoveryFailed", "Result", "State",
    "SwitchCode", "TimedOut", "Verdict", "Verified",
    "backups", "check", "config_switch", "end_restore", "operation", "operations", "restore", "verify", "wait",
]


def restore(options: Options, on_event: Optional[OnEvent] = None) -> Result:
    """Restores a backup. Raises the exception for its code unless that is 0."""
    handle, code = run(options, on_event, "run")
    return handle.raise_for(code)


def check(options: Options, on_event: Optional[OnEvent] = None) -> list[Finding]:
    """Checks what a restore needs; starts and changes nothing. Failed findings do not raise an exception."""
    handle, code = run(options, on_event, "check")
    if code not in (0, 1):
        handle.raise_for(code)
    return _findings(handle)


def operations(options: Options, newest: int = 20) -> list[Operation]:
    """The newest operations of the Barman server, at most this many; 0 for all. Each costs a request."""
    handle, code = run(options, None, "list_operations", newest)
    handle.raise_for(code)
    return _listed(handle)


def operation(options: Options, id: str) -> Operation:
    """One operation."""
    handle, code = run(options, None, "show_operation", id.encode())
    handle.raise_for(code)
    return _listed(handle)[0]


def wait(options: Options, id: str, on_event: Optional[OnEvent] = None) -> Operation:
    """Waits until an operation has ended. If it failed, that does not raise an exception."""
    handle, code = run(options, on_event, "wait_operation", id.encode())
    if code not in (0, 1):
        handle.raise_for(code)
    return _listed(handle)[0]


def backups(options: Options) -> list[Backup]:
    """The backups of the Barman server, newest first."""
    handle, code = run(options, None, "list_backups")
    handle.raise_for(code)
    return [
        Backup(
            handle.text("backup_id", i), handle.text("backup_status", i), handle.call("backup_is_complete", i) == 1,
            handle.text("backup_begin_time", i), handle.text("backup_end_time", i), handle.call("backup_bytes", i),
            handle.text("backup_version", i), handle.text("backup_mode", i),
        )
        for i in range(handle.call("backup_count"))
    ]


def verify(options: Options) -> Directory:
    """What is in the data directory; does not use the API. Only errors raise an exception, whatever it finds."""
    handle, code = run(options, None, "verify")
    if code not in (0, 1):
        handle.raise_for(code)
    restored = handle.call("verified_restored")
    return Directory(
        Verified(handle.call("verified_state")), handle.text("verified_detail"), handle.text("verified_backup_id"),
        handle.text("verified_server"), handle.text("verified_taken"),
        datetime.fromtimestamp(restored, timezone.utc) if restored else None, handle.text("verified_last_wal"),
    )


def end_restore(options: Options, on_event: Optional[OnEvent] = None) -> Result:
    """Ends a restore into the data directory that nobody follows any more."""
    handle, code = run(options, on_event, "end_restore")
    return handle.raise_for(code)


def config_switch(options: Options, role: str, on_event: Optional[OnEvent] = None) -> SwitchCode:
    """Switches Barman's configuration of the server if the role calls for it. Returns its code, does not raise it."""
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
