"""Real clients for a listener on this machine."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc
import httpx

from lab.waiting import PATIENCE_SECONDS
from tests.e2e.harness.grpc_backend import SERVICE

# The name the caller asks for; not the service's host, so that the two can be told apart.
HOST = "stock.example:8080"


def http1(port: int, host: str = HOST) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"host": host}, trust_env=False, timeout=PATIENCE_SECONDS
    )


def http2(port: int, host: str = HOST) -> httpx.Client:
    """HTTP/2 with prior knowledge: over plain TCP nothing negotiates it."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"host": host},
        trust_env=False,
        timeout=PATIENCE_SECONDS,
        http1=False,
        http2=True,
    )


class GrpcClient:
    """The methods of the gRPC backend."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.reserve: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Reserve")
        self.refuse: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Refuse")
        self.watch: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"/{SERVICE}/Watch")


@contextmanager
def grpc_client(port: int, host: str = HOST) -> Iterator[GrpcClient]:
    options = [("grpc.enable_http_proxy", 0), ("grpc.default_authority", host)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        yield GrpcClient(channel)


def send_raw(port: int, data: bytes, part_bytes: int = 1 << 20, ends: bool = False) -> bytes:
    """Sends bytes that no proper client would; returns all that comes back until the proxy ends the connection.

    `ends`: the client says that it has no more to send.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The proxy may have heard enough before.
        with suppress(ConnectionError):
            for begin in range(0, len(data), part_bytes):
                connection.sendall(data[begin : begin + part_bytes])
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
    return received


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port on which nobody listens and which nobody else can take meanwhile."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
