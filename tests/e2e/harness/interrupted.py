"""HTTP exchanges that break off, as bytes, so that they can be cut anywhere.

What a side writes comes in four parts: headers, one half of the body, the other half, trailers.
"""

import threading
from contextlib import contextmanager
from dataclasses import dataclass

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

    def __init__(self, client):
        self._received = b""

    def request(self, path):
        return self._parts(f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\n")

    def response(self):
        return self._parts("HTTP/1.1 200 OK\r\n")

    def receive(self, data):
        """Returns how many parts have come."""
        self._received += data
        return ALL if self._received.endswith(b"0\r\n\r\n") else _parts_in(self._received)

    @staticmethod
    def _parts(head):
        chunks = [b"%x\r\n%s\r\n" % (len(half), half) for half in _HALVES]
        return [head.encode() + b"transfer-encoding: chunked\r\n\r\n", *chunks, b"0\r\nx-end: yes\r\n\r\n"]


class Http2:
    """The same for HTTP/2."""

    def __init__(self, client):
        self._connection = H2Connection(H2Configuration(client_side=client))
        self._connection.initiate_connection()
        self.greeting = self._connection.data_to_send()
        self._received = b""

    def request(self, path):
        head = {":method": "POST", ":scheme": "http", ":authority": HOST, ":path": path}
        return self._parts(list(head.items()))

    def response(self):
        return self._parts([(":status", "200")])

    def receive(self, data):
        self._received += data
        events = self._connection.receive_data(data)
        return ALL if any(isinstance(event, StreamEnded) for event in events) else _parts_in(self._received)

    def reset_stream(self):
        return RstStreamFrame(1, error_code=ErrorCodes.CANCEL).serialize()

    def _parts(self, head):
        connection, parts = self._connection, []
        connection.send_headers(1, head)
        parts.append(connection.data_to_send())
        for half in _HALVES:
            connection.send_data(1, half)
            parts.append(connection.data_to_send())
        connection.send_headers(1, [("x-end", "yes")], end_stream=True)
        return [*parts, connection.data_to_send()]


def _parts_in(received):
    """No part before the body is looked for."""
    return next((2 + index for index in (1, 0) if _HALVES[index] in received), 0)


def cut(parts, count):
    whole = int(count)
    half = parts[whole][: len(parts[whole]) // 2] if count > whole else b""
    return b"".join(parts[:whole]) + half


class Backend:
    """Answers the only request of each connection as far as the exchange in `now` says."""

    def __init__(self, protocol):
        self._protocol = protocol
        self.now = None

    def serve(self, connection):
        now, side = self.now, self._protocol(client=False)
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


class _Exchange:
    """What its two ends tell each other."""

    def __init__(self, broken):
        self.broken = broken
        self.asked = threading.Event()
        self.answered = threading.Event()


@contextmanager
def exchange(port, backend, protocol, broken, path):
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


def _await(connection, side, parts):
    """Reads until so many parts have come."""
    came = 0
    while came < parts:
        data = connection.recv(65536)
        assert data, f"the connection ended after {came} of {parts} parts"
        came = max(came, side.receive(data))


def _end(connection, side, way):
    if way == "reset":
        traffic.reset(connection)
    elif way == "close":
        connection.close()
    else:
        connection.sendall(side.reset_stream())
