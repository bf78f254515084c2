"""The same for asyncio. A task that is cancelled cancels its command, and waits until that has ended. Each command has
its own thread and uses no executor."""
from __future__ import annotations

import asyncio
import threading
from typing import Any, Callable, Optional

from ._run import Command, OnEvent, judged
from ._types import Backup, Directory, Finding, Operation, Options, Result, Settled, Switch


async def restore(options: Options, on_event: Optional[OnEvent] = None) -> Result:
    """Restores a backup; `on_event` is called on the loop."""
    return Result(await _run(options, "recover", on_event))


async def check(options: Options) -> list[Finding]:
    """As `barman_recover.check`."""
    return [Finding(one) for one in (await _run(options, "check", None, (0, 1)))["findings"]]


async def operations(options: Options) -> list[Operation]:
    """As `barman_recover.operations`."""
    return [Operation(one) for one in (await _run(options, "operations"))["operations"]]


async def backups(options: Options) -> list[Backup]:
    """As `barman_recover.backups`."""
    return [Backup(one) for one in (await _run(options, "backups"))["backups"]]


async def verify(options: Options) -> Directory:
    """As `barman_recover.verify`."""
    return Directory(await _run(options, "verify", None, (0, 1)))


async def settle(options: Options) -> Settled:
    """As `barman_recover.settle`."""
    return Settled(await _run(options, "settle"))


async def config_switch(options: Options) -> Switch:
    """As `barman_recover.config_switch`."""
    return Switch(await _run(options, "config-switch"))


async def _run(
    options: Options, name: str, on_event: Optional[OnEvent] = None, answers: tuple[int, ...] = (0,)
) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    command = Command(options, name)
    done: asyncio.Future[dict[str, Any]] = loop.create_future()
    notify: Optional[OnEvent] = None
    if on_event is not None:
        notify = lambda event: loop.call_soon_threadsafe(on_event, event)  # noqa: E731

    def settle(set_it: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            set_it(value)

    def body() -> None:
        try:
            value = command.events(notify)
        except BaseException as error:  # noqa: BLE001 - handed to the task
            loop.call_soon_threadsafe(settle, done.set_exception, error)
        else:
            loop.call_soon_threadsafe(settle, done.set_result, value)

    threading.Thread(target=body, name="barman-recover-aio").start()
    try:
        return judged(await asyncio.shield(done), answers)
    except asyncio.CancelledError:
        command.cancel()
        await asyncio.wait([done])
        done.exception()  # seen
        raise
