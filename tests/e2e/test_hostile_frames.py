"""What arrives in place of a frame of the exchange: parts, halves, fakes, garbage."""

import socket
import time
from collections.abc import Sequence

import pytest

from tests.e2e.harness import forms, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import FRAME_MAGIC, frame, raw_frame
from tests.e2e.harness.tcp_families import Counts, expect
from tests.e2e.harness.workloads import SHOP

FRAME = frame(SHOP.peer_metadata(), SHOP.node_id)
# So that the parts arrive one by one.
PAUSE_SECONDS = 0.2


@pytest.fixture
def west(mesh: Mesh, doubler: int) -> int:
    return mesh.start(tcp.west(doubler))


@pytest.mark.parametrize("cuts", [[], [2], [2, 7, 100]], ids=["whole", "in_the_magic", "everywhere"])
def test_a_frame_may_come_in_parts(mesh: Mesh, west: int, cuts: Sequence[int]) -> None:
    with traffic.connect(west) as connection:
        _send_in_parts(connection, FRAME + b"hello", cuts)
        # West's own comes in front of the first bytes.
        traffic.receive_frame(connection)
        assert traffic.receive(connection, 10) == b"hellohello"
    expect(mesh, west={"west": Counts(opened=1, closed=1, received=5, sent=10)})


def test_a_frame_may_take_long(mesh: Mesh, west: int) -> None:
    """After two periods the opening is reported, no byte of an unfinished frame ever is."""
    with traffic.connect(west) as connection:
        connection.sendall(FRAME[:100])
        expect(mesh, west={"west_alone": Counts(opened=1)})
        connection.sendall(FRAME[100:] + b"hello")
        traffic.receive_frame(connection)
        assert traffic.receive(connection, 10) == b"hellohello"
        expect(mesh, west={"west_alone": Counts(opened=1), "west": Counts(received=5, sent=10)})
    expect(mesh, west={"west_alone": Counts(opened=1), "west": Counts(closed=1, received=5, sent=10)})


NO_FRAMES = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x00",
    # A wrong magic number, in its last byte only.
    FRAME_MAGIC[:3] + b"\x68\x00\x00\x00\x04abcd",
    # Longer than any frame.
    FRAME_MAGIC + b"\xff\xff\xff\xff and more",
    FRAME_MAGIC + b"\x00\x00\x40\x01 and more",
    # The other byte order.
    FRAME_MAGIC[::-1] + b"\x00\x00\x00\x01x",
)

pytestmark = forms.BOTH


@pytest.mark.parametrize("cuts", [[], [1], [1, 4]], ids=["whole", "two_parts", "three_parts"])
def test_what_is_no_frame_is_data(mesh: Mesh, west: int, cuts: Sequence[int]) -> None:
    for data in NO_FRAMES:
        with traffic.connect(west) as connection:
            _send_in_parts(connection, data, [cut for cut in cuts if cut < len(data)])
            answer = traffic.receive(connection, 2 * len(data))
            # The doubler answers each part as it comes.
            assert sorted(answer) == sorted(data + data)
    opened, received = len(NO_FRAMES), sum(map(len, NO_FRAMES))
    expect(mesh, west={"west_alone": Counts(opened=opened, closed=opened, received=received, sent=2 * received)})


@pytest.mark.parametrize("cuts", [[], [10]], ids=["at_once", "in_parts"])
def test_half_a_frame_that_ends_is_data(mesh: Mesh, west: int, cuts: Sequence[int]) -> None:
    half = FRAME[:50]
    with traffic.connect(west) as connection:
        _send_in_parts(connection, half, cuts)
        time.sleep(PAUSE_SECONDS)
        connection.shutdown(socket.SHUT_WR)
        assert traffic.receive(connection, 100) == half + half
    expect(mesh, west={"west_alone": Counts(opened=1, closed=1, received=50, sent=100)})


def test_half_a_frame_that_is_reset_passed_nothing(mesh: Mesh, west: int) -> None:
    connection = traffic.connect(west)
    connection.sendall(FRAME[:50])
    time.sleep(PAUSE_SECONDS)
    traffic.reset(connection)
    expect(mesh, west={"west_alone": Counts(opened=1, closed=1)})


# No bytes, no protobuf, no Struct.
UNUSABLE = (b"", b"\xff" * 100, b"\x12\x05\x0a\x03abc")


def test_a_frame_without_a_workload_is_taken_off(mesh: Mesh, west: int) -> None:
    for payload in UNUSABLE:
        with traffic.connect(west) as connection:
            connection.sendall(raw_frame(payload) + b"hello")
            traffic.receive_frame(connection)
            assert traffic.receive(connection, 10) == b"hellohello"
    expect(mesh, west={"west_alone": Counts(opened=3, closed=3, received=15, sent=30)})


@pytest.mark.parametrize(
    "answers, passed",
    [
        ([raw_frame(payload) + b"bye" for payload in UNUSABLE], [b"bye"] * 3),
        ([b"HTTP/1.1 200 OK", FRAME_MAGIC + b"\xff\xff\xff\xff!", FRAME_MAGIC[:3]], None),
    ],
    ids=["frames_without_a_workload", "no_frames"],
)
def test_an_unusable_answer_leaves_the_peer_unknown(
    mesh: Mesh, answers: list[bytes], passed: list[bytes] | None
) -> None:
    """A frame is taken off, anything else is data."""
    left = list(answers)

    def upstream(connection: socket.socket) -> None:
        traffic.receive_frame(connection)
        traffic.receive(connection, 5)
        connection.sendall(left.pop(0))

    with traffic.backend(upstream) as backend_port:
        port = mesh.start(tcp.east(backend_port))
        wanted = passed or answers
        for data in wanted:
            with traffic.connect(port) as connection:
                connection.sendall(b"hello")
                assert traffic.receive(connection, len(data)) == data
                assert connection.recv(1) == b""
    counts = Counts(opened=3, closed=3, received=15, sent=sum(map(len, wanted)))
    expect(mesh, east={"east_alone": counts})


def test_a_peer_cannot_write_labels(mesh: Mesh, west: int) -> None:
    trick = "x;.;reporter=.=forged;."
    labels = ("service.istio.io/canonical-name", "service.istio.io/canonical-revision", "app", "version")
    metadata = {
        **dict.fromkeys(("NAME", "NAMESPACE", "WORKLOAD_NAME", "CLUSTER_ID", "OWNER", "MESH_ID"), trick),
        "LABELS": dict.fromkeys(labels, trick),
    }
    with traffic.connect(west) as connection:
        connection.sendall(frame(metadata, trick) + b"hello")
        traffic.receive_frame(connection)
        traffic.receive(connection, 10)
    expect(mesh, west={"west_hostile": Counts(opened=1, closed=1, received=5, sent=10)})


def _send_in_parts(connection: socket.socket, data: bytes, cuts: Sequence[int]) -> None:
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        connection.sendall(data[begin:end])
        time.sleep(PAUSE_SECONDS if end < len(data) else 0)
