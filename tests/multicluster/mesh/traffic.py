"""The applications' side: sends requests through the proxies and keeps account of them.

Who answered is what the answering side's proxy wrote into a response header, so
the account does not depend on what is tested.
"""

import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import grpc
import httpx

from tests.multicluster.mesh.envoy import (
    CHOICE_HEADER,
    FOREIGN,
    INGRESS_PORT,
    OUTBOUND_PORT,
    OUTBOUND_TCP_PORTS,
    WITNESS_HEADER,
    host,
)
from tests.multicluster.mesh.pods import KUBERNETES_CLUSTERS

T = TypeVar("T")
# Source and destination; no destination where nobody answered.
Pair = tuple[str, str | None]

REVIEWS = host("reviews")
ENTRY = b"42 coins\n"
RECEIPT = b"ok " + ENTRY
STREAM_MESSAGES = 10
# Requests of a client that run at the same time, so that it has connections to all pods.
PARALLEL = 4
SECONDS = 30


class Span(Protocol):
    """Unix times."""

    @property
    def begin(self) -> float: ...

    @property
    def end(self) -> float: ...

    @property
    def seconds(self) -> float: ...


@dataclass(frozen=True)
class Request:
    """What requests of the same labels have in common. An empty destination answers nothing."""

    source: str
    destination: str
    protocol: str
    code: str
    grpc_status: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        return (self.source, self.destination)

    @property
    def is_answered_there(self) -> bool:
        """By the destination; if it reaches none, the source's proxy answers with 503, or 14 of gRPC."""
        return bool(self.destination) and self.code != "503" and self.grpc_status != "14"


@dataclass
class Account:
    """What was sent and how it was answered."""

    requests: Counter[Request] = field(default_factory=Counter)
    # By (source, destination): Unix time of an answer, and milliseconds since the request.
    answers: dict[Pair, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    # By (source, destination): Unix times of a TCP connection's entries.
    entries: dict[Pair, list[float]] = field(default_factory=lambda: defaultdict(list))
    # By (source, destination).
    connections: Counter[Pair] = field(default_factory=Counter)
    refused_connections: Counter[Pair] = field(default_factory=Counter)
    messages_sent: Counter[Pair] = field(default_factory=Counter)
    messages_received: Counter[Pair] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count_answer(self, request: Request, begin: float) -> None:
        with self._lock:
            self.requests[request] += 1
            self.answers[request.pair].append((time.time(), (time.monotonic() - begin) * 1000))

    def count_messages(self, pair: Pair, sent: int, received: int) -> None:
        with self._lock:
            self.messages_sent[pair] += sent
            self.messages_received[pair] += received

    def count_connection(self, pair: Pair) -> None:
        with self._lock:
            self.connections[pair] += 1

    def count_entry(self, pair: Pair) -> None:
        with self._lock:
            self.entries[pair].append(time.time())

    def requests_of(self, reporter: str) -> dict[tuple[str, ...], int]:
        """What this side has to report: counts by both Kubernetes clusters, protocol, status and gRPC status."""
        return {
            (one.source, one.destination or "unknown", one.protocol, one.code, one.grpc_status): count
            for one, count in self.requests.items()
            if reporter == "source" or one.is_answered_there
        }

    def bytes(self, message: bytes) -> dict[Pair, int]:
        """Of messages of which each entry has one."""
        return {pair: len(message) * len(times) for pair, times in self.entries.items()}

    def answer_times(self, pair: Pair) -> list[float]:
        return [time for time, _ in self.answers[pair]]

    @staticmethod
    def rate(times: list[float], window: Span) -> float:
        """How many of these times per second of the window."""
        return sum(window.begin <= time < window.end for time in times) / window.seconds


class Client:
    """The application of a Kubernetes cluster's frontend."""

    def __init__(self, kubernetes_cluster: str, address: str, account: Account) -> None:
        self.kubernetes_cluster = kubernetes_cluster
        self._address = address
        self._account = account
        limits = httpx.Limits(max_connections=PARALLEL)
        self._http = httpx.Client(
            base_url=f"http://{address}:{OUTBOUND_PORT}", timeout=SECONDS, trust_env=False, limits=limits
        )
        options = [("grpc.default_authority", REVIEWS), ("grpc.enable_http_proxy", 0)]
        self._channel = grpc.insecure_channel(f"{address}:{OUTBOUND_PORT}", options)
        self._workers = ThreadPoolExecutor(PARALLEL)

    @property
    def example(self) -> str:
        """How a user sends one."""
        return f"curl -H 'Host: {REVIEWS}' http://{self._address}:{OUTBOUND_PORT}/"

    def close(self) -> None:
        self._workers.shutdown(cancel_futures=True)
        self._channel.close()
        self._http.close()

    def many(self, count: int, call: Callable[..., T], *arguments: Any, **options: Any) -> list[T]:
        """Calls so many times, some at once; returns what each call returned."""
        futures = [self._workers.submit(call, *arguments, **options) for _ in range(count)]
        return [future.result() for future in futures]

    def get(self, choice: str | None = None, path: str = "/", host: str = REVIEWS) -> tuple[int, str | None]:
        """An HTTP request, to the Kubernetes cluster of choice or the nearest that works; gives status and answerer."""
        headers = {"host": host} | ({CHOICE_HEADER: choice} if choice else {})
        begin = time.monotonic()
        response = self._http.get(path, headers=headers)
        destination = answerer(response.headers.get(WITNESS_HEADER))
        request = Request(self.kubernetes_cluster, destination or choice or "", "http", str(response.status_code))
        self._account.count_answer(request, begin)
        return response.status_code, destination

    def call(self, choice: str | None = None, message: bytes = b"review") -> tuple[int, str | None]:
        """A gRPC call of one message; returns status and answerer."""
        metadata = ((CHOICE_HEADER, choice),) if choice else None
        get: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary("/shop.Reviews/Get")
        begin = time.monotonic()
        call: Any
        try:
            _, call = get.with_call(message, timeout=SECONDS, metadata=metadata, wait_for_ready=True)
            received = 1
        except grpc.RpcError as error:
            call, received = error, 0
        status, destination = self._grpc_answered(call, choice, begin)
        self._account.count_messages((self.kubernetes_cluster, destination), 1, received)
        return status, destination

    def chat(self, choice: str | None = None) -> tuple[int, str | None]:
        """A gRPC stream of several messages each way; returns status and answerer."""
        metadata = ((CHOICE_HEADER, choice),) if choice else None
        exchange: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream("/shop.Reviews/Chat")
        begin = time.monotonic()
        call = exchange((b"message" for _ in range(STREAM_MESSAGES)), timeout=SECONDS, metadata=metadata)
        received = sum(1 for _ in call)
        status, destination = self._grpc_answered(call, choice, begin)
        self._account.count_messages((self.kubernetes_cluster, destination), STREAM_MESSAGES, received)
        return status, destination

    def _grpc_answered(self, call: Any, choice: str | None, begin: float) -> tuple[int, str | None]:
        # An error without a message has its headers in the trailers.
        headers = dict([*(call.initial_metadata() or ()), *(call.trailing_metadata() or ())])
        destination = answerer(headers.get(WITNESS_HEADER))
        status = call.code().value[0]
        request = Request(self.kubernetes_cluster, destination or choice or "", "grpc", "200", str(status))
        self._account.count_answer(request, begin)
        return status, destination

    @contextmanager
    def connected(self, choice: str | None) -> Iterator[Callable[[], None]]:
        """A TCP connection to the ledger; yields a function that makes an entry and takes the receipt."""
        pair = (self.kubernetes_cluster, choice)
        port = OUTBOUND_TCP_PORTS[choice]
        with socket.create_connection((self._address, port), timeout=SECONDS) as connection:
            answers = connection.makefile("rb")

            def enter() -> None:
                connection.sendall(ENTRY)
                if answers.readline() != RECEIPT:
                    raise ConnectionError("no receipt")
                self._account.count_entry(pair)

            self._account.count_connection(pair)
            yield enter

    def connect(self, choice: str | None, entries: int = 1) -> None:
        """A whole connection."""
        with self.connected(choice) as enter:
            for _ in range(entries):
                enter()

    def is_refused(self, choice: str | None) -> bool:
        """Whether a connection ends without an answer."""
        with socket.create_connection((self._address, OUTBOUND_TCP_PORTS[choice]), timeout=SECONDS) as connection:
            try:
                connection.sendall(ENTRY)
                answer = connection.recv(1)
            except ConnectionError:
                answer = b""
        if not answer:
            self._account.refused_connections[(self.kubernetes_cluster, choice)] += 1
        return not answer


class Outside:
    """Clients outside the mesh, who come in through a gateway."""

    def __init__(self, kubernetes_cluster: str, address: str) -> None:
        self.kubernetes_cluster = kubernetes_cluster
        self._http = httpx.Client(base_url=f"http://{address}:{INGRESS_PORT}", timeout=SECONDS, trust_env=False)

    def get(self, host: str) -> int:
        return self._http.get("/", headers={"host": host}).status_code

    def close(self) -> None:
        self._http.close()


def answerer(witness: str | None) -> str | None:
    """The Kubernetes cluster in "east/reviews-v1"."""
    return witness.partition("/")[0] if witness else None


# The profile: by source and chosen destination.
HTTP_OK, HTTP_MISSING, HTTP_BROKEN = 20, 3, 2
GRPC_OK, GRPC_NOT_FOUND, GRPC_STREAMS = 8, 2, 2
CONNECTIONS = 6
# By source alone.
UNKNOWN_HOSTS, NEAREST = 2, 8
# By gateway.
FOREIGN_PEERS, FROM_OUTSIDE, TRIED_HOSTS = 3, 5, 20


def send_profile(clients: dict[str, Client], outside: dict[str, Outside]) -> None:
    """Something of everything that the metrics tell apart."""
    for client in clients.values():
        for choice in KUBERNETES_CLUSTERS:
            client.many(HTTP_OK, client.get, choice)
            client.many(HTTP_MISSING, client.get, choice, "/missing")
            client.many(HTTP_BROKEN, client.get, choice, "/broken")
            client.many(GRPC_OK, client.call, choice)
            client.many(GRPC_NOT_FOUND, client.call, choice, b"nothing")
            client.many(GRPC_STREAMS, client.chat, choice)
            client.many(CONNECTIONS, client.connect, choice)
        client.many(NEAREST, client.get)
        client.many(UNKNOWN_HOSTS, client.get, host="nowhere.test")
    for stranger in outside.values():
        statuses = [stranger.get(REVIEWS) for _ in range(FROM_OUTSIDE)] + [
            stranger.get(FOREIGN) for _ in range(FOREIGN_PEERS)
        ]
        if set(statuses) != {200}:
            raise RuntimeError(f"the gateway {stranger.kubernetes_cluster} answered {statuses}")
        for i in range(TRIED_HOSTS):
            stranger.get(f"tried-{i}.test")


class Steady:
    """Requests of every kind at an even pace, in the background, while the context is open."""

    def __init__(self, clients: dict[str, Client], per_second: float = 5) -> None:
        """`per_second`: from each frontend to each Kubernetes cluster."""
        self._clients = clients
        self._pause = 1 / per_second
        self._ending = threading.Event()
        self._threads = ThreadPoolExecutor(len(clients) * len(KUBERNETES_CLUSTERS))
        self._running: list[Future[None]] = []

    def __enter__(self) -> "Steady":
        self._running = [
            self._threads.submit(self._send, client, choice)
            for client in self._clients.values()
            for choice in KUBERNETES_CLUSTERS
        ]
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._threads.shutdown()
        for one in self._running:
            one.result()

    def _send(self, client: Client, choice: str) -> None:
        due = time.monotonic()
        with client.connected(choice) as enter:
            while not self._ending.is_set():
                client.get(choice)
                client.call(choice)
                # Over a connection that stays open, and over one that does not.
                enter()
                client.connect(choice)
                due += self._pause
                self._ending.wait(max(0, due - time.monotonic()))
