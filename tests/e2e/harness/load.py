"""Clients of every kind that count what they do, and none of whose requests may fail."""

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from lab.waiting import PATIENCE_SECONDS
from tests.e2e.harness import clients, tcp_traffic
from tests.e2e.harness.grpc_stream import Stream

# How long a gRPC stream or a TCP connection lives.
STREAM_SECONDS = 2
# Between two messages of a client: it is not speed that is tried here.
PAUSE_SECONDS = 0.01
LENGTHS = (1, 700, 20_000, 33)


class Load:
    """`done` has what the clients did. They go on until their context ends."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self._over = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def running(self, *jobs: tuple[Callable[[int], None], int]) -> Iterator[None]:
        """Runs these side by side, each a method and its port; what one of them raises fails the test."""
        with ThreadPoolExecutor(len(jobs)) as pool:
            running = [pool.submit(job, port) for job, port in jobs]
            try:
                yield
            finally:
                self._over.set()
            for job in running:
                job.result()

    def keep_alive(self, port: int) -> None:
        """Requests over one connection, for as long as the proxy keeps it."""
        connection = _http(port)
        while not self._over.wait(PAUSE_SECONDS):
            self._request(connection)
        connection.close()

    def fresh(self, port: int) -> None:
        """Each request over a connection of its own."""
        while not self._over.wait(PAUSE_SECONDS):
            connection = _http(port)
            self._request(connection)
            connection.close()

    def grpc(self, port: int) -> None:
        """Streams one after the other."""
        with clients.grpc_client(port) as caller:
            while not self._over.is_set():
                stream, messages = Stream(caller), 0
                for _ in self._for(STREAM_SECONDS):
                    stream.exchange(1)
                    messages += 1
                stream.end()
                self._count(grpc=1, messages=messages)

    def tcp(self, port: int) -> None:
        """Connections one after the other."""
        while not self._over.is_set():
            self._converse(port, STREAM_SECONDS)

    def tcp_fresh(self, port: int) -> None:
        """Connections of one message each."""
        while not self._over.wait(PAUSE_SECONDS):
            self._converse(port, 0)

    def tcp_all_along(self, port: int) -> None:
        """One connection."""
        self._converse(port, float("inf"))

    def _request(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/", headers={"host": clients.HOST})
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200 and body, (response.status, body)
        self._count(http=1)

    def _converse(self, port: int, seconds: float) -> None:
        sent = 0
        with tcp_traffic.connect(port) as connection:
            for _, length in zip(self._for(seconds), itertools.cycle(LENGTHS)):
                tcp_traffic.exchange_words(connection, b"x" * length)
                sent += length
        self._count(connections=1, bytes=sent)

    def _for(self, seconds: float) -> Iterator[None]:
        """A turn now and then, and at least one."""
        end = time.monotonic() + seconds
        yield
        while time.monotonic() < end and not self._over.wait(PAUSE_SECONDS):
            yield

    def _count(self, **more: int) -> None:
        with self._lock:
            self.done.update(more)


def _http(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
