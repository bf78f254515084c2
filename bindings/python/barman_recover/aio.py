"""The same for asyncio. A task that is cancelled cancels its command, and waits until that has ended. Each command has
its own thread and uses no executor."""
from __future__ import annotations

import asyncio
import threading
from typing import Any, Callable, Optional, TypeVar

from . import _run, check as _check, operation as _operation, operations as _operations, wait as _wait
from ._run import Command, OnEvent
from ._types import Finding, Operation, Options, Result

_T = TypeVar("_T")


async def restore(options: Options, on_event: Optional[OnEvent] = None) -> Result:
    """Restores a backup; `on_event` is called on the loop."""
    loop = asyncio.get_running_loop()
    command = Command(options, "run")
    notify: Optional[OnEvent] = None
    if on_event is not None:
        notify = lambda event: loop.call_soon_threadsafe(on_event, event)  # noqa: E731
    code = await _in_thread(lambda: command.events(notify), command.cancel)
    return command.handle.raise_for(code)


async def check(options: Options) -> list[Finding]:
    """As `barman_recover.check`."""
    return await _in_thread(lambda: _check(options), None)


async def operations(options: Options, newest: int = 20) -> list[Operation]:
    """As `barman_recover.operations`."""
    return await _in_thread(lambda: _operations(options, newest), None)


async def operation(options: Options, id: str) -> Operation:
    """As `barman_recover.operation`."""
    return await _in_thread(lambda: _operation(options, id), None)


async def wait(options: Options, id: str) -> Operation:
    """As `barman_recover.wait`; a cancelled task ends the wait."""
    return await _in_thread(lambda: _wait(options, id), None)


async def _in_thread(work: Callable[[], _T], cancel: Optional[Callable[[], Any]]) -> _T:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(set_it: Callable[..., None], value: Any) -> None:
        if not done.done():
            set_it(value)

    def body() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - handed to the task
            loop.call_soon_threadsafe(settle, done.set_exception, error)
        else:
            loop.call_soon_threadsafe(settle, done.set_result, value)

    threading.Thread(target=body, name="barman-recover-aio").start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        if cancel is not None:
            cancel()
            await asyncio.wait([done])
            done.exception()  # seen
        raise
