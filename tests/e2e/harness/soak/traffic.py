"""What is sent: a fixed rate of everything, each kind in a thread of its own, and counted."""

import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tests.e2e.harness import clients, requests, tcp_traffic
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.grpc_stream import Stream
from tests.e2e.harness.peer_metadata import frame, headers
from tests.e2e.harness.soak.proxies import MAX_SERIES
from tests.e2e.harness.tcp_families import FAMILIES as TCP_FAMILIES
from tests.e2e.harness.tcp_families import Counts
from tests.e2e.harness.workloads import SHOP, Workload

HTTP_FAMILIES = (
    "istio_requests_total",
    "istio_request_duration_milliseconds",
    "istio_request_bytes",
    "istio_response_bytes",
)
MESSAGE_FAMILIES = ("istio_request_messages_total", "istio_response_messages_total")
# Of each kind, per second: together some 40 % of a core, most of it for these clients.
RATES = {
    "http1": 120,
    "http2": 15,
    "grpc_calls": 15,
    "grpc_streams": 2,
    "tcp": 5,
    "http_peers": 20,
    "tcp_peers": 10,
}
# Of the peers that only meet west. Twice as many as a configuration keeps label sets: some always overflow, and
# all have had series of their own after some configurations, since each keeps the first that come.
WORKLOADS = 2 * MAX_SERIES
# What stays open: as many as there are, each for some seconds.
OPEN = 6
MESSAGES_AT_ONCE = 3
WORD = b"hello world\n"


class Traffic:
    """Runs while its `with` block does; raises what went wrong in a thread."""

    def __init__(self, east: Envoy, west: Envoy) -> None:
        self._east, self._west = east, west
        self._ending = threading.Event()
        self._paces = {name: Pace(rate, self._ending) for name, rate in RATES.items()}
        self._threads = ThreadPoolExecutor(len(RATES))
        self._running: list[Future[None]] = []

    def __enter__(self) -> "Traffic":
        self._running = [self._threads.submit(getattr(self, f"_{name}"), pace) for name, pace in self._paces.items()]
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._threads.shutdown()
        self.check()

    def check(self) -> None:
        """Raises what a thread met."""
        for one in self._running:
            if one.done():
                one.result()

    def sent(self) -> dict[str, int]:
        """How often each kind was sent, and answered."""
        return {name: pace.done for name, pace in self._paces.items()}

    def totals(self, proxy: str) -> dict[str, int]:
        """What the proxy must have counted, by family."""
        sent = self.sent()
        http_peers, tcp_peers = (sent["http_peers"], sent["tcp_peers"]) if proxy == "west" else (0, 0)
        requests = http_peers + sum(sent[kind] for kind in ("http1", "http2", "grpc_calls", "grpc_streams"))
        messages = sent["grpc_calls"] + 2 * MESSAGES_AT_ONCE * sent["grpc_streams"]
        connections = tcp_peers + sent["tcp"]
        # Without what the exchange put in front of them.
        received = len(WORD) * (tcp_peers + 2 * sent["tcp"])
        tcp = Counts(opened=connections, closed=connections, received=received, sent=2 * received)
        return {
            **dict.fromkeys(HTTP_FAMILIES, requests),
            **dict.fromkeys(MESSAGE_FAMILIES, messages),
            **{family: getattr(tcp, field) for family, (_, field) in TCP_FAMILIES.items()},
        }

    # === each kind

    def _http1(self, pace: "Pace") -> None:
        requests.send(self._east.port("east"), ({} for _ in pace))

    def _http2(self, pace: "Pace") -> None:
        with clients.http2(self._east.port("east")) as caller:
            for _ in pace:
                assert caller.get("/").status_code == 200

    def _grpc_calls(self, pace: "Pace") -> None:
        with clients.grpc_client(self._east.port("east")) as caller:
            for _ in pace:
                assert caller.reserve(b"lamp") == b"reserved lamp"

    def _grpc_streams(self, pace: "Pace") -> None:
        def end(stream: Stream) -> None:
            stream.exchange(MESSAGES_AT_ONCE)
            stream.end()

        with clients.grpc_client(self._east.port("east")) as caller, _Open(end) as streams:
            for _ in pace:
                stream = Stream(caller)
                stream.exchange(MESSAGES_AT_ONCE)
                streams.add(stream)

    def _tcp(self, pace: "Pace") -> None:
        def end(connection: socket.socket) -> None:
            with connection:
                tcp_traffic.exchange_words(connection, WORD)

        with _Open(end) as connections:
            for _ in pace:
                connection = tcp_traffic.connect(self._east.port("east-tcp"))
                tcp_traffic.exchange_words(connection, WORD)
                connections.add(connection)

    def _http_peers(self, pace: "Pace") -> None:
        for number in pace:
            assert requests.status_of(self._west.port("west"), headers(_peer(number))) == 200

    def _tcp_peers(self, pace: "Pace") -> None:
        for number in pace:
            peer = _peer(number)
            with tcp_traffic.connect(self._west.port("west-tcp")) as connection:
                connection.sendall(frame(peer.peer_metadata(), peer.node_id) + WORD)
                tcp_traffic.receive_frame(connection)
                assert tcp_traffic.receive(connection, 2 * len(WORD)) == WORD + WORD


class Pace:
    """Numbers at a rate, until the end; `done` counts those that the loop went through with."""

    def __init__(self, per_second: float, ending: threading.Event) -> None:
        self._period = 1 / per_second
        self._ending = ending
        self.done = 0

    def __iter__(self) -> Iterator[int]:
        due = time.monotonic()
        while not self._ending.wait(max(0, due - time.monotonic())):
            yield self.done
            self.done += 1
            # Who comes late does not hurry afterwards, or the rate would not be even.
            due = max(due + self._period, time.monotonic())


class _Open:
    """Keeps the last few of what was opened, and ends the others."""

    def __init__(self, end: Callable[[Any], object]) -> None:
        self._end = end
        self._open: deque[Any] = deque()

    def __enter__(self) -> "_Open":
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._end(self._open.popleft())

    def add(self, one: Any) -> None:
        self._open.append(one)
        if len(self._open) > OPEN:
            self._end(self._open.popleft())


def _peer(number: int) -> Workload:
    """A pod that nobody met before, of a workload that may be known."""
    workload = f"peer-{random.randrange(WORKLOADS)}"
    return replace(SHOP, name=workload, pod=f"{workload}-{number}")
