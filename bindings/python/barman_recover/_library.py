"""Loads the shared library with ctypes, and declares every function of barman_recover.h."""
from __future__ import annotations

import ctypes
import os
from ctypes import CFUNCTYPE, c_char_p, c_int32, c_uint32, c_uint64, c_void_p
from pathlib import Path

SONAME = "libbarman_recover.so.0.1"
VERSION = (0, 1)

_EVENT_FN = CFUNCTYPE(c_int32, c_int32, c_int32, c_char_p, c_void_p)

# result, then arguments; "h" is a handle, "s" a text, "i" int32_t, "u" uint32_t, "U" uint64_t, "v" nothing.
_TYPES = {"h": c_void_p, "s": c_char_p, "i": c_int32, "u": c_uint32, "U": c_uint64, "f": _EVENT_FN, "p": c_void_p, "v": None}
FUNCTIONS: dict[str, tuple[str, str]] = {
    "version_number": ("u", ""),
    "version": ("s", ""),
    "code_name": ("s", "i"),
    "switch_code_name": ("s", "i"),
    "state_name": ("s", "i"),
    "level_name": ("s", "i"),
    "event_name": ("s", "i"),
    "verdict_name": ("s", "i"),
    "busy_name": ("s", "i"),
    "verified_name": ("s", "i"),
    "new": ("h", ""),
    "again": ("h", "h"),
    "free": ("v", "h"),
    "set": ("i", "hss"),
    "option_count": ("u", ""),
    "option_name": ("s", "u"),
    "option_default": ("s", "u"),
    "option_help": ("s", "u"),
    "option_kind": ("i", "u"),
    "option_required": ("i", "u"),
    "run": ("i", "h"),
    "start": ("i", "h"),
    "check": ("i", "h"),
    "verify": ("i", "h"),
    "end_restore": ("i", "h"),
    "list_backups": ("i", "h"),
    "list_operations": ("i", "hu"),
    "show_operation": ("i", "hs"),
    "wait_operation": ("i", "hs"),
    "config_switch": ("i", "hs"),
    "cancel": ("v", "h"),
    "detach": ("v", "h"),
    "set_event_callback": ("i", "hfp"),
    "next_event": ("i", "hu"),
    "event_level": ("i", "h"),
    "event_message": ("s", "h"),
    "result": ("i", "h"),
    "error_message": ("s", "h"),
    "hint": ("s", "h"),
    "operation_id": ("s", "h"),
    "operation_state": ("i", "h"),
    "http_status": ("i", "h"),
    "busy_reason": ("i", "h"),
    "elapsed_ms": ("U", "h"),
    "bytes": ("U", "h"),
    "total_bytes": ("U", "h"),
    "finding_count": ("u", "h"),
    "finding_verdict": ("i", "hu"),
    "finding_what": ("s", "hu"),
    "finding_detail": ("s", "hu"),
    "finding_hint": ("s", "hu"),
    "listed_count": ("u", "h"),
    "listed_id": ("s", "hu"),
    "listed_kind": ("s", "hu"),
    "listed_state": ("i", "hu"),
    "backup_count": ("u", "h"),
    "backup_id": ("s", "hu"),
    "backup_status": ("s", "hu"),
    "backup_is_complete": ("i", "hu"),
    "backup_begin_time": ("s", "hu"),
    "backup_end_time": ("s", "hu"),
    "backup_bytes": ("U", "hu"),
    "backup_version": ("s", "hu"),
    "backup_mode": ("s", "hu"),
    "verified_state": ("i", "h"),
    "verified_detail": ("s", "h"),
    "verified_backup_id": ("s", "h"),
    "verified_server": ("s", "h"),
    "verified_taken": ("s", "h"),
    "verified_restored": ("U", "h"),
    "verified_last_wal": ("s", "h"),
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
