"""Connections of whoever means harm: bytes pass unchanged, and the next connection is served and counted."""

import socket

import pytest

from tests.e2e.harness import forms, tcp, unharmed
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.clients import send_raw
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import FRAME_MAGIC, frame, raw_frame
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.tcp_families import Counts, expect
from tests.e2e.harness.unharmed import Target
from tests.e2e.harness.workloads import SHOP, STOCK, WAYPOINT

pytestmark = forms.BOTH

LARGEST = 16 * 1024
FRAME = frame(WAYPOINT.peer_metadata(), WAYPOINT.node_id)
BREAKOUT = ";.;reporter=.=x;.;source_cluster=.=y"
FORGED = frame({"WORKLOAD_NAME": BREAKOUT, "CLUSTER_ID": BREAKOUT}, BREAKOUT)
# What a client sends, and what of it is the application's.
SENT = {
    "nothing": (b"", b""),
    "zeroes": (bytes(5000), bytes(5000)),
    "http_2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a_frame_alone": (FRAME, b""),
    "a_frame_twice": (FRAME + FRAME + b"x", FRAME + b"x"),
    "a_frame_later": (b"hello" + FRAME, b"hello" + FRAME),
    "the_magic_alone": (FRAME_MAGIC, FRAME_MAGIC),
    "the_magic_twice": (FRAME_MAGIC * 2, FRAME_MAGIC * 2),
    "an_empty_frame": (raw_frame(b"") + b"x", b"x"),
    "the_largest_frame": (raw_frame(bytes(LARGEST)) + b"x", b"x"),
    "a_larger_frame": (raw_frame(bytes(LARGEST + 1)), raw_frame(bytes(LARGEST + 1))),
    "a_length_of_4_GB": (FRAME_MAGIC + b"\xff" * 4 + b"x", FRAME_MAGIC + b"\xff" * 4 + b"x"),
    "a_length_that_is_short": (FRAME_MAGIC + b"\0\0\0\x04" + FRAME[8:], FRAME[12:]),
    "a_length_that_is_long": (FRAME_MAGIC + b"\0\0\x40\0" + FRAME[8:], FRAME_MAGIC + b"\0\0\x40\0" + FRAME[8:]),
    "half_a_frame": (FRAME[:100], FRAME[:100]),
    "no_any": (raw_frame(b"\xff" * 500) + b"x", b"x"),
    "fields_without_end": (raw_frame(b"\x12\0" * (LARGEST // 2)) + b"x", b"x"),
    "nested_deep": (raw_frame(b"\x12\x7e\x0a\x7c" * 3000) + b"x", b"x"),
    "a_forged_frame": (FORGED + b"x", b"x"),
}


@pytest.fixture
def inbound(mesh: Mesh, doubler: int) -> tuple[Target, int]:
    """The target and its port."""
    return _start(mesh, tcp.west(doubler))


def _start(mesh: Mesh, sidecar: Runnable) -> tuple[Target, int]:
    port = mesh.start(sidecar)

    def serve() -> None:
        with traffic.connect(port) as connection:
            connection.sendall(frame(SHOP.peer_metadata(), SHOP.node_id) + b"hello")
            traffic.receive_frame(connection)
            assert traffic.receive(connection, 10) == b"hellohello"

    return unharmed.tcp(mesh["west"], serve, "west"), port


@pytest.mark.parametrize("part_bytes", [1 << 20, 1], ids=["at_once", "byte_by_byte"])
def test_whatever_a_client_sends(inbound: tuple[Target, int], part_bytes: int) -> None:
    target, port = inbound
    with unharmed.unharmed(target):
        for name, (data, passed) in SENT.items():
            answer = send_raw(port, data, part_bytes, ends=True)
            if len(passed) < len(data):
                # A frame was taken off, and answered.
                assert answer.startswith(FRAME_MAGIC), name
                answer = answer[8 + int.from_bytes(answer[4:8], "big") :]
            # The doubler answers each part as it comes.
            assert sorted(answer) == sorted(passed * 2), name


def test_a_flood_of_new_peers(mesh: Mesh, doubler: int) -> None:
    bound, connections = 20, 500
    stats = {"attachment": "tcp", "tcp_reporting_duration": "1s", "max_series": bound}
    target, port = _start(mesh, tcp.west(doubler, stats=stats))
    with unharmed.unharmed(target, most_label_sets=bound + 1):
        for number in range(connections):
            name = f"peer-{number}"
            send_raw(port, frame({"WORKLOAD_NAME": name, "CLUSTER_ID": name}, SHOP.node_id) + b"x", ends=True)
    closed = mesh["west"].families()[target.counter].series
    overflow = [value for labels, value in closed.items() if dict(labels)["source_workload"] == "overflow"]
    assert overflow == [connections - (bound - 1)]


def test_hundreds_of_frames_that_never_end(inbound: tuple[Target, int]) -> None:
    """What is held back for each is at most a frame."""
    target, port = inbound
    with unharmed.unharmed(target):
        held = [traffic.connect(port) for _ in range(300)]
        for connection in held:
            connection.sendall(raw_frame(bytes(LARGEST))[:-1])
        # Whoever comes while they wait is served.
        traffic.converse(port)
        for connection in held:
            traffic.reset(connection)


def test_with_trust_mtls_a_frame_without_a_certificate_tells_nothing(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.west(doubler, exchange={"attachment": "tcp", "trust": "mtls"}))
    assert send_raw(port, FRAME + b"hello", ends=True) == b"hellohello"
    expect(mesh, west={"west_alone": Counts(opened=1, closed=1, received=5, sent=10)})


# What an upstream answers, and what of it is the client's.
ANSWERS = {
    "nothing": (b"", b""),
    "no_frame": (b"bye", b"bye"),
    "a_frame_alone": (FRAME, b""),
    "a_frame_twice": (FRAME + FRAME, FRAME),
    "a_frame_later": (b"bye" + FRAME, b"bye" + FRAME),
    "half_a_frame": (FRAME[:100], FRAME[:100]),
    "an_empty_frame": (raw_frame(b"") + b"bye", b"bye"),
    "the_largest_frame": (raw_frame(bytes(LARGEST)) + b"bye", b"bye"),
    "a_length_of_4_GB": (FRAME_MAGIC + b"\xff" * 4 + b"bye", FRAME_MAGIC + b"\xff" * 4 + b"bye"),
    "no_any": (raw_frame(b"\xff" * 500) + b"bye", b"bye"),
    "a_forged_frame": (FORGED + b"bye", b"bye"),
}


@pytest.mark.parametrize("part_bytes", [1 << 20, 1], ids=["at_once", "byte_by_byte"])
def test_whatever_an_upstream_answers(mesh: Mesh, part_bytes: int) -> None:
    def upstream(connection: socket.socket) -> None:
        traffic.receive_frame(connection)
        asked = traffic.receive(connection, 20).decode().strip()
        data, _ = ANSWERS.get(asked, (frame(STOCK.peer_metadata(), STOCK.node_id) + b"bye", b""))
        for begin in range(0, len(data), part_bytes):
            connection.sendall(data[begin : begin + part_bytes])

    def ask(name: str) -> bytes:
        with traffic.connect(port) as connection:
            connection.sendall(name.ljust(20).encode())
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def serve() -> None:
        assert ask("legitimate") == b"bye"

    with traffic.backend(upstream) as upstream_port:
        port = mesh.start(tcp.east(upstream_port))
        with unharmed.unharmed(unharmed.tcp(mesh["east"], serve, "east")):
            for name, (_, passed) in ANSWERS.items():
                assert ask(name) == passed, name
