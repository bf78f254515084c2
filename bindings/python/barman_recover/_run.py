"""Runs a command on a thread of the library, so that Ctrl-C and asyncio can end it."""
from __future__ import annotations

import ctypes
import json
from typing import Any, Callable, Optional

from . import _library
from ._types import Event, Options, error

_lib = _library.load()
OnEvent = Callable[[Event], Any]
# The longest wait for an event: Python notices Ctrl-C only between two calls.
_WAIT_MS = 200


class Command:
    """A command that runs; it ends well with one of the codes `answers`. With the last reference it is cancelled, and its
    end waited for."""

    def __init__(self, options: Options, name: str, answers: tuple[int, ...] = (0,)) -> None:
        texts = options.texts()
        self._answers = answers
        self._handle = ctypes.c_void_p(_lib.barman_recover_new())
        for option, value in texts.items():
            if _lib.barman_recover_set(self._handle, option.encode(), value.encode()):
                raise error(self._result())
        if _lib.barman_recover_start(self._handle, name.encode()):
            raise error(self._result())

    def __del__(self) -> None:
        if handle := getattr(self, "_handle", None):
            _lib.barman_recover_free(handle)

    def _result(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(_lib.barman_recover_get(self._handle, b""))
        return result

    def run(self, on_event: Optional[OnEvent]) -> dict[str, Any]:
        """Passes the events to the host until the command has ended, and returns its result or raises the exception for
        its code. An exception in the host, including Ctrl-C, cancels the command and is raised once that has ended."""
        raised: Optional[BaseException] = None
        while True:
            try:
                kind = _lib.barman_recover_next_event(self._handle, _WAIT_MS)
                if kind < 0:
                    break
                if kind > 0 and on_event is not None:
                    on_event(Event(**json.loads(_lib.barman_recover_event(self._handle, b""))))
            except KeyboardInterrupt as interrupt:
                raised = interrupt
                self.cancel()
            except BaseException as exception:
                raised, on_event = exception, None
                self.cancel()
        result = self._result()
        if raised is not None:
            raise raised
        if result["code"] not in self._answers:
            raise error(result)
        return result

    def cancel(self) -> None:
        _lib.barman_recover_cancel(self._handle)
