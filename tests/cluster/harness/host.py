"""A host of the library: runs a recovery, and cancels it when it gets SIGUSR1. It ends with the code of the recovery.

host.py LIBRARY --NAME=VALUE...
"""

import ctypes
import signal
import sys


def main() -> int:
    library = ctypes.CDLL(sys.argv[1])
    library.barman_recover_new.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(library.barman_recover_new())
    for word in sys.argv[2:]:
        name, _, value = word.removeprefix("--").partition("=")
        if library.barman_recover_set(handle, name.encode(), value.encode()) != 0:
            sys.exit(f"--{name} was refused")
    signal.signal(signal.SIGUSR1, lambda *_: library.barman_recover_cancel(handle))
    library.barman_recover_start(handle, b"recover")
    while library.barman_recover_next_event(handle, ctypes.c_uint32(50)) >= 0:
        pass
    code: int = library.barman_recover_code(handle)
    library.barman_recover_free(handle)
    return code & 0xFF


if __name__ == "__main__":
    sys.exit(main())
