"""TCP backends in threads of the tests, and clients."""

import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.waiting import PATIENCE_SECONDS
from tests.e2e.harness.peer_metadata import FRAME_MAGIC


@contextmanager
def backend(handle: Callable[[socket.socket], object]) -> Iterator[int]:
    """Serves each connection with `handle(socket)` in a thread of its own; yields the port.

    What a handler raises fails the test, except that the other end went away.
    """
    failures = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(PATIENCE_SECONDS)
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                handle(self.request)
            except ConnectionError:
                pass
            except BaseException as error:
                failures.append(error)
                raise

    class Server(socketserver.ThreadingTCPServer):
        # Hundreds of connections come at once; a full queue would cost the next one a second or its life.
        request_queue_size = 4096
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
    assert not failures, failures


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that only a listener with SO_REUSEPORT can take, as Envoy's are."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def doubler(connection: socket.socket) -> None:
    """Sends everything back twice."""
    while data := connection.recv(65536):
        connection.sendall(data + data)


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    # Every message leaves at once: tests cut data where they want it cut.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket, length: int) -> bytes:
    """Exactly so many bytes."""
    data = bytearray()
    while len(data) < length:
        more = connection.recv(length - len(data))
        assert more, f"the connection ended after {len(data)} of {length} bytes"
        data += more
    return bytes(data)


def receive_frame(connection: socket.socket) -> bytes:
    """A frame of the exchange; returns all of it."""
    header = receive(connection, 8)
    assert header[:4] == FRAME_MAGIC, header
    return header + receive(connection, int.from_bytes(header[4:], "big"))


def exchange_words(connection: socket.socket, message: bytes) -> None:
    """The message there and, from a doubler, twice the message back."""
    connection.sendall(message)
    assert receive(connection, 2 * len(message)) == message + message


def converse(port: int, message: bytes = b"world\n") -> None:
    """A whole connection to a doubler."""
    with connect(port) as connection:
        exchange_words(connection, message)


def reset(connection: socket.socket) -> None:
    """Closes with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
