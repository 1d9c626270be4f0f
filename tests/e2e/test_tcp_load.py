"""Many connections, and many bytes, counted to the byte."""

import socket
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.harness import forms, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.tcp_families import Counts, expect_both

pytestmark = forms.BOTH

WORKERS = 2
CONNECTIONS = 200
GIBIBYTE = 1 << 30
BLOCK = bytes(1 << 20)
HELLO = b"hello"


def test_two_hundred_connections_at_once_over_two_workers(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler, workers=WORKERS)), workers=WORKERS))
    connections = [traffic.connect(port) for _ in range(CONNECTIONS)]
    with ThreadPoolExecutor(8) as pool:
        for size in (300, 7):
            list(pool.map(lambda connection, size=size: traffic.exchange_words(connection, b"x" * size), connections))
    expect_both(mesh, Counts(opened=200, received=200 * 307, sent=200 * 614))
    for name in ("east", "west"):
        workers = mesh[name].stats(r"^listener\..*\.worker_\d+\.downstream_cx_active$")
        assert len(workers) == WORKERS and all(workers.values()), f"{name}: idle workers: {workers}"
    for connection in connections:
        connection.close()
    expect_both(mesh, Counts(opened=200, closed=200, received=200 * 307, sent=200 * 614))


def test_a_gibibyte_up_and_a_part_of_it_down(mesh: Mesh) -> None:
    down = (GIBIBYTE >> 2) + 13

    def consume(connection: socket.socket) -> None:
        # A word first, so that its proxy tells who it is: what passes for longer than
        # two periods before that is counted under an unknown peer.
        assert traffic.receive(connection, len(HELLO)) == HELLO
        connection.sendall(HELLO)
        buffer = memoryview(bytearray(len(BLOCK)))
        left = GIBIBYTE
        while left:
            count = connection.recv_into(buffer)
            assert count, f"{left} bytes are missing"
            left -= count
        _send(connection, down)

    with traffic.backend(consume) as backend_port:
        port = mesh.start(tcp.east(mesh.start(tcp.west(backend_port))))
        with traffic.connect(port) as connection:
            connection.sendall(HELLO)
            assert traffic.receive(connection, len(HELLO)) == HELLO
            _send(connection, GIBIBYTE)
            assert _count(connection, down) == down
        expect_both(mesh, Counts(opened=1, closed=1, received=GIBIBYTE + len(HELLO), sent=down + len(HELLO)))


def _send(connection: socket.socket, size: int) -> None:
    for _ in range(size // len(BLOCK)):
        connection.sendall(BLOCK)
    connection.sendall(BLOCK[: size % len(BLOCK)])


def _count(connection: socket.socket, at_most: int) -> int:
    buffer = memoryview(bytearray(len(BLOCK)))
    received = 0
    while received < at_most and (count := connection.recv_into(buffer)):
        received += count
    return received
