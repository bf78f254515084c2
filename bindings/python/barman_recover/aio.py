"""The same for asyncio. A task that is cancelled cancels its command, and waits until that has ended. Each command has
its own thread and uses no executor."""
from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any, Optional

from ._run import Command, OnEvent
from ._types import Backup, Directory, Event, Finding, Operation, Options, Result, Settled, Switch


async def restore(options: Options, on_event: Optional[OnEvent] = None) -> Result:
    """Restores a backup; `on_event` is called on the loop."""
    return Result(**await _run(Command(options, "recover"), on_event))


async def check(options: Options) -> list[Finding]:
    """As `barman_recover.check`."""
    return [Finding(**one) for one in (await _run(Command(options, "check", (0, 1))))["findings"]]


async def operations(options: Options) -> list[Operation]:
    """As `barman_recover.operations`."""
    return [Operation(**one) for one in (await _run(Command(options, "operations")))["operations"]]


async def backups(options: Options) -> list[Backup]:
    """As `barman_recover.backups`."""
    return [Backup(**one) for one in (await _run(Command(options, "backups")))["backups"]]


async def verify(options: Options) -> Directory:
    """As `barman_recover.verify`."""
    return Directory(**await _run(Command(options, "verify", (0, 1))))


async def settle(options: Options) -> Settled:
    """As `barman_recover.settle`."""
    return Settled(**await _run(Command(options, "settle")))


async def config_switch(options: Options) -> Switch:
    """As `barman_recover.config_switch`."""
    return Switch(**await _run(Command(options, "config-switch")))


async def _run(command: Command, on_event: Optional[OnEvent] = None) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    ended: Future[dict[str, Any]] = Future()

    def notify(event: Event) -> None:
        if on_event is not None:
            loop.call_soon_threadsafe(on_event, event)

    def body() -> None:
        try:
            ended.set_result(command.run(notify))
        except BaseException as error:  # noqa: BLE001 - handed to the task
            ended.set_exception(error)

    threading.Thread(target=body, name="barman-recover-aio").start()
    waiting = asyncio.wrap_future(ended)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        command.cancel()
        await asyncio.wait([waiting])
        waiting.exception()  # seen
        raise
