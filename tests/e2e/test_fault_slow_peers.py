"""Peers that take their time to say who they are, or stop halfway: nobody else waits, nothing is lost."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from lab.tree import Json
from tests.e2e.harness import forms, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import frame, headers
from tests.e2e.harness.requests import encode
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.tcp_families import Counts, await_totals, expect
from tests.e2e.harness.workloads import SHOP, STOCK

pytestmark = forms.BOTH

FRAME = frame(SHOP.peer_metadata(), SHOP.node_id)
ANSWER = frame(STOCK.peer_metadata(), STOCK.node_id)
HALF = FRAME[:50]
PAUSE_SECONDS = 0.002
# Longer than the two periods for which a report waits for the peer.
SILENCE_SECONDS = 2.5 * tcp.PERIOD_SECONDS
# However long it takes, the peer is known by then.
AT_THE_END = {"attachment": "tcp", "tcp_reporting_duration": "0s"}
MANY = 200


def _dribble(connection: socket.socket, data: bytes) -> None:
    """A byte at a time."""
    for index in range(len(data)):
        connection.sendall(data[index : index + 1])
        time.sleep(PAUSE_SECONDS)


def _clusters(envoy: Envoy) -> tuple[str, str, str]:
    """Source and destination of all requests, and code."""
    (labels,) = map(dict, envoy.families()["istio_requests_total"].series)
    return labels["source_cluster"], labels["destination_cluster"], labels["response_code"]


def test_request_headers_a_byte_at_a_time(mesh: Mesh, backend: int) -> None:
    with traffic.connect(mesh.start(west(backend))) as connection:
        _dribble(connection, encode(headers(SHOP)))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    mesh.await_total("west", "istio_requests_total", 1)
    assert _clusters(mesh["west"]) == ("east", "west", "200")


def test_response_headers_a_byte_at_a_time(mesh: Mesh) -> None:
    lines = [f"{name}: {value}" for name, value in headers(STOCK).items()]
    answer = "\r\n".join(["HTTP/1.1 200 OK", *lines, "content-length: 0", "", ""]).encode()

    def slow(connection: socket.socket) -> None:
        traffic.receive(connection, 1)
        _dribble(connection, answer)
        connection.recv(65536)

    with traffic.backend(slow) as backend_port:
        with traffic.connect(mesh.start(east(backend_port, endpoint_metadata=None))) as connection:
            connection.sendall(encode({}))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        mesh.await_total("east", "istio_requests_total", 1)
    assert _clusters(mesh["east"]) == ("east", "west", "200")


def test_request_headers_that_stop_are_a_408(mesh: Mesh, backend: int) -> None:
    """In the midst of the peer's, so that nobody is known to have sent them."""

    def change(whole: Json) -> None:
        http_manager(whole)["request_headers_timeout"] = "0.5s"

    with traffic.connect(mesh.start(Altered(west(backend), change))) as connection:
        connection.sendall(encode(headers(SHOP))[:400])
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
    mesh.await_total("west", "istio_requests_total", 1)
    assert _clusters(mesh["west"]) == ("unknown", "west", "408")


def test_a_frame_a_byte_at_a_time(mesh: Mesh, doubler: int) -> None:
    with traffic.connect(mesh.start(tcp.west(doubler, stats=AT_THE_END))) as connection:
        _dribble(connection, FRAME)
        connection.sendall(b"hello")
        traffic.receive_frame(connection)
        assert traffic.receive(connection, 10) == b"hellohello"
    expect(mesh, west={"west": Counts(opened=1, closed=1, received=5, sent=10)})


def test_an_answer_a_byte_at_a_time(mesh: Mesh) -> None:
    def slow(connection: socket.socket) -> None:
        traffic.receive_frame(connection)
        assert traffic.receive(connection, 5) == b"hello"
        _dribble(connection, ANSWER)
        connection.sendall(b"bye")

    with traffic.backend(slow) as backend_port:
        with traffic.connect(mesh.start(tcp.east(backend_port, stats=AT_THE_END))) as connection:
            connection.sendall(b"hello")
            assert traffic.receive(connection, 3) == b"bye"
        expect(mesh, east={"east": Counts(opened=1, closed=1, received=5, sent=3)})


@pytest.mark.parametrize("end, passed", [(socket.socket.close, HALF), (traffic.reset, b"")], ids=["close", "reset"])
def test_half_an_answer_then_silence_then_the_end(
    mesh: Mesh, end: Callable[[socket.socket], None], passed: bytes
) -> None:
    """An orderly end makes it data. A reset leaves nobody to give it to."""

    def rude(connection: socket.socket) -> None:
        traffic.receive_frame(connection)
        traffic.receive(connection, 5)
        connection.sendall(HALF)
        time.sleep(SILENCE_SECONDS)
        end(connection)

    with traffic.backend(rude) as backend_port:
        with traffic.connect(mesh.start(tcp.east(backend_port))) as connection:
            connection.sendall(b"hello")
            received = b""
            with suppress(ConnectionResetError):
                while data := connection.recv(100):
                    received += data
        assert received == passed
        await_totals(mesh["east"], Counts(opened=1, closed=1, received=5, sent=len(passed)))


def test_many_half_frames_hold_up_nobody_else(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.west(doubler))
    with ExitStack() as stack:
        held = [stack.enter_context(traffic.connect(port)) for _ in range(MANY)]
        for connection in held:
            connection.sendall(HALF)
        begin = time.monotonic()
        with traffic.connect(port) as connection:
            connection.sendall(FRAME + b"hello")
            traffic.receive_frame(connection)
            assert traffic.receive(connection, 10) == b"hellohello"
        print(f"served in {time.monotonic() - begin:.3f} s next to {MANY} half frames")
        for connection in held:
            connection.shutdown(socket.SHUT_WR)
            assert traffic.receive(connection, 2 * len(HALF)) == 2 * HALF
    alone = Counts(opened=MANY, closed=MANY, received=MANY * len(HALF), sent=2 * MANY * len(HALF))
    expect(mesh, west={"west": Counts(opened=1, closed=1, received=5, sent=10), "west_alone": alone})
