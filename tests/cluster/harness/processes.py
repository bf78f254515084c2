"""What /proc says of the processes that write into a data directory."""

import os
import time
from dataclasses import dataclass

SETTLED = 5.0  # seconds after which a process is not expected to become another program
DELETED = " (deleted)"


@dataclass(frozen=True)
class Writer:
    """A process that writes into a directory: an rsync that receives for a restore, or a pg_basebackup."""

    pid: int
    restore: str  # the process that the restore began with, or "basebackup"
    directory: str
    inode: int
    deleted: bool  # its directory has been removed: it writes nowhere


def read(pid: int, name: str) -> bytes:
    """A file of /proc/PID, empty where the process has gone."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    """The process is there and no zombie."""
    return read(pid, "stat").rpartition(b")")[2].split()[:1] not in ([], [b"Z"], [b"X"])


def parent(pid: int) -> int:
    """The parent's pid, 0 where there is none."""
    fields = read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def started(pid: int) -> str:
    """When a process began, in ticks since boot, which tells it from a later one with its pid."""
    fields = read(pid, "stat").rpartition(b")")[2].split()
    return fields[19].decode() if fields else ""


def session(leader: int) -> list[int]:
    """The processes of a session."""
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = read(int(name), "stat").rpartition(b")")[2].split()
            if len(fields) > 3 and int(fields[3]) == leader:
                members.append(int(name))
    return members


def children(pid: int) -> list[int]:
    """The children of a process that has one thread."""
    return [int(child) for child in read(pid, f"task/{pid}/children").split()]


def environment(pid: int, name: str) -> str:
    """A variable of the environment that a process was started with."""
    return variable(read(pid, "environ"), name)


def variable(words: bytes, name: str) -> str:
    """A variable of an environment, empty where it is not set."""
    for word in words.split(b"\0"):
        if word.startswith(name.encode() + b"="):
            return word.partition(b"=")[2].decode()
    return ""


class Writers:
    """Finds the writers. Reads little of processes that it knows already: it looks twenty times a second."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._kinds: dict[int, str] = {}

    def look(self) -> list[Writer]:
        """All writers there are now."""
        now = time.monotonic()
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self._seen = {pid: self._seen.get(pid, now) for pid in pids}
        self._kinds = {pid: kind for pid, kind in self._kinds.items() if pid in pids}
        for pid, since in self._seen.items():
            if now - since < SETTLED:
                self._kinds[pid] = kind_of(pid)
        found = (writer(pid, kind) for pid, kind in self._kinds.items() if kind)
        return [one for one in found if one]


def kind_of(pid: int) -> str:
    """What kind of writer a process is, empty for none."""
    name = read(pid, "comm").strip()
    if name == b"rsync" and b"--server" in read(pid, "cmdline").split(b"\0"):
        return "receiver"
    return "basebackup" if name == b"pg_basebackup" else ""


def writer(pid: int, kind: str) -> Writer | None:
    """The writer with this pid, if it is still alive."""
    if not is_alive(pid):
        return None
    if kind == "basebackup":
        for word in read(pid, "cmdline").split(b"\0"):
            if word.startswith(b"--pgdata="):
                directory = word.partition(b"=")[2].decode()
                return Writer(pid, kind, directory, inode(directory), False)
        return None
    try:
        directory = os.readlink(f"/proc/{pid}/cwd")
        number = os.stat(f"/proc/{pid}/cwd").st_ino
    except OSError:
        return None
    deleted = directory.endswith(DELETED)
    words = read(pid, "environ")
    if not words:
        return None   # its memory is gone: it is ending, and writes no more
    restore = variable(words, "RESTORE_PID") or "unknown"
    return Writer(pid, restore, directory.removesuffix(DELETED), number, deleted)


def inode(path: str) -> int:
    """The inode of a path, 0 where there is nothing."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def is_below(path: str, directory: str) -> bool:
    """The path is the directory or lies in it."""
    return path == directory or path.startswith(directory + "/")


def postmaster(directory: str) -> int:
    """The pid of the PostgreSQL that runs in a directory, 0 for none."""
    try:
        with open(f"{directory}/postmaster.pid", encoding="ascii") as file:
            pid = int(file.readline())
        if read(pid, "comm").strip() == b"postgres" and os.readlink(f"/proc/{pid}/cwd") == directory:
            return pid if is_alive(pid) else 0
    except (OSError, ValueError):
        pass
    return 0
