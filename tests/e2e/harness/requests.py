"""Many requests over one connection, fast: a proper client spends more time on each than the proxy."""

import socket
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from lab.waiting import PATIENCE_SECONDS

# Header names to values, with `:path` and `:method` among them.
Request = Mapping[str, str | bytes]


def send(port: int, requests: Iterable[Request]) -> None:
    """Sends these requests; every one must be answered with 200."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = connection.makefile("rb")
        for request in requests:
            connection.sendall(encode(request))
            status = read_status(answers)
            assert status == 200, f"{status} for {request}"


def encode(request: Request) -> bytes:
    """A request as bytes, GET / unless it says otherwise; a value may be bytes that are no text."""
    headers = {"host": "stock.example", **request}
    method, path = (_bytes(headers.pop(name, usual)) for name, usual in ((":method", "GET"), (":path", "/")))
    lines = [b" ".join((method, path, b"HTTP/1.1"))]
    lines += [name.encode() + b": " + _bytes(value) for name, value in headers.items()]
    return b"\r\n".join([*lines, b"", b""])


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def read_status(answers: BinaryIO) -> int:
    """Reads one response; returns its status."""
    status = int(answers.readline().split()[1])
    length = 0
    while (line := answers.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    answers.read(length)
    return status


def status_of(port: int, request: Request) -> int:
    """Sends one request on a connection of its own; returns the status of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(encode(request))
        return read_status(connection.makefile("rb"))
