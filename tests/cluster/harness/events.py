"""What the kinds of events do: each returns what it has done, or None where there is nothing it could happen to."""

import heapq
import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from typing import Callable

import processes
import stack as stacks
from observer import Observer
from schedule import Event
from stack import Node, Stack


class Events:
    """Carries out the events of a schedule, and ends what lasts for a while."""

    def __init__(self, stack: Stack, observer: Observer) -> None:
        self.stack = stack
        self.observer = observer
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._faults: set[str] = set()  # what lasts at the moment

    def happen(self, event: Event) -> tuple[str, str] | None:
        """Carries an event out on the first of its nodes that it can happen to. Where, and what was done."""
        kind = event.kind.replace("-", "_")
        if hasattr(self, f"_all_{kind}"):
            done = getattr(self, f"_all_{kind}")(event)
            return (event.kind.partition("-")[0], f"{event.kind}: {done}") if done else None
        nodes = [self.stack.nodes[name] for name in event.nodes]
        if event.kind in ("reinit", "renew"):
            nodes.sort(key=self._restores)
        else:
            nodes.sort(key=self._restores, reverse=True)
        for node in nodes:
            done = getattr(self, f"_{kind}")(node, event)
            if done:
                return node.name, f"{event.kind}: {done}"
        return None

    def tick(self) -> None:
        """Ends what has lasted long enough."""
        while self._later and self._later[0][0] <= time.time():
            heapq.heappop(self._later)[2]()

    def end_all(self) -> None:
        """Ends all that lasts, now."""
        while self._later:
            heapq.heappop(self._later)[2]()

    def _in(self, seconds: float, fault: str, action: Callable[[], None]) -> None:
        """Ends a fault after some seconds. Until then there is no other of its name."""

        def end() -> None:
            self._faults.discard(fault)
            action()
            self.stack.timeline.note("harness", f"{fault} is over")

        self._faults.add(fault)
        heapq.heappush(self._later, (time.time() + seconds, next(self._count), end))

    def _restores(self, node: Node) -> bool:
        view = self.observer.views.get(node.name)
        return bool(node.hooks) or bool(view and view.writers)

    def _receivers(self, node: Node) -> list[processes.Writer]:
        view = self.observer.views.get(node.name)
        writers = [one for found in view.writers.values() for one in found] if view else []
        return [one for one in writers if one.restore != "basebackup"]

    # ---- What makes a node begin a restore ----------------------------------------------------------------------

    def _reinit(self, node: Node, event: Event) -> str | None:
        if not node.runs():
            return None
        self.stack.bandwidth(event.bandwidth)
        node.post("/reinitialize", {"force": False})
        return f"patronictl reinit, {event.bandwidth} kB/s"

    def _reinit_force(self, node: Node, event: Event) -> str | None:
        if not node.runs():
            return None
        self.stack.bandwidth(event.bandwidth)
        node.post("/reinitialize", {"force": True})
        return f"patronictl reinit --force, {event.bandwidth} kB/s"

    def _renew(self, node: Node, event: Event) -> str | None:
        if not node.runs():
            return None
        self.stack.bandwidth(event.bandwidth)
        node.stop(signal.SIGTERM, 0)
        node.when_ended = lambda: self._wipe_now(node, False)
        return f"Patroni stopped, directory removed, Patroni started, {event.bandwidth} kB/s"

    # ---- Patroni and the hook -----------------------------------------------------------------------------------

    def _patroni_stop(self, node: Node, event: Event) -> str | None:
        return self._stop(node, signal.SIGTERM, event.seconds, f"Patroni stopped for {event.seconds} s")

    def _patroni_restart(self, node: Node, _: Event) -> str | None:
        return self._stop(node, signal.SIGTERM, 0, "Patroni restarted")

    def _patroni_kill(self, node: Node, event: Event) -> str | None:
        return self._stop(node, signal.SIGKILL, event.seconds, f"Patroni killed for {event.seconds} s")

    def _stop(self, node: Node, number: int, seconds: float, text: str) -> str | None:
        if not node.runs():
            return None
        node.stop(number, seconds)
        return text

    def _patroni_kill_all(self, node: Node, event: Event) -> str | None:
        if not node.runs():
            return None
        node.stop_all(signal.SIGKILL, event.seconds)
        return f"Patroni killed with its hook for {event.seconds} s"

    def _hook_kill(self, node: Node, _: Event) -> str | None:
        # Patroni takes a hook that was killed for one that has failed, and goes on to its next method at once: pg_basebackup.
        # The observer takes those that have ended off the list meanwhile.
        hook = next(reversed(node.hooks.copy()), None)
        if hook is None:
            return None
        send(hook, signal.SIGKILL)
        return f"the program killed, pid {hook}"

    # ---- The directory ------------------------------------------------------------------------------------------

    def _receiver_kill(self, node: Node, event: Event) -> str | None:
        number = signal.SIGTERM if event.chance < 0.5 else signal.SIGKILL
        receivers = self._receivers(node)
        for one in receivers:
            send(one.pid, number)
        return f"receivers get {number.name}" if receivers else None

    def _receiver_stop(self, node: Node, event: Event) -> str | None:
        receivers = self._receivers(node)
        if not receivers or f"stopped receivers of {node.name}" in self._faults:
            return None
        for one in receivers:
            send(one.pid, signal.SIGSTOP)
        self._in(
            event.seconds,
            f"stopped receivers of {node.name}",
            lambda: [send(one.pid, signal.SIGCONT) for one in receivers] and None,
        )
        return f"receivers stopped for {event.seconds} s"

    def _wipe(self, node: Node, event: Event) -> str | None:
        if not self._receivers(node):
            return None
        self._wipe_now(node, event.chance < 0.5)
        return "directory emptied by hand" if event.chance < 0.5 else "directory removed by hand"

    def _wipe_now(self, node: Node, contents_only: bool) -> None:
        self.observer.wiped[node.name] = time.time()
        stacks.remove(node.data, contents_only)
        self.observer.wiped[node.name] = time.time()

    def _state_removed(self, node: Node, _: Event) -> str | None:
        if not self._receivers(node) or not os.path.exists(node.state):
            return None
        for restore, directory in self.observer.running.copy().items():
            if directory == node.data:
                self.observer.unguarded.add(restore)
        shutil.rmtree(node.state, ignore_errors=True)
        return "state directory removed by hand"

    def _disk_full(self, node: Node, event: Event) -> str | None:
        if not node.volume or "full disk" in self._faults:
            return None
        volume, room = node.volume, os.statvfs(node.volume)
        for _ in range(100):  # it can't become smaller than what has been written in between
            now = os.statvfs(volume)
            if resize(volume, max(1, now.f_blocks - now.f_bfree), now):
                break
        else:
            raise RuntimeError(f"{volume} can't be made full")
        self._in(event.seconds, "full disk", lambda: resize(volume, room.f_blocks, room))
        return f"disk full for {event.seconds} s"

    # ---- Barman's host ------------------------------------------------------------------------------------------

    def _all_api_stop(self, event: Event) -> str | None:
        if not self.stack.api.runs():
            return None
        self.stack.api.stop(signal.SIGTERM, event.seconds)
        return f"API stopped for {event.seconds} s"

    def _all_api_restart(self, _: Event) -> str | None:
        if not self.stack.api.runs():
            return None
        self.stack.api.stop(signal.SIGTERM, 0)
        return "API restarted"

    def _all_api_killed_in_create(self, event: Event) -> str | None:
        if "trap for a create" in self._faults:
            return None

        def kill() -> None:
            for proxy in proxies:
                proxy.on_create = None
            threading.Timer(event.chance * 0.4, self._kill_workers).start()

        def disarm() -> None:
            for proxy in proxies:
                proxy.on_create = None

        proxies = [node.proxy for node in self.stack.nodes.values()]
        for proxy in proxies:
            proxy.on_create = kill
        self._in(event.seconds, "trap for a create", disarm)
        return f"the next create kills the API's workers after {event.chance * 0.4:.2f} s"

    def _kill_workers(self) -> None:
        pid = self.stack.api.pid
        for victim in processes.children(pid) if self.stack.has_workers else [pid]:
            send(victim, signal.SIGKILL)
        self.stack.timeline.note("api", "workers killed in a create", show=True)

    def _all_sshd_restart(self, event: Event) -> str | None:
        if not self.stack.sshd.runs():
            return None
        self.stack.sshd.stop(signal.SIGTERM, event.seconds)
        return f"sshd stopped for {event.seconds} s"

    def _all_backup_delete(self, _: Event) -> str | None:
        backups = self.stack.backups()
        if len(backups) < 2 or not self.observer.running or "deletion" in self._faults:
            return None
        self._in(10, "deletion", lambda: None)
        command = ("barman", "delete", "pg", backups[-1])

        def delete() -> None:
            result = self.stack.run(*command)
            self.stack.timeline.note("barman", f"delete: status {result.returncode} {result.stderr[-200:]}", show=True)

        threading.Thread(target=delete, daemon=True).start()
        return f"backup {backups[-1]} deleted during restores {', '.join(self.observer.running)}"

    # ---- The network --------------------------------------------------------------------------------------------

    def _net_refuse(self, node: Node, event: Event) -> str | None:
        return self._net(node, event, "refuse", "API refuses connections")

    def _net_drop(self, node: Node, event: Event) -> str | None:
        return self._net(node, event, "drop", "API stays silent")

    def _net_delay(self, node: Node, event: Event) -> str | None:
        return self._net(node, event, "delay", f"API answers {1 + 5 * event.chance:.1f} s late")

    def _net_swallow(self, node: Node, event: Event) -> str | None:
        return self._net(node, event, "swallow", "replies of the API get lost")

    def _net(self, node: Node, event: Event, mode: str, text: str) -> str | None:
        fault = f"network fault of {node.name}"
        if fault in self._faults:
            return None
        node.proxy.set(mode, 1 + 5 * event.chance)
        self._in(event.seconds, fault, lambda: node.proxy.set("pass"))
        return f"{text} for {event.seconds} s"


def send(pid: int, number: int) -> None:
    """Sends a signal to a process that may have gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def resize(volume: str, blocks: int, like: os.statvfs_result) -> bool:
    """Gives a file system in memory this many blocks; 0 would be no limit."""
    command = ["mount", "-o", f"remount,size={blocks * like.f_frsize}", volume]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
