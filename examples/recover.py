"""Restores the latest backup of a Barman server, with progress; Ctrl-C ends it.

python3 recover.py http://barman:7480 main 'ssh postgres@node1' /var/lib/postgresql/17/main
"""
import ctypes
import logging
import sys
from concurrent.futures import ThreadPoolExecutor

_lib = ctypes.CDLL("libbarman_recover.so.0.1")
_lib.barman_recover_new.restype = ctypes.c_void_p
for _name in ("code_name", "state_name", "error_message", "hint"):
    getattr(_lib, "barman_recover_" + _name).restype = ctypes.c_char_p
_OnEvent = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32, ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p)
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


class Error(Exception):
    """Any end but a good one; may_be_running: Barman may still be writing into the data directory."""

    def __init__(self, code, handle):
        self.code, self.name = code, _lib.barman_recover_code_name(code).decode()
        self.hint = _lib.barman_recover_hint(handle).decode()
        self.may_be_running = _lib.barman_recover_operation_state(handle) in (1, 2)
        super().__init__(f"{self.name}: {_lib.barman_recover_error_message(handle).decode()}")


class Recovery:
    """One recovery. Options as on the command line: Recovery(api_url="http://barman:7480", loop_wait=5, ...)"""

    def __init__(self, logger=logging.getLogger("barman_recover"), **options):
        self._logger, self._raised = logger, None
        self._handle = ctypes.c_void_p(_lib.barman_recover_new())
        for name, value in options.items():
            setter = getattr(_lib, "barman_recover_set_" + name)
            self._check(setter(self._handle, value.encode() if isinstance(value, str) else value))

    def __del__(self):
        _lib.barman_recover_free(self._handle)

    def run(self):
        """Blocks; other threads go on, and may cancel it. For asyncio: await asyncio.to_thread(recovery.run)"""
        callback = _OnEvent(self._on_event)  # referred to until the run has ended
        self._check(_lib.barman_recover_set_event_callback(self._handle, callback, None))
        self._check(_lib.barman_recover_run(self._handle))

    def cancel(self):
        _lib.barman_recover_cancel(self._handle)

    def _on_event(self, kind, level, message, _):
        try:
            if kind == 1:  # BARMAN_RECOVER_EVENT_LOG
                self._logger.log(_LEVELS[level], "%s", message.decode())
            elif kind == 2:  # BARMAN_RECOVER_EVENT_STATE
                self._logger.info("operation: %s %s", _lib.barman_recover_state_name(level).decode(), message.decode())
        except BaseException as error:  # ctypes would only print it
            self._raised = error
        return self._raised is not None

    def _check(self, code):
        if self._raised or code:
            raise self._raised or Error(code, self._handle)


def recover(**options):
    """Runs a recovery so that Ctrl-C cancels it: on the main thread, signals are noticed between two lines of Python."""
    recovery = Recovery(**options)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(recovery.run)
        try:
            run.result()
        except KeyboardInterrupt:
            recovery.cancel()
            raise KeyboardInterrupt from run.exception()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recover(**dict(zip(("api_url", "barman_server", "ssh_command", "data_directory"), sys.argv[1:])))
