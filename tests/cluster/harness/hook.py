"""Around the program: keeps a journal of its runs, and looks what is in the data directory when it says that all is.

hook.py JOURNAL PROGRAM [ARGUMENT...]

It looks before it ends itself, thus before Patroni knows and starts PostgreSQL.
"""

import json
import os
import signal
import sys
import time

import processes

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EDITED = {"postgresql.conf", "postgresql.auto.conf"}  # by Barman


def data_directory(arguments: list[str]) -> str:
    """The data directory among the arguments."""
    directory = ""
    for word, following in zip(arguments, [*arguments[1:], ""]):
        name, equals, value = word.partition("=")
        if name in ("--datadir", "--data-directory"):
            directory = value if equals else following
    return directory


def missing(directory: str) -> list[str]:
    """What keeps this directory from being a complete restore, empty if nothing does."""
    try:
        info = os.stat(f"{directory}/.barman-recover.info")
        last = os.stat(f"{directory}/postgresql.auto.conf")
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    faults = []
    # By modification times, which Barman sets: a chown of the whole volume rewrites the others.
    if last.st_mtime_ns <= info.st_mtime_ns:
        faults.append("postgresql.auto.conf is not later than .barman-recover.info")
    if not os.path.exists(f"{directory}/postgresql.auto.conf.origin"):
        faults.append("no postgresql.auto.conf.origin")
    # A PostgreSQL that has started since renamed it.
    if not any(os.path.exists(f"{directory}/backup_label{end}") for end in ("", ".old")):
        faults.append("no backup_label")
    if not processes.postmaster(directory):
        faults += missing_files(directory) + missing_wal(directory)
    for one in processes.Writers().look():
        if not one.deleted and processes.is_below(one.directory, directory):
            faults.append(f"process {one.pid} of restore {one.restore} writes into it")
    return faults


def missing_files(directory: str) -> list[str]:
    """The files that the backup's manifest names, and that are not there in their size."""
    manifests = [name for name in os.listdir(directory) if name.startswith("backup_manifest")]
    if not manifests:
        return ["no backup_manifest"]
    with open(f"{directory}/{manifests[0]}", encoding="utf-8") as file:
        files = {one["Path"]: one["Size"] for one in json.load(file)["Files"] if "Path" in one}
    faults = []
    for path in files.keys() - EDITED:
        try:
            size = os.stat(f"{directory}/{path}").st_size
        except OSError:
            size = -1
        if size != files[path]:
            faults.append(f"{path} has {size} bytes of {files[path]}")
    return faults if len(faults) < 4 else [*faults[:3], f"{len(faults) - 3} more files"]


def missing_wal(directory: str) -> list[str]:
    """The WAL that the backup needs, by Barman's own words, and that is not there."""
    with open(f"{directory}/.barman-recover.info", encoding="utf-8") as file:
        info = dict(line.rstrip("\n").partition("=")[::2] for line in file)
    begin, end = info["begin_wal"], info["end_wal"]
    numbers = range(segment(begin), segment(end) + 1)
    names = [f"{begin[:8]}{number >> 8:08X}{number & 0xFF:08X}" for number in numbers]
    return [f"no pg_wal/{name}" for name in names if not os.path.exists(f"{directory}/pg_wal/{name}")]


def segment(name: str) -> int:
    """The number of a WAL segment of 16 MB by its name."""
    return (int(name[8:16], 16) << 8) + int(name[16:24], 16)


def run(arguments: list[str]) -> tuple[int, int]:
    """Runs the program, handing on the signals that come. The pid and the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [*FORWARDED, signal.SIGCHLD])
    pid = os.posix_spawn(arguments[0], arguments, os.environ, setsigmask=[])
    record(event="begin", pid=pid, wrapper=os.getpid(), arguments=arguments[1:])
    while True:
        number = signal.sigwait([*FORWARDED, signal.SIGCHLD])
        if number != signal.SIGCHLD:
            record(event="signal", pid=pid, signal=signal.Signals(number).name)
            os.kill(pid, number)
            continue
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return pid, os.waitstatus_to_exitcode(status)


def record(**entry: object) -> None:
    """Adds an entry to the journal, in one write."""
    entry = {"at": time.time(), "directory": DIRECTORY, **entry}
    descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, (json.dumps(entry) + "\n").encode())
    os.close(descriptor)


if __name__ == "__main__":
    DIRECTORY = data_directory(sys.argv[2:])
    PID, CODE = run(sys.argv[2:])
    record(event="end", pid=PID, code=CODE, missing=missing(DIRECTORY) if CODE == 0 else [])
    sys.exit(CODE if CODE >= 0 else 128 - CODE)
