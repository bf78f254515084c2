"""Chaos: carries out a schedule of mishaps on the stack that tests/cluster/chaos has set up, and holds the laws."""

import argparse
import re
import signal
import sys
import time
from collections import Counter

import schedule
from events import Events
from observer import Observer
from stack import Node, Stack
from timeline import Timeline

TRIES = 10.0  # seconds for which an event is tried that has nothing to happen to
SETTLE = 240.0  # seconds after the schedule for all nodes to stream, and a tenth of its length, for the WAL since the backup
# Lines of a node's log without news, and all that do not begin with a time.
NOISE = re.compile(
    r"(?!\d{4}-)|.* INFO: (no action|Lock owner|.* in progress$|.* consider doing reinit|Using default|.*pool_size)"
)
OPERATOR = 25.0  # seconds after which an operator makes a node anew that is stuck


class Broken(Exception):
    """A law is broken."""


class Run:
    """One run."""

    def __init__(self, stack: Stack, seconds: float, seed: int, go_on: bool) -> None:
        self.stack = stack
        self.seconds = seconds
        self.seed = seed
        self.go_on = go_on
        self.observer = Observer(stack)
        self.events = Events(stack, self.observer)
        self.happened: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.reinits = 0  # of nodes that were stuck at the end
        self.settled = 0.0

    def all(self) -> None:
        """The schedule, and what has to hold at its end."""
        self.observer.start()
        events = schedule.make(self.seed, self.seconds, list(self.stack.nodes))
        self.stack.bandwidth(events[0].bandwidth)
        self._carry_out(events)
        self._settle()

    def _tick(self) -> None:
        self.stack.supervise()
        self.events.tick()
        if self.observer.error:
            raise self.observer.error
        if self.observer.violations and not self.go_on:
            raise Broken
        time.sleep(0.05)

    def _carry_out(self, events: list[schedule.Event]) -> None:
        timeline = self.stack.timeline
        waiting: list[schedule.Event] = []
        while events or waiting or timeline.seconds(time.time()) < self.seconds:
            self._tick()
            now = timeline.seconds(time.time())
            while events and events[0].at <= now:
                waiting.append(events.pop(0))
            for event in waiting.copy():
                done = self.events.happen(event)
                if done:
                    self.happened[event.kind] += 1
                    timeline.note(*done, show=True)
                elif now < event.at + TRIES:
                    continue
                else:
                    self.missed[event.kind] += 1
                    timeline.note("harness", f"nothing there for {event.kind}")
                waiting.remove(event)

    def _settle(self) -> None:
        """Law 4: when all faults are over, every node streams with all data."""
        self.events.end_all()
        self.stack.bandwidth(0)
        timeline = self.stack.timeline
        timeline.note("harness", "the schedule is over; waiting for all nodes to stream", show=True)
        began = time.time()
        stuck = {name: began for name in self.stack.nodes}
        while (missing := self.stack.nodes.keys() - self.stack.streaming()) or self._busy():
            if time.time() - began > SETTLE + self.seconds / 10:
                self._broken("; ".join([f"{name} does not stream" for name in sorted(missing)] + self._busy()))
                return
            self._tick()
            for name, node in self.stack.nodes.items():
                if not (name in missing and self._is_stuck(node)):
                    stuck[name] = time.time()
                elif time.time() - stuck[name] > OPERATOR:
                    stuck[name] = time.time()
                    self.reinits += 1
                    timeline.note(name, "stuck: an operator's reinit", show=True)
                    node.post("/reinitialize", {"force": True})
        self.settled = time.time() - began
        self._compare()

    def _busy(self) -> list[str]:
        """The restores that go on, and the services that are down."""
        restores = [f"restore {pid} goes on" for pid in self.observer.running.copy()]
        return restores + [f"{service.name} is down" for service in self.stack.services if not service.runs()]

    def _is_stuck(self, node: Node) -> bool:
        """Neither a run of the program nor PostgreSQL is there.

        A Patroni that was killed finds a directory that a failed restore has left: it says in its log that somebody
        has to remove it ("consider doing reinitialize"), and waits. That is Patroni's way; no hook is called.
        """
        view = self.observer.views[node.name]
        return not node.hooks and not view.postgres and not view.writers

    def _compare(self) -> None:
        stack = self.stack
        stack.sql(stack.leader_port, "INSERT INTO mark VALUES (now())")
        wanted = stack.fingerprint(stack.leader_port)
        if wanted.count("\n") < 4:
            raise RuntimeError(f"no fingerprint of the leader: {wanted!r}")
        until = time.time() + 60
        left = set(stack.nodes)
        while left and time.time() < until:
            self._tick()
            left -= {name for name in left if stack.fingerprint(stack.nodes[name].port) == wanted}
        if left:
            self._broken(f"other data than the leader's: {', '.join(sorted(left))}")

    def _broken(self, text: str) -> None:
        self.observer.violations.append(f"law 4: {text}")
        self.stack.timeline.note("harness", f"VIOLATION of law 4: {text}", show=True)

    def report(self) -> None:
        """Prints the summary, after the timeline of the last minute where a law is broken."""
        with open(f"{self.stack.path}/log/timeline", "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self.stack.timeline.since(0))
        if self.observer.violations and not self.go_on:
            self._last_minute()
        minutes = self.stack.timeline.seconds(time.time()) / 60
        print(f"\nminutes: {minutes:.1f}, seed: {self.seed}, nodes: {len(self.stack.nodes)} and the leader")
        print(f"events: {listed(self.happened)}")
        absent = [kind.name for kind in schedule.KINDS if not self.happened[kind.name]]
        print(f"  in all {self.happened.total()}; none of: {', '.join(absent) or '-'}")
        print(f"  with nothing there to happen to: {listed(self.missed)}")
        print(f"restores: {self.observer.restores.total()}, status {listed(self.observer.restores)}")
        print(f"exit codes of the program: {listed(self.observer.exits)}")
        print(f"all nodes streaming after {self.settled:.0f} s, with {self.reinits} reinits of stuck nodes")
        print(f"violations: {len(self.observer.violations)}")
        for violation in self.observer.violations:
            print(f"  {violation}")

    def _last_minute(self) -> None:
        print("\n---- the last minute ----")
        print("\n".join(self.stack.timeline.since(time.time() - 60)))
        for node in self.stack.nodes.values():
            print(f"\n---- {node.name}.log ----")
            with open(node.log, encoding="utf-8", errors="replace") as file:
                news = [line.replace(self.stack.path, ".")[:250].rstrip() for line in file if not NOISE.match(line)]
            print("\n".join(news[-60:]))


def listed(counts: Counter) -> str:
    """Counts as text."""
    return ", ".join(f"{key} {counts[key]}" for key in sorted(counts)) or "none"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stack", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--go-on", action="store_true")
    arguments = parser.parse_args()
    stack = Stack(arguments.stack, Timeline())
    run = Run(stack, arguments.minutes * 60, arguments.seed, arguments.go_on)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run.all()
        run.observer.end()
    except Broken:
        pass
    finally:
        run.report()
        stack.end()
    return 1 if run.observer.violations else 0


if __name__ == "__main__":
    sys.exit(main())
