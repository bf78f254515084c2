"""Runs a command on a thread of the library, so that Ctrl-C and asyncio can end it."""
from __future__ import annotations

import json
from typing import Any, Callable, Optional

from . import _library
from ._types import Code, Event, Options, error

_lib = _library.load()
OnEvent = Callable[[Event], Any]
# The longest wait for an event: Python notices Ctrl-C only between two calls.
_WAIT_MS = 200


class Command:
    """A command that runs. With the last reference it is cancelled, and its end waited for."""

    def __init__(self, options: Options, name: str) -> None:
        texts = options.texts()
        self._handle = _lib.barman_recover_new()
        for option, value in texts.items():
            self._check(_lib.barman_recover_set(self._handle, option.encode(), value.encode()))
        self._check(_lib.barman_recover_start(self._handle, name.encode()))

    def __del__(self) -> None:
        if handle := getattr(self, "_handle", None):
            _lib.barman_recover_free(handle)

    def _check(self, code: int) -> None:
        if code:
            raise error(code, json.loads(_lib.barman_recover_get(self._handle, b"")))

    def events(self, on_event: Optional[OnEvent]) -> dict[str, Any]:
        """Passes the events to the host until the command has ended, and returns its result. An exception in the host,
        including Ctrl-C, cancels the command and is raised once that has ended."""
        raised: Optional[BaseException] = None
        while True:
            try:
                kind = _lib.barman_recover_next_event(self._handle, _WAIT_MS)
                if kind < 0:
                    break
                if kind > 0 and on_event is not None:
                    on_event(Event(json.loads(_lib.barman_recover_event(self._handle, b""))))
            except KeyboardInterrupt as interrupt:
                raised = interrupt
                self.cancel()
            except BaseException as error:
                raised, on_event = error, None
                self.cancel()
        if raised is not None:
            raise raised
        return json.loads(_lib.barman_recover_get(self._handle, b""))

    def cancel(self) -> None:
        _lib.barman_recover_cancel(self._handle)


def run(options: Options, name: str, on_event: Optional[OnEvent], answers: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """The result of a command. Raises the exception for its code unless that is among these."""
    return judged(Command(options, name).events(on_event), answers)


def judged(result: dict[str, Any], answers: tuple[int, ...] = (Code.RECOVERY_DONE,)) -> dict[str, Any]:
    if result["code"] not in answers:
        raise error(result["code"], result)
    return result
