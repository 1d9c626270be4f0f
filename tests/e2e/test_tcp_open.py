"""Connections that are open: counters grow as they go, for whoever the peer is by then."""

import socket
import time

from tests.e2e.harness import forms, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import frame
from tests.e2e.harness.tcp_families import Counts, await_totals, expect, expect_both, totals
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import STOCK

pytestmark = forms.BOTH


def test_an_open_connection_is_counted_as_it_goes(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler))))
    with traffic.connect(port) as connection:
        for step in range(1, 4):
            traffic.exchange_words(connection, b"x" * 1000)
            expect_both(mesh, Counts(opened=1, received=1000 * step, sent=2000 * step))
    expect_both(mesh, Counts(opened=1, closed=1, received=3000, sent=6000))


def test_thirty_seconds_with_the_default_period(mesh: Mesh, doubler: int) -> None:
    stats = {"attachment": "tcp"}
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler, stats=stats)), stats=stats))
    samples: dict[str, list[int]] = {"east": [], "west": []}
    begin = time.monotonic()
    rounds = 0
    with traffic.connect(port) as connection:
        connected = time.monotonic()
        while time.monotonic() - begin < 30:
            traffic.exchange_words(connection, b"x" * 100)
            rounds += 1
            for name, found in samples.items():
                found.append(totals(mesh[name]).received)
            time.sleep(0.5)
        at_least = time.monotonic() - connected
    sampled = time.monotonic() - begin
    expect_both(mesh, Counts(opened=1, closed=1, received=100 * rounds, sent=200 * rounds))
    at_most = time.monotonic() - begin
    for name, found in samples.items():
        assert found == sorted(found), f"{name}: a counter went back: {found}"
        reports = len(set(found) - {0})
        # Six periods; one may have ended before the first byte or at the last sample.
        assert 5 <= reports <= sampled / 5 + 1, f"{name}: {reports} reports in {sampled} s, one every 5 s: {found}"
        # Envoy's histograms keep two digits of a value.
        assert 0.9 * at_least < _duration_seconds(mesh[name]) < 1.1 * at_most


def test_a_silent_connection_is_counted_as_open(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler))))
    with traffic.connect(port):
        expect_both(mesh, Counts(opened=1), "east_alone", "west_alone")
    expect_both(mesh, Counts(opened=1, closed=1), "east_alone", "west_alone")


def test_an_unknown_peer_holds_nothing_back_for_long(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler, exchange=ABSENT)), exchange=ABSENT))
    with traffic.connect(port) as connection:
        traffic.exchange_words(connection, b"x" * 50)
        expect_both(mesh, Counts(opened=1, received=50, sent=100), "east_alone", "west_alone")
        traffic.exchange_words(connection, b"x" * 50)
        expect_both(mesh, Counts(opened=1, received=100, sent=200), "east_alone", "west_alone")


def test_what_passes_after_a_late_answer_is_the_peers(mesh: Mesh) -> None:
    """The answer comes in parts, with reports in between; what was reported by then stays unknown."""
    answer = frame(STOCK.peer_metadata(), STOCK.node_id)

    def slow(connection: socket.socket) -> None:
        traffic.receive_frame(connection)
        message = traffic.receive(connection, 5)
        for begin, end in ((0, 2), (2, 7), (7, 100)):
            time.sleep(tcp.PERIOD_SECONDS)
            connection.sendall(answer[begin:end])
        # Two periods are let pass while the peer may still tell who it is.
        await_totals(mesh["east"], Counts(opened=1, received=5))
        connection.sendall(answer[100:])
        connection.sendall(message + message)
        assert connection.recv(1) == b""

    with traffic.backend(slow) as backend_port:
        with traffic.connect(mesh.start(tcp.east(backend_port))) as connection:
            traffic.exchange_words(connection, b"hello")
            reported = Counts(opened=1, received=5)
            expect(mesh, east={"east_alone": reported, "east": Counts(sent=10)})
        expect(mesh, east={"east_alone": reported, "east": Counts(closed=1, sent=10)})


def test_without_a_period_everything_is_counted_at_the_end(mesh: Mesh, doubler: int) -> None:
    stats = {"attachment": "tcp", "tcp_reporting_duration": "0s"}
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler, stats=stats)), stats=stats))
    with traffic.connect(port) as connection:
        traffic.exchange_words(connection, b"x" * 50)
        time.sleep(2 * tcp.PERIOD_SECONDS)
        expect(mesh, east={}, west={})
    expect_both(mesh, Counts(opened=1, closed=1, received=50, sent=100))


def _duration_seconds(envoy: Envoy) -> float:
    (line,) = (
        line
        for line in envoy.admin("/stats/prometheus").text.splitlines()
        if line.startswith("istio_tcp_connection_duration_milliseconds_sum")
    )
    return float(line.rpartition(" ")[2]) / 1000
