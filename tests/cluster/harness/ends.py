"""Measures what is left of a restore on the node when its run has ended: tests/cluster/ends has set the stack up."""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass

import processes
from observer import Tail
from stack import Stack
from timeline import Timeline

# Where Barman is, and how it is held there.
PLACES = {"before": "wait", "base": "3000", "gap": "wait", "wal": "2000", "last": "10"}
SIGNALS = {"sigkill": signal.SIGKILL, "sigterm": signal.SIGTERM, "sigint": signal.SIGINT}
LIMITS = {"deadline": "--deadline={deadline}", "stall": "--stall-timeout=10", "outage": "--max-outage=3"}
# Seconds after which Barman has long been at a place, and is still there; on a slow machine half as long again, and again.
DEADLINES = {"before": 6, "base": 6, "gap": 12, "wal": 12, "last": 18}
WAYS = [*SIGNALS, *LIMITS, "cancel"]
# With one that has files coming, or a command that runs, a run goes on without the API.
IMPOSSIBLE = {("outage", "base"), ("outage", "wal"), ("outage", "last")}
TIMED_OUT = 251  # the exit status after the deadline
DWELL = 1.0  # seconds that Barman is at a place before something happens
PATIENCE = 60.0  # seconds for a run to end


@dataclass
class Seen:
    """A process of a restore."""

    command: str
    first: float
    last: float

    @property
    def is_guard(self) -> bool:
        """It is the lease's own script, what that asks, or the login shell that calls it; alone it has been refused."""
        return "/lease-" in self.command or self.command.startswith("flock ")


class Processes(threading.Thread):
    """Looks all the time which processes on the node belong to a restore.

    They have the variable that the ssh command hands on, and are below this stack's sshd, whose port SSH_CONNECTION ends with;
    those of Barman's host have none.
    """

    def __init__(self, port: str) -> None:
        super().__init__(daemon=True)
        self._port = port
        self.seen: dict[int, Seen] = {}
        self._alive: set[int] = set()
        self._born: dict[int, float] = {}
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.wait(0.003):
            self._look()

    def end(self) -> None:
        """Looks no more."""
        self._end.set()
        self.join()

    def left(self, ended: float) -> tuple[float, list[str]]:
        """How long after that the last process was there that had begun before, and the commands that began later."""
        before = [one for one in self.seen.values() if one.first <= ended]
        later = [one.command for one in self.seen.values() if one.first > ended and not one.is_guard]
        return max((one.last - ended for one in before), default=0.0), later

    def _look(self) -> None:
        now = time.time()
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self._born = {pid: self._born.get(pid, now) for pid in pids}
        for pid, born in self._born.items():
            # A young process may still become what it will be.
            if now - born < 1 and is_of_restore(pid, self._port):
                command = processes.read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
                self.seen.setdefault(pid, Seen(command, born, now)).command = command
                self._alive.add(pid)
        self._alive = {pid for pid in self._alive if processes.is_alive(pid)}
        for pid in self._alive:
            self.seen[pid].last = time.time()


def is_of_restore(pid: int, port: str) -> bool:
    """Whether a process of the node was started for a restore, through the sshd at this port."""
    connection = processes.environment(pid, "SSH_CONNECTION")
    return connection.endswith(f" {port}") and processes.environment(pid, "RESTORE_PID") != ""


@dataclass
class Result:
    """What one run has shown."""

    code: int | None  # None: it has not ended
    gone: float  # seconds after the end of the run until the last process was gone
    writes: list[tuple[float, str]]  # what was written after that, and when
    later: list[str]  # commands that began after that

    @property
    def short(self) -> str:
        """As a cell of the table."""
        return "goes on" if self.code is None else f"{self.gone:.2f} s, {len(self.writes)}"

    def __str__(self) -> str:
        if self.code is None:
            return "goes on"
        later = f", {len(self.later)} commands later" if self.later else ""
        writes = f"{len(self.writes)} writes, the last {max(self.writes)[0]:.2f} s" if self.writes else "0 writes"
        return f"{self.gone:.2f} s, {writes}{later} (exit {self.code})"


class Ends:
    """Runs the program, and ends it."""

    def __init__(self, stack: Stack, arguments: argparse.Namespace) -> None:
        self.stack = stack
        self.arguments = arguments
        self.data = f"{stack.path}/data/node"
        self.port = arguments.ssh.partition(" -p ")[2].partition(" ")[0]  # of the node's sshd
        self.places = Tail(f"{stack.path}/log/places")
        self.journal = Tail(stack.journal)
        self.restores = 0  # that have not ended

    def measure(self, way: str, place: str, deadline: int = 0) -> Result:
        """One run that ends in this way while Barman is at this place."""
        deadline = deadline or DEADLINES[place]
        self._clear(f"{place} {PLACES[place]}\n")
        watch = Processes(self.port)
        watch.start()
        run = self._start(way, LIMITS.get(way, "").format(deadline=deadline))
        pid = self._wait_for(place, run, TIMED_OUT if way == "deadline" else None)
        if pid is None:
            watch.end()
            self._until_barman_has_ended()
            return self.measure(way, place, deadline * 3 // 2)
        code, ended = self._end(way, place, run, pid)
        self.stack.bandwidth(0)
        self.stack.supervise()
        if code is None:
            run.kill()
            run.wait()
        self._until_barman_has_ended()
        watch.end()
        gone, later = watch.left(ended)
        return Result(code, max(0.0, gone), written_since(self.data, ended), later)

    def _clear(self, place: str) -> None:
        self._until_api_answers()
        subprocess.run(["rm", "-rf", self.data, f"{self.data}.barman-recover"], check=True)
        with open(f"{self.stack.path}/run/place", "w", encoding="ascii") as file:
            file.write(place)
        self.places.lines()
        self.journal.lines()

    def _until_api_answers(self) -> None:
        until = time.time() + 30
        while True:
            self.stack.supervise()
            try:
                with urllib.request.urlopen(f"{self.arguments.api}/status", timeout=10):
                    return
            except OSError:
                if time.time() > until:
                    raise
            time.sleep(0.1)

    def _start(self, way: str, *limits: str) -> subprocess.Popen[bytes]:
        options = ["--barman-server=pg", f"--ssh-command={self.arguments.ssh}", f"--datadir={self.data}", *filter(None, limits)]
        if way == "cancel":
            host = ["python3", "-B", f"{self.stack.path}/run/host.py", self.arguments.library]
            return self.stack.spawn([*host, f"--api-url={self.arguments.api}", *options], "run.log")
        return self.stack.spawn([self.arguments.program, "--api-url", self.arguments.api, "recover", *options], "run.log")

    def _wait_for(self, place: str, run: subprocess.Popen[bytes], may_end: int | None = None) -> int | None:
        """Waits until Barman has been at a place for a moment, and gives the pid of what it does there. None if the run has
        ended before, with the exit status with which it may."""
        until = time.time() + PATIENCE
        while time.time() < until:
            for line in self.places.lines():
                name, pid, *_ = line.split()
                if name == place:
                    time.sleep(DWELL)
                    return None if may_end is not None and run.poll() == may_end else int(pid)
            if run.poll() is not None:
                if run.poll() == may_end:
                    return None
                break
            time.sleep(0.01)
        raise RuntimeError(f"Barman does not come to '{place}'; the run: {run.poll()}")

    def _end(self, way: str, place: str, run: subprocess.Popen[bytes], pid: int) -> tuple[int | None, float]:
        """Has the run end. Its exit code, and when that was."""
        if way in SIGNALS:
            run.send_signal(SIGNALS[way])
        elif way == "cancel":
            run.send_signal(signal.SIGUSR1)
        elif way == "outage":
            self.stack.api.stop(signal.SIGTERM, PATIENCE)
        elif way == "stall" and place not in ("before", "gap"):
            os.kill(pid, signal.SIGSTOP)
        patience = 10.0 if (way, place) in IMPOSSIBLE else PATIENCE
        try:
            code = run.wait(patience)
        except subprocess.TimeoutExpired:
            code = None
        ended = time.time()
        self.stack.api.start_at = min(self.stack.api.start_at or ended, ended) if not self.stack.api.runs() else None
        if way == "stall" and place not in ("before", "gap"):
            os.kill(pid, signal.SIGCONT)
        return code, ended

    def _until_barman_has_ended(self) -> None:
        """Waits for the end of all that Barman does, its retry included."""
        until = time.time() + PATIENCE
        while time.time() < until:
            for line in self.journal.lines():
                self.restores += 1 if line.startswith("begin") else -1
            if self.restores == 0:
                time.sleep(0.5)
                return
            self.stack.supervise()
            time.sleep(0.05)
        raise RuntimeError("a restore does not end on Barman's host")

    def notice(self, fails: bool) -> str:
        """How late the program knows of the end of an operation of about a minute, and how often it asked."""
        self._clear("base 1200\n")
        requests = Tail(f"{self.stack.path}/log/api-requests.log")
        requests.lines()
        started = time.time()
        run = self._start("done")
        pid = self._wait_for("base", run)
        if fails:
            time.sleep(30)
            # Not SIGTERM: rsync lives on for 0.4 s after it, while Barman knows already.
            os.kill(pid, signal.SIGKILL)
            os.kill(self._wait_for("base", run), signal.SIGKILL)  # Barman's retry
        code = run.wait(300)
        ended = time.time()
        self._until_barman_has_ended()
        output = f"{self.stack.barman}/output"
        noted = max(os.stat(f"{output}/{name}").st_mtime for name in os.listdir(output))
        count = len(requests.lines())
        return f"exit {code}, {ended - noted:.2f} s after the end of the operation; {count} requests in {ended - started:.0f} s"


def written_since(directory: str, at: float) -> list[tuple[float, str]]:
    """What has changed in a directory since a moment. By the kernel's change time, which no program sets."""
    found = []
    for path, _, files in os.walk(directory):
        for name in [path, *(f"{path}/{file}" for file in files)]:
            late = os.lstat(name).st_ctime - at
            if late > 0:
                found.append((late, os.path.relpath(name, directory)))
    return found


def is_wrong(result: Result, way: str, goes_on: bool) -> bool:
    """Whether this breaks the law. A run that SIGKILL ends has no time to wait for the end of its commands."""
    if goes_on or result.code is None:
        return goes_on != (result.code is None)
    # Where the program ends by itself, it has overheard what was to end it.
    if result.code == 0 or (way in SIGNALS and result.code != -SIGNALS[way]):
        return True
    grace = 0.2 if way == "sigkill" else 0.05
    return bool(result.later) or result.gone > grace or any(late > (grace if way == "sigkill" else 0) for late, _ in result.writes)


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("stack", "program", "api", "ssh", "library"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ways", default=",".join([*WAYS, "notice"]))
    parser.add_argument("--places", default=",".join(PLACES))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell starts what runs in the background with SIGINT ignored, and the program would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    stack = Stack(arguments.stack, Timeline())
    stack.supervise()
    ends = Ends(stack, arguments)
    ways, places = arguments.ways.split(","), arguments.places.split(",")
    bad = 0
    table: dict[tuple[str, str], Result] = {}
    try:
        for way in ways:
            if way == "notice":
                print(f"DONE: {ends.notice(False)}\nFAILED: {ends.notice(True)}", flush=True)
                continue
            for place in places:
                result = table[way, place] = ends.measure(way, place)
                wrong = is_wrong(result, way, (way, place) in IMPOSSIBLE)
                bad += wrong
                print(f"{way:<9} {place:<7} {result}{'  VIOLATION' if wrong else ''}", flush=True)
                if wrong:
                    print("".join(f"    {late:.3f} s {name}\n" for late, name in result.writes[:9]), *result.later[:5], sep="\n")
    finally:
        stack.end()
    print("\nSeconds until the last process of the restore was gone, and what was written after the end of the run:\n")
    print(f"| the run ends by | {' | '.join(places)} |\n|{' --- |' * (len(places) + 1)}")
    for way in dict.fromkeys(way for way, _ in table):
        print(f"| {way} | {' | '.join(table[way, place].short for place in places)} |")
    print(f"\n{bad} violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
