"""Loads the shared library of barman_recover.h with ctypes."""
from __future__ import annotations

import ctypes
import os
from pathlib import Path

VERSION = (0, 1)
SONAME = "libbarman_recover.so.{}.{}".format(*VERSION)

def _path() -> str:
    """BARMAN_RECOVER_LIBRARY, else the library next to this file, else the one that the system finds."""
    bundled = Path(__file__).with_name(SONAME)
    return os.environ.get("BARMAN_RECOVER_LIBRARY") or (str(bundled) if bundled.exists() else SONAME)


def load() -> ctypes.CDLL:
    """Loads the library. One with a different SONAME is refused. A handle is passed as a c_void_p, a text as bytes."""
    library = ctypes.CDLL(_path())
    library.barman_recover_new.restype = ctypes.c_void_p
    for name in ("version", "options", "event", "get"):
        getattr(library, "barman_recover_" + name).restype = ctypes.c_char_p
    number = library.barman_recover_version_number()
    if (number >> 16, number >> 8 & 0xFF) != VERSION:
        raise ImportError(f"{_path()} is version {library.barman_recover_version().decode()}; this package needs {SONAME}")
    return library
