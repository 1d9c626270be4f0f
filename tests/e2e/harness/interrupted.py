"""HTTP exchanges that break off, as bytes, so that they can be cut anywhere.

What a side writes comes in four parts: headers, one half of the body, the other half, trailers.
"""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamEnded
from hyperframe.frame import RstStreamFrame

from lab.waiting import PATIENCE_SECONDS
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.clients import HOST

ALL = 4
_HALVES = (b"<one half>" + b"." * 200, b"<other half>" + b"." * 200)


@dataclass(frozen=True)
class Break:
    """Who ends the exchange, how, and how many parts were written by then; of a part, half is written."""

    by: str
    way: str
    request: float
    response: float = 0


class Http1:
    """One side of a connection, with its only exchange."""

    greeting = b""

    def __init__(self, client: bool) -> None:
        self._received = b""

    def request(self, path: str) -> list[bytes]:
        return self._parts(f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\n")

    def response(self) -> list[bytes]:
        return self._parts("HTTP/1.1 200 OK\r\n")

    def receive(self, data: bytes) -> int:
        """Returns how many parts have come."""
        self._received += data
        return ALL if self._received.endswith(b"0\r\n\r\n") else _parts_in(self._received)

    @staticmethod
    def _parts(head: Any) -> list[bytes]:
        chunks = [b"%x\r\n%s\r\n" % (len(half), half) for half in _HALVES]
        return [head.encode() + b"transfer-encoding: chunked\r\n\r\n", *chunks, b"0\r\nx-end: yes\r\n\r\n"]


class Http2:
    """The same for HTTP/2."""

    def __init__(self, client: bool) -> None:
        self._connection = H2Connection(H2Configuration(client_side=client))
        self._connection.initiate_connection()
        self.greeting = self._connection.data_to_send()
        self._received = b""

    def request(self, path: str) -> list[bytes]:
        head = {":method": "POST", ":scheme": "http", ":authority": HOST, ":path": path}
        return self._parts(list(head.items()))

    def response(self) -> list[bytes]:
        return self._parts([(":status", "200")])

    def receive(self, data: bytes) -> int:
        self._received += data
        events = self._connection.receive_data(data)
        return ALL if any(isinstance(event, StreamEnded) for event in events) else _parts_in(self._received)

    def reset_stream(self) -> bytes:
        return RstStreamFrame(1, error_code=ErrorCodes.CANCEL).serialize()

    def _parts(self, head: Any) -> list[bytes]:
        connection, parts = self._connection, []
        connection.send_headers(1, head)
        parts.append(connection.data_to_send())
        for half in _HALVES:
            connection.send_data(1, half)
            parts.append(connection.data_to_send())
        connection.send_headers(1, [("x-end", "yes")], end_stream=True)
        return [*parts, connection.data_to_send()]


Side = Http1 | Http2
Protocol = type[Http1] | type[Http2]


def _parts_in(received: bytes) -> int:
    """No part before the body is looked for."""
    return next((2 + index for index in (1, 0) if _HALVES[index] in received), 0)


def cut(parts: Sequence[bytes], count: float) -> bytes:
    whole = int(count)
    half = parts[whole][: len(parts[whole]) // 2] if count > whole else b""
    return b"".join(parts[:whole]) + half


class _Exchange:
    """What its two ends tell each other."""

    def __init__(self, broken: Break) -> None:
        self.broken = broken
        self.asked = threading.Event()
        self.answered = threading.Event()


class Backend:
    """Answers the only request of each connection as far as the exchange in `now` says."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self.now: _Exchange | None = None

    def serve(self, connection: socket.socket) -> None:
        now, side = self.now, self._protocol(client=False)
        assert now is not None
        connection.sendall(side.greeting)
        _await(connection, side, int(now.broken.request))
        now.asked.set()
        if now.broken.response:
            connection.sendall(cut(side.response(), now.broken.response))
        if now.broken.by == "upstream":
            assert now.answered.wait(PATIENCE_SECONDS)
            _end(connection, side, now.broken.way)
        while connection.fileno() >= 0 and connection.recv(65536):
            pass


@contextmanager
def exchange(port: int, backend: Backend, protocol: Protocol, broken: Break, path: str) -> Iterator[None]:
    """An exchange with the backend behind `port`; what the client does not end stays open for the context."""
    now = backend.now = _Exchange(broken)
    side = protocol(client=True)
    with traffic.connect(port) as connection:
        connection.sendall(side.greeting + cut(side.request(path), broken.request))
        if broken.request >= 1:
            assert now.asked.wait(PATIENCE_SECONDS), "the request did not arrive"
        _await(connection, side, int(broken.response))
        now.answered.set()
        if broken.by == "client":
            _end(connection, side, broken.way)
        yield


def _await(connection: socket.socket, side: Side, parts: int) -> None:
    """Reads until so many parts have come."""
    came = 0
    while came < parts:
        data = connection.recv(65536)
        assert data, f"the connection ended after {came} of {parts} parts"
        came = max(came, side.receive(data))


def _end(connection: socket.socket, side: Side, way: str) -> None:
    if way == "reset":
        traffic.reset(connection)
    elif way == "close":
        connection.close()
    elif isinstance(side, Http2):
        connection.sendall(side.reset_stream())
