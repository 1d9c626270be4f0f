"""The demo's requests, all sent to the east proxy."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import httpx

REVIEWS = "reviews.shop.svc.cluster.local"
DETAILS = "details.shop.svc.cluster.local"


@dataclass(frozen=True)
class Batch:
    """Some equal requests."""

    count: int
    what: str
    # Those that the east proxy answers by itself are unknown to the west one.
    reaches_west: bool = True


@dataclass(frozen=True)
class Http(Batch):
    host: str = REVIEWS
    path: str = "/"
    code: int = 200


@dataclass(frozen=True)
class Unary(Batch):
    message: bytes = b"review"
    status: grpc.StatusCode = grpc.StatusCode.OK


@dataclass(frozen=True)
class Stream(Batch):
    messages: int = 10


BATCHES = (
    Http(40, "HTTP 200"),
    Http(3, "HTTP 404, the application knows no such page", path="/missing", code=404),
    Http(2, "HTTP 500, the application fails", path="/broken", code=500),
    Http(4, "HTTP 503, the service is down", host=DETAILS, code=503, reaches_west=False),
    Http(2, "HTTP 404, the client's proxy knows no such service", host="nowhere.test", code=404, reaches_west=False),
    Unary(5, "gRPC unary calls"),
    Unary(2, "gRPC unary calls that fail with NOT_FOUND", message=b"nothing", status=grpc.StatusCode.NOT_FOUND),
    Stream(1, "gRPC stream of 10 messages each way"),
)


# Connections that are over when the table is shown; one more stays open.
CLOSED_CONNECTIONS = 10
ENTRY = b"42 coins\n"
RECEIPT = b"ok " + ENTRY


class UnexpectedAnswer(Exception):
    """A request was not answered as planned, so the counts would be wrong."""


def send(batches: Sequence[Batch], port: int) -> Iterator[Batch]:
    """Sends all batches; yields each one when it is through."""
    # The authority names the service, as in a mesh; the address is the proxy's.
    options = [("grpc.default_authority", REVIEWS)]
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
        grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel,
    ):
        for batch in batches:
            for _ in range(batch.count):
                if isinstance(batch, Http):
                    send_http(client, batch)
                elif isinstance(batch, Unary):
                    send_unary(channel, batch)
                elif isinstance(batch, Stream):
                    send_stream(channel, batch)
            yield batch


def send_http(client: httpx.Client, batch: Http) -> None:
    response = client.get(batch.path, headers={"host": batch.host})
    expect(batch, batch.code, response.status_code)


def send_unary(channel: grpc.Channel, batch: Unary) -> None:
    expect(batch, batch.status, call_unary(channel, batch.message))


def call_unary(channel: grpc.Channel, message: bytes) -> grpc.StatusCode:
    get: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/shop.Reviews/Get")
    try:
        _, call = get.with_call(message, timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return call.code()


def send_stream(channel: grpc.Channel, batch: Stream) -> None:
    messages = (f"message {n}".encode() for n in range(batch.messages))
    chat: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream("/shop.Reviews/Chat")
    expect(batch, batch.messages, sum(1 for _ in chat(messages, timeout=10)))


def expect(batch: Batch, planned: object, found: object) -> None:
    if planned != found:
        raise UnexpectedAnswer(f"{batch.what}: expected {planned}, got {found}")


@contextmanager
def connections(port: int) -> Iterator[None]:
    """Makes TCP connections that close, and one that stays open until the context ends."""
    for _ in range(CLOSED_CONNECTIONS):
        with connect(port):
            pass
    with connect(port):
        yield


@contextmanager
def connect(port: int) -> Iterator[None]:
    """A connection over which one entry went and one receipt came back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, connection.makefile("rb") as answers:
        connection.sendall(ENTRY)
        receipt = answers.readline()
        if receipt != RECEIPT:
            raise UnexpectedAnswer(f"TCP: expected {RECEIPT!r}, got {receipt!r}")
        yield
