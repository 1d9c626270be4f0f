"""Bulk data over one TCP connection, at next to no cost for its two ends.

What the ends need of the machine's few cores the proxy lacks. So the sender
hands the kernel pages of a file in memory instead of copying bytes, and the
receiver has the kernel throw them away (`MSG_TRUNC`; Linux only).
"""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

# What a client begins with: how many bytes follow, how many it wants back.
ORDER = struct.Struct("!QQ")
FILE_BYTES = 16 << 20
DISCARD_BYTES = 4 << 20
TIMEOUT_SECONDS = 60


class Bulk:
    """Either end of a transfer."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.memfd_create("bulk"), "r+b", buffering=0)
        self._file.write(bytes(FILE_BYTES))
        # Asked for by the interface; nothing is ever written into it.
        self._discarded = bytearray(DISCARD_BYTES)

    def transfer(self, port: int, up: int, down: int) -> float:
        """Sends `up` bytes and receives `down`; returns the seconds from connecting to the last byte."""
        begin = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
            connection.sendall(ORDER.pack(up, down))
            self._send(connection, up)
            self._discard(connection, down)
            return time.perf_counter() - begin

    @contextmanager
    def server(self) -> Iterator[int]:
        """The other end, in a process of its own; yields its port."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            # Forked, so that it has the socket.
            process = get_context("fork").Process(target=self._serve, args=(listening,), daemon=True)
            process.start()
            try:
                yield listening.getsockname()[1]
            finally:
                process.terminate()
                process.join()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            connection, _ = listening.accept()
            with connection:
                up, down = ORDER.unpack(connection.recv(ORDER.size, socket.MSG_WAITALL))
                connection.settimeout(TIMEOUT_SECONDS)
                self._discard(connection, up)
                self._send(connection, down)
                # The client ends it.
                connection.recv(1)

    def _send(self, connection: socket.socket, count: int) -> None:
        for begin in range(0, count, FILE_BYTES):
            connection.sendfile(self._file, 0, min(FILE_BYTES, count - begin))

    def _discard(self, connection: socket.socket, count: int) -> None:
        while count:
            received = connection.recv_into(self._discarded, min(count, DISCARD_BYTES), socket.MSG_TRUNC)
            if not received:
                raise ConnectionError(f"the connection ended {count} bytes too early")
            count -= received
