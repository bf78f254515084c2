"""The stack that tests/cluster/chaos has set up: its nodes and services, how they are started, stopped and asked."""

import glob
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import processes
from proxy import Proxy
from timeline import Timeline


class Service:
    """A process that is started again when it has ended, as by a service manager: after a second, if by itself."""

    def __init__(self, stack: "Stack", name: str, command: list[str]) -> None:
        self.stack = stack
        self.name = name
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at: float | None = 0.0  # when to start it, once it has ended; None while it is to run
        self.when_ended = None  # called once before it is started again

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def runs(self) -> bool:
        """It is running, and nobody has asked for its end."""
        return self.start_at is None and self.process is not None and self.process.poll() is None

    def supervise(self) -> None:
        """Starts it if it has ended and its time has come."""
        if self.process and self.process.poll() is None:
            return
        now = time.time()
        if self.start_at is None:
            self.stack.timeline.note(self.name, f"ended by itself, status {self.process.returncode}")
            self.start_at = now + 1
        if now >= self.start_at:
            if self.when_ended:
                self.when_ended()
                self.when_ended = None
            self.process = self.stack.spawn(self.command, f"{self.name}.log")
            self.start_at = None

    def stop(self, number: int, seconds: float) -> None:
        """Sends it a signal, and lets it start again this long after now."""
        self.start_at = time.time() + seconds
        os.kill(self.pid, number)


class Node(Service):
    """A node that Patroni manages."""

    def __init__(self, stack: "Stack", entry: dict) -> None:
        super().__init__(stack, entry["name"], [f"{stack.path}/run/start-{entry['name']}"])
        self.data: str = entry["data"]
        self.rest: int = entry["rest"]
        self.port: int = entry["port"]
        self.volume: str = entry["volume"]
        self.hooks: list[int] = []  # the runs of the program for it, the latest last
        self.log = f"{stack.path}/log/{self.name}.log"
        self.proxy = Proxy(entry["proxy"], stack.api_port, lambda text: stack.timeline.note(self.name, text))

    @property
    def state(self) -> str:
        """The state directory of the program."""
        return f"{self.data}.barman-recover"

    def stop(self, number: int, seconds: float) -> None:
        """As a unit with KillMode=process, but for what runs before Patroni."""
        if b"patroni" in processes.read(self.pid, "cmdline").split(b"\0"):
            super().stop(number, seconds)
        else:
            self.stop_all(number, seconds)

    def stop_all(self, number: int, seconds: float) -> None:
        """Sends a signal to all that Patroni has started, but for PostgreSQL, which has a session of its own."""
        self.start_at = time.time() + seconds
        for pid in processes.session(self.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def post(self, path: str, body: dict) -> None:
        """Asks Patroni for something, as patronictl does, and notes the answer."""
        threading.Thread(target=self._post, args=(path, body), daemon=True).start()

    def _post(self, path: str, body: dict) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest}{path}", json.dumps(body).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                answer = f"{reply.status} {reply.read(200).decode()}"
        except urllib.error.HTTPError as error:
            answer = f"{error.code} {error.read(200).decode()}"
        except OSError as error:
            answer = str(error)
        self.stack.timeline.note(self.name, f"Patroni answers: {answer}")


class Stack:
    """All of it."""

    def __init__(self, path: str, timeline: Timeline) -> None:
        self.path = path
        self.timeline = timeline
        with open(f"{path}/run/chaos.json", encoding="utf-8") as file:
            config = json.load(file)
        self.api_port: int = config["api_port"]
        self.has_workers: bool = config["api_workers"]
        self.leader_port: int = config["leader_port"]
        self.journal = f"{path}/log/restores"
        self.hooks = f"{path}/log/hooks"
        self.barman = f"{path}/barman/pg"
        self.api = Service(self, "api", [f"{path}/run/start-api"])
        self.sshd = Service(self, "sshd", [f"{path}/run/start-sshd"])
        self.nodes = {entry["name"]: Node(self, entry) for entry in config["nodes"]}
        self.services: list[Service] = [self.api, self.sshd, *self.nodes.values()]

    def spawn(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        """Starts a command in a session of its own, as the user of the stack. tests/cluster/chaos ends what is left."""
        with open(f"{self.path}/log/{log}", "ab") as output:
            process = subprocess.Popen(
                [f"{self.path}/run/as", *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )
        with open(f"{self.path}/run/spawned", "a", encoding="ascii") as file:
            file.write(f"{process.pid} {processes.started(process.pid)}\n")
        return process

    def run(self, *command: str, limit: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user of the stack and waits for it."""
        return subprocess.run(
            [f"{self.path}/run/as", *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit,
            check=False,
        )

    def sql(self, port: int, statement: str) -> str:
        """The result of a statement, empty where it fails."""
        conninfo = f"host=127.0.0.1 port={port} user=postgres dbname=postgres password=change-me connect_timeout=5"
        return self.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-c", statement).stdout.strip()

    def supervise(self) -> None:
        """Starts whatever has to be started, and removes what settle has moved aside, as an operator would in the end."""
        for service in self.services:
            service.supervise()
        for node in self.nodes.values():
            for aside in glob.glob(f"{node.data}.failed-*"):
                self.timeline.note(node.name, f"moved aside: {os.path.basename(aside)}", show=True)
                shutil.rmtree(aside, ignore_errors=True)

    def bandwidth(self, limit: int) -> None:
        """Limits the restores that begin from now on, in kB/s; 0 for no limit."""
        path = f"{self.path}/barman.conf"
        with open(path, encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith("bandwidth_limit")]
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.writelines([*lines, f"bandwidth_limit = {limit}\n"])
        os.replace(f"{path}.new", path)

    def backups(self) -> list[str]:
        """The backups in Barman's catalogue, the oldest first."""
        return sorted(os.listdir(f"{self.barman}/base"))

    def fingerprint(self, port: int) -> str:
        """What is in all tables of a node: rows and a checksum of each."""
        return self.sql(
            port,
            """SELECT c.oid::regclass, query_to_xml(format(
                'SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) AS sum FROM %s t', c.oid::regclass),
                false, true, '')
            FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1""",
        )

    def streaming(self) -> set[str]:
        """The nodes to which the leader sends WAL."""
        rows = self.sql(self.leader_port, "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'")
        return set(rows.split())

    def end(self) -> None:
        """Ends the nodes and services."""
        for service in reversed(self.services):
            if service.process and service.process.poll() is None:
                service.process.send_signal(signal.SIGTERM)
        for service in self.services:
            if service.process:
                try:
                    service.process.wait(20)
                except subprocess.TimeoutExpired:
                    service.process.kill()


def remove(path: str, contents_only: bool) -> None:
    """Removes a directory or what is in it, while others may still write there."""
    if not contents_only:
        shutil.rmtree(path, ignore_errors=True)
        return
    for entry in os.scandir(path) if os.path.isdir(path) else ():
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            try:
                os.unlink(entry.path)
            except OSError:
                pass
