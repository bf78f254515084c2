"""The connection between a node and the API: a TCP proxy that can refuse, drop, delay, or swallow the replies."""

import re
import socket
import struct
import threading
import time
from typing import Callable

LIMIT = 120.0  # seconds that a connection may take


class Proxy:
    """Listens on a port of 127.0.0.1 for one node, and hands each connection on to the API.

    Modes: "pass"; "refuse" the connection; "drop": take it and stay silent; "delay" the reply by a few seconds;
    "swallow": hand the request on, and close the connection in place of the reply.
    """

    def __init__(self, port: int, api: int, note: Callable[[str], None]) -> None:
        self.mode = "pass"
        self.delay = 0.0
        self.on_create: Callable[[], None] | None = None  # called once when a create has been handed on
        self._port = port
        self._api = api
        self._note = note
        self._listener: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        """Accepts connections from now on."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self._port), backlog=50)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def set(self, mode: str, delay: float = 0.0) -> None:
        """Takes on another mode."""
        self.delay = delay
        self.mode = mode
        if mode != "refuse":
            self.listen()
        elif self._listener is not None:
            # Not close alone: the thread in accept() would keep it open.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            client.settimeout(LIMIT)
            try:
                request = read_request(client)
                if self.mode == "drop":
                    self._silence(client)
                    return
                reply = self._ask(request)
                if self.mode == "delay":
                    time.sleep(self.delay)
                if self.mode in ("drop", "swallow"):
                    if request.startswith(b"POST"):
                        self._note(f"reply swallowed: {summary(reply)}")
                    return
                client.sendall(reply)
                if request.startswith(b"POST"):
                    self._note(f"create: {summary(reply)}")
            except OSError as error:
                # As a connection ends whose other side has gone: with a reset.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._note(f"connection: {error}")

    def _silence(self, client: socket.socket) -> None:
        """Keeps a connection open without a word as long as the mode lasts, then closes it."""
        until = time.monotonic() + LIMIT
        while self.mode == "drop" and time.monotonic() < until:
            time.sleep(0.1)
        client.close()

    def _ask(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._api), LIMIT) as api:
            api.sendall(request)
            action, self.on_create = (self.on_create, None) if request.startswith(b"POST") else (None, self.on_create)
            if action:
                action()
            return read_all(api)


def read_request(client: socket.socket) -> bytes:
    """A whole HTTP request. It asks for the connection to be closed after the reply."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        if not part:
            raise ConnectionError("closed before the request was whole")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    while length and len(body) < int(length[1]):
        part = client.recv(65536)
        if not part:
            raise ConnectionError("closed before the request was whole")
        body += part
    head = re.sub(rb"(?im)^connection:.*\r\n", b"", head + b"\r\n").rstrip() + b"\r\nConnection: close"
    return head + b"\r\n\r\n" + body


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the connection ends; nothing at all is an error."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    if not parts:
        raise ConnectionError("the API closed the connection without a reply")
    return b"".join(parts)


def summary(reply: bytes) -> str:
    """A reply in short: its status and the operation that it names."""
    operation = re.search(rb'"operation_id"\s*:\s*"([^"]+)"', reply)
    status = reply[:60].partition(b"\r\n")[0].decode(errors="replace")
    return f"{status} {operation[1].decode()}" if operation else status
