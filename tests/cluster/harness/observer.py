"""The observer: looks at the nodes from outside every 50 ms, notes what it sees, and holds the laws."""

import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable

import processes
from stack import Node, Stack

PERIOD = 0.05
GRACE = 0.2  # seconds


@dataclass
class View:
    """What can be seen of a node at one moment."""

    directory: str
    state: str
    mark: str
    postgres: int
    writers: dict[str, list[processes.Writer]] = field(default_factory=dict)  # by restore
    lost: tuple[str, ...] = ()  # restores that write into a removed directory


class Tail:
    """The lines that are added to a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> list[str]:
        """The lines that have become whole since the last call."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode().splitlines()


class Observer:
    """Runs in a thread of its own."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.violations: list[str] = []
        self.error: Exception | None = None
        self.restores: Counter[str] = Counter()  # exit codes of `barman recover`
        self.exits: Counter[int] = Counter()  # of the program
        self.running: dict[str, str] = {}  # restores, and the directory of each
        self.failed: set[str] = set()  # restores
        self.filled: dict[str, tuple[str, int]] = {}  # which restore has last written into a node's directory: its inode
        self.views: dict[str, View] = {}
        self.unguarded: set[str] = set()  # restores whose state directory was removed by hand
        self.wiped: dict[str, float] = {}  # when a directory was last wiped by hand
        self.ended: dict[str, float] = {}  # when the last run of the program for a node ended
        self._writers = processes.Writers()
        self._tails: list[tuple[Tail, Callable[[str], None]]] = [
            (Tail(stack.journal), self._restore),
            (Tail(stack.hooks), self._hook),
        ]
        self._jobs: set[str] = set()
        self._outputs: set[str] = set()
        self._known: set[str] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def end(self) -> None:
        """Ends after a last look."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._end.wait(PERIOD):
                self.look()
        except Exception as error:  # raised again where it is not overlooked
            self.error = error

    def look(self) -> None:
        """One look at everything."""
        writers = self._writers.look()
        for tail, take in self._tails:
            for line in tail.lines():
                take(line)
        for node in self.stack.nodes.values():
            view = self._view(node, writers)
            started = view.postgres and view.postgres != self.views.get(node.name, view).postgres
            self._note_changes(node, view)
            self.views[node.name] = view
            self._hold(node, view)
            for restore in view.writers:
                self.filled[node.name] = restore, processes.inode(node.data)
            if started:
                self._started(node)
        self._operations()

    # ---- What there is ------------------------------------------------------------------------------------------

    def _view(self, node: Node, writers: list[processes.Writer]) -> View:
        number = processes.inode(node.data)
        mark = os.path.exists(f"{node.data}/.barman-recover.info") and os.path.exists(f"{node.data}/backup_label")
        view = View(
            directory=f"inode {number}" if number else "none",
            state="there" if os.path.exists(node.state) else "none",
            mark="information of the backup" if mark else "none",
            postgres=processes.postmaster(node.data),
        )
        lost = set()
        for one in writers:
            if processes.is_below(one.directory, node.data):
                if one.deleted:
                    lost.add(one.restore)
                else:
                    view.writers.setdefault(one.restore, []).append(one)
        view.lost = tuple(sorted(lost))
        return view

    def _note_changes(self, node: Node, view: View) -> None:
        old = self.views.get(node.name, View("", "", "", 0))
        note = self.stack.timeline.note
        for name, what in (("directory", "directory"), ("state", "state directory"), ("mark", "mark")):
            if getattr(old, name) != getattr(view, name):
                note(node.name, f"{what}: {getattr(view, name)}")
        if old.postgres != view.postgres:
            note(node.name, f"PostgreSQL is running, pid {view.postgres}" if view.postgres else "no PostgreSQL")
        if sorted(old.writers) != sorted(view.writers):
            note(node.name, f"written to by: {', '.join(sorted(view.writers)) or 'nobody'}")
        if old.lost != view.lost:
            note(node.name, f"written to a removed directory of it by: {', '.join(view.lost) or 'nobody'}")
        for pid in [hook for hook in node.hooks if not processes.is_alive(hook)]:
            # Its end is in the journal a moment later, unless the wrapper was killed with it.
            if not processes.is_alive(processes.parent(pid)):
                node.hooks.remove(pid)
                self.ended[node.name] = time.time()

    def _restore(self, line: str) -> None:
        word, pid, directory, at, *status = line.split()
        node = next((node.name for node in self.stack.nodes.values() if node.data == directory), directory)
        if word == "begin":
            # Process IDs come again, within minutes on a busy machine.
            self.failed.discard(pid)
            self.unguarded.discard(pid)
            self.running[pid] = directory
            self.stack.timeline.note(node, f"barman recover {pid} begins", float(at))
        else:
            self.running.pop(pid, None)
            self.restores[status[0]] += 1
            if status[0] != "0":
                self.failed.add(pid)
            self.stack.timeline.note(node, f"barman recover {pid} has ended, status {status[0]}", float(at))

    def _hook(self, line: str) -> None:
        entry: dict[str, Any] = json.loads(line)
        node = next((node for node in self.stack.nodes.values() if node.data == entry["directory"]), None)
        if node is None:
            return
        note, at, pid = self.stack.timeline.note, entry["at"], entry["pid"]
        if entry["event"] == "begin":
            node.hooks.append(pid)
            note(node.name, f"the program begins, pid {pid}", at)
        elif entry["event"] == "signal":
            note(node.name, f"the program gets {entry['signal']}, pid {pid}", at)
        else:
            node.hooks = [hook for hook in node.hooks if hook != pid]
            self.exits[entry["code"]] += 1
            self.ended[node.name] = at
            note(node.name, f"the program ends, pid {pid}, exit code {entry['code']}", at)
            # The program's last look and its end are not one moment: what was wiped in between it can't know.
            if entry["missing"] and at - self.wiped.get(node.name, 0) > 1:
                what = "; ".join(entry["missing"])
                self._violation(2, node, f"exit code 0 with an incomplete directory: {what}", str(pid))

    def _operations(self) -> None:
        """What Barman's host has in its folders: each operation's job, and its output when it has ended."""
        for folder, seen, what in (("jobs", self._jobs, "is created"), ("output", self._outputs, "has an output")):
            try:
                names = set(os.listdir(f"{self.stack.barman}/{folder}")) - seen
            except OSError:
                continue
            for name in sorted(names):
                seen.add(name)
                self.stack.timeline.note("api", f"operation {name.removesuffix('.json')} {what}")

    # ---- The laws -----------------------------------------------------------------------------------------------

    def _hold(self, node: Node, view: View) -> None:
        if len(view.writers) > 1 and self._still(node, view, 2):
            self._violation(1, node, f"restores {', '.join(view.writers)} write into one directory", *view.writers)
        # Barman writes only while a run lives. One that gets SIGKILL has no time to wait for the end of its commands.
        receiving = view.writers.keys() - {"basebackup"}
        if receiving and not node.hooks and time.time() - self.ended.get(node.name, 0) > GRACE:
            if any(processes.writer(one.pid, "receiver") for restore in receiving for one in view.writers[restore]):
                self._violation(1, node, f"restore {', '.join(receiving)} writes, and no run of the program lives", *receiving)
        # A hook can't keep a Patroni that was killed from starting PostgreSQL; settle before it can, by the state directory,
        # and by nothing else. Where that was removed by hand in the middle of a restore, it can't know.
        guarded = view.writers.keys() - self.unguarded
        if view.postgres and "basebackup" not in guarded and guarded and self._still(node, view, 1):
            if processes.postmaster(node.data) == view.postgres:
                self._violation(3, node, f"PostgreSQL is running while {', '.join(guarded)} writes", *guarded)

    def _started(self, node: Node) -> None:
        """PostgreSQL has been started: on all of a backup?"""
        restore, number = self.filled.get(node.name, ("", 0))
        if number != processes.inode(node.data) or restore in self.unguarded:
            return
        if restore in self.failed or restore in self.running:
            state = "failed" if restore in self.failed else "is running"
            self._violation(3, node, f"PostgreSQL is started on what restore {restore} left, which {state}", restore)

    def _still(self, node: Node, view: View, least: int) -> bool:
        """The writers of at least so many restores that were seen are writing into this very directory now.

        Each was seen before this look and is seen after it: so their times overlap, and not only the looks'.
        """
        number = processes.inode(node.data)
        alive = 0
        for restore, writers in view.writers.items():
            kind = "basebackup" if restore == "basebackup" else "receiver"
            again = [processes.writer(one.pid, kind) for one in writers]
            alive += any(
                one and not one.deleted and one.restore == restore and number != 0
                and (one.inode == number or one.directory != node.data)
                for one in again
            )
        return alive >= least

    def _violation(self, law: int, node: Node, text: str, *about: str) -> None:
        key = f"{law} {node.name} {' '.join(sorted(about))}"
        if key not in self._known:
            self._known.add(key)
            self.violations.append(f"law {law}, {node.name}: {text}")
            self.stack.timeline.note(node.name, f"VIOLATION of law {law}: {text}", show=True)
