"""Loads the shared library with ctypes, and declares the functions of barman_recover.h."""
from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_int32, c_uint32, c_void_p
from pathlib import Path

SONAME = "libbarman_recover.so.0.1"
VERSION = (0, 1)

# result, then arguments; "h" is a handle, "s" a text, "i" int32_t, "u" uint32_t, "v" nothing.
_TYPES = {"h": c_void_p, "s": c_char_p, "i": c_int32, "u": c_uint32, "v": None}
FUNCTIONS: dict[str, tuple[str, str]] = {
    "version_number": ("u", ""),
    "version": ("s", ""),
    "options": ("s", ""),
    "code_name": ("s", "i"),
    "new": ("h", ""),
    "free": ("v", "h"),
    "set": ("i", "hss"),
    "run": ("i", "h"),
    "call": ("i", "hs"),
    "start": ("i", "hs"),
    "next_event": ("i", "hu"),
    "event": ("s", "hs"),
    "cancel": ("v", "h"),
    "code": ("i", "h"),
    "get": ("s", "hs"),
}


def _path() -> str:
    """BARMAN_RECOVER_LIBRARY, else the library next to this file, else the one that the system finds."""
    bundled = Path(__file__).with_name(SONAME)
    return os.environ.get("BARMAN_RECOVER_LIBRARY") or (str(bundled) if bundled.exists() else SONAME)


def load() -> ctypes.CDLL:
    """Loads the library and declares its functions. A library with a different SONAME is refused."""
    library = ctypes.CDLL(_path())
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, "barman_recover_" + name)
        function.restype = _TYPES[result]
        function.argtypes = [_TYPES[argument] for argument in arguments]
    number = library.barman_recover_version_number()
    if (number >> 16, number >> 8 & 0xFF) != VERSION:
        version = library.barman_recover_version().decode()
        raise ImportError(f"{_path()} is version {version}; this package needs {VERSION[0]}.{VERSION[1]}")
    return library
