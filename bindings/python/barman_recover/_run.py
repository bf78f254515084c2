"""Runs a command on a handle: in a thread of its own, so that Ctrl-C and asyncio can end it."""
from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any, Callable, Optional

from . import _library
from ._types import BusyReason, Event, EventKind, InvalidArgument, Level, Options, Result, State, error

_lib = _library.load()
OnEvent = Callable[[Event], Any]
# The longest wait for an event: Python notices Ctrl-C only between two calls.
_WAIT_MS = 200


class Handle:
    """One command. Freed with the last reference; `end` says that no call is in progress."""

    def __init__(self, options: Options) -> None:
        self._pointer = _lib.barman_recover_new()
        for name, value in options.texts().items():
            if code := self.call("set", name.encode(), value.encode()):
                raise error(code, self.text("error_message"), "", None)

    def __del__(self) -> None:
        _lib.barman_recover_free(self._pointer)

    def call(self, function: str, *arguments: Any) -> Any:
        return getattr(_lib, "barman_recover_" + function)(self._pointer, *arguments)

    def text(self, function: str, *arguments: Any) -> str:
        return self.call(function, *arguments).decode()

    def next_event(self) -> Optional[Event]:
        """The next event; a tick if none came in time; None when the command has ended."""
        kind = self.call("next_event", _WAIT_MS)
        if kind < 0:
            return None
        if kind == 0:
            return Event(EventKind.TICK, 0, "")
        level = self.call("event_level")
        number = {EventKind.LOG: Level, EventKind.STATE: State}.get(kind, int)(level)
        return Event(EventKind(kind), number, self.text("event_message"))

    def result(self, code: int) -> Result:
        return Result(
            code,
            self.text("error_message"),
            self.text("hint"),
            self.text("operation_id"),
            State(self.call("operation_state")),
            self.call("http_status"),
            timedelta(milliseconds=self.call("elapsed_ms")),
            self.call("bytes"),
            self.call("total_bytes"),
            BusyReason(self.call("busy_reason")),
        )

    def raise_for(self, code: int) -> Result:
        """Returns the result for code 0; raises the exception for any other."""
        result = self.result(code)
        if code:
            raise error(code, result.message, result.hint, result)
        return result


class Command:
    """A running command, in its own thread."""

    def __init__(self, options: Options, function: str, *arguments: Any) -> None:
        for argument in arguments:
            if isinstance(argument, bytes) and b"\0" in argument:
                raise InvalidArgument(-3, "must be a text without a NUL character")
        self.handle = Handle(options)
        self.code: Optional[int] = None
        self._thread = threading.Thread(target=self._work, args=(function, arguments), name="barman-recover")
        self._thread.start()

    def _work(self, function: str, arguments: tuple[Any, ...]) -> None:
        self.code = self.handle.call(function, *arguments)

    def events(self, on_event: Optional[OnEvent]) -> int:
        """Passes the events to the host until the command has ended. An exception in the host, including Ctrl-C,
        cancels the command and is raised once that has ended."""
        raised: Optional[BaseException] = None
        while True:
            try:
                if (event := self.handle.next_event()) is None:
                    break
                if on_event is not None:
                    on_event(event)
            except KeyboardInterrupt as interrupt:
                raised = interrupt
                self.cancel()
            except BaseException as error:
                raised, on_event = error, None
                self.cancel()
        self._thread.join()
        if raised is not None:
            raise raised
        assert self.code is not None
        return self.code

    def cancel(self) -> None:
        self.handle.call("cancel")


def run(options: Options, on_event: Optional[OnEvent], function: str, *arguments: Any) -> tuple[Handle, int]:
    command = Command(options, function, *arguments)
    return command.handle, command.events(on_event)
