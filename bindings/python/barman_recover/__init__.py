"""Restores a Barman backup onto a PostgreSQL node through pg-backup-api.

    restore(Options(api_url="http://barman:7480", barman_server="main", ssh_command="ssh postgres@node1",
                    data_directory="/var/lib/postgresql/17/main"), on_event=print)

Every command blocks; other Python threads go on. Ctrl-C, or any exception in `on_event`, cancels it: a restore is
then ended on the Barman host too, which takes up to eight seconds. `barman_recover.aio` has the same for asyncio.
Different calls are independent of each other, in any number of threads.
"""
from __future__ import annotations

from typing import Optional

from ._run import Command, OnEvent
from ._types import (
    ApiNotOk, Backup, Busy, Cancelled, Directory, Error, Event, Finding, HttpError, InvalidArgument, Operation, Options,
    Panic, RecoveryFailed, Result, Settled, Switch, TimedOut,
)

__all__ = [
    "ApiNotOk", "Backup", "Busy", "Cancelled", "Directory", "Error", "Event", "Finding", "HttpError",
    "InvalidArgument", "Operation", "Options", "Panic", "RecoveryFailed", "Result", "Settled", "Switch", "TimedOut",
    "backups", "check", "config_switch", "operations", "restore", "settle", "verify",
]


def restore(options: Options, on_event: Optional[OnEvent] = None) -> Result:
    """Restores a backup. Raises the exception for its code unless that is 0."""
    return Result(**Command(options, "recover").run(on_event))


def check(options: Options, on_event: Optional[OnEvent] = None) -> list[Finding]:
    """Checks what a restore needs; starts and changes nothing. Failed findings do not raise an exception."""
    return [Finding(**one) for one in Command(options, "check", (0, 1)).run(on_event)["findings"]]


def operations(options: Options) -> list[Operation]:
    """The newest operations of the Barman server, `options.limit` at most. Each costs a request."""
    return [Operation(**one) for one in Command(options, "operations").run(None)["operations"]]


def backups(options: Options) -> list[Backup]:
    """The backups of the Barman server, newest first."""
    return [Backup(**one) for one in Command(options, "backups").run(None)["backups"]]


def verify(options: Options) -> Directory:
    """What is in the data directory; does not use the API. Only errors raise an exception, whatever it finds."""
    return Directory(**Command(options, "verify", (0, 1)).run(None))


def settle(options: Options, on_event: Optional[OnEvent] = None) -> Settled:
    """Waits while a run restores into the data directory, and moves the remains of a restore that failed or died aside.
    Without an exception, PostgreSQL may be started as far as restores are concerned. Does not use the API."""
    return Settled(**Command(options, "settle").run(on_event))


def config_switch(options: Options, on_event: Optional[OnEvent] = None) -> Switch:
    """Switches Barman's configuration of the server if `options.role` calls for it."""
    return Switch(**Command(options, "config-switch").run(on_event))
