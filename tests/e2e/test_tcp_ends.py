"""However a connection ends, every byte that passed is counted."""

import re
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from lab import bootstrap
from lab.waiting import PATIENCE_SECONDS, await_equal, wait_until
from tests.e2e.harness import forms, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.clients import refusing_port
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.tcp_families import Counts, await_totals, expect, expect_both, flags
from tests.e2e.harness.tcp_sink import Sink
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH

# Long enough for what the test does meanwhile, on a busy machine.
DRAIN_SECONDS = 3


def test_a_refused_connection_is_flagged(mesh: Mesh) -> None:
    with refusing_port() as nobody:
        port = mesh.start(tcp.east(mesh.start(tcp.west(nobody))))
        with traffic.connect(port) as connection:
            assert connection.recv(1) == b""
        # West accepted east's connection before its own was refused.
        ended = Counts(opened=1, closed=1)
        expect(mesh, east={"east_alone": ended}, west={"west_refused": ended})


def test_a_connection_refused_by_the_other_proxy_is_flagged(mesh: Mesh) -> None:
    with refusing_port() as nobody:
        port = mesh.start(tcp.east(nobody))
        with traffic.connect(port) as connection:
            assert connection.recv(1) == b""
        expect(mesh, east={"east_refused": Counts(opened=1, closed=1)})


LIMIT, MANY = 5, 20
LIMITS = {
    "local_ratelimit": bootstrap.extension(
        "filters.network.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="few",
        token_bucket={"max_tokens": LIMIT, "tokens_per_fill": LIMIT, "fill_interval": "3600s"},
    ),
    "connection_limit": bootstrap.extension(
        "filters.network.connection_limit.v3.ConnectionLimit", stat_prefix="few", max_connections=LIMIT
    ),
}
# As rules/proxies.yaml names what they count.
REFUSED = {
    "local_ratelimit": "envoy_local_rate_limit_rate_limited",
    "connection_limit": "envoy_connection_limit_limited_connections",
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    "place, logger, counted",
    [("behind", False, MANY), ("filters", False, LIMIT), ("filters", True, MANY)],
    ids=["behind the filter", "in front of the filter", "logger"],
)
def test_what_a_limit_refuses_counts_unless_it_is_in_front_of_the_plugin(
    mesh: Mesh, doubler: int, limit: str, place: str, logger: bool, counted: int
) -> None:
    port = mesh.start(tcp.west(doubler, exchange=ABSENT, logger=logger, **{place: [LIMITS[limit]]}))
    with ExitStack() as stack:
        connections = [stack.enter_context(traffic.connect(port)) for _ in range(MANY)]
        mesh["west"].await_stat("tcp.west.downstream_cx_total", MANY)
        for connection in connections[:LIMIT]:
            traffic.exchange_words(connection, b"x")
    mesh.await_total("west", "istio_tcp_connections_opened_total", counted)
    mesh.await_total("west", "istio_tcp_connections_closed_total", counted)
    page = mesh["west"].admin("/stats/prometheus").text
    (refused,) = re.findall(rf"^{REFUSED[limit]}{{.*}} (\d+)$", page, re.MULTILINE)
    assert int(refused) == MANY - LIMIT


def test_a_reset_by_the_client(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler))))
    connection = traffic.connect(port)
    traffic.exchange_words(connection, b"x" * 500)
    traffic.reset(connection)
    expect_both(mesh, Counts(opened=1, closed=1, received=500, sent=1000))


def test_a_reset_by_the_upstream(mesh: Mesh) -> None:
    received = threading.Event()

    def rude(connection: socket.socket) -> None:
        traffic.receive(connection, 5)
        connection.sendall(b"x" * 300)
        # A reset overtakes what it finds on its way.
        assert received.wait(PATIENCE_SECONDS)
        traffic.reset(connection)

    with traffic.backend(rude) as backend_port:
        port = mesh.start(tcp.east(mesh.start(tcp.west(backend_port))))
        with traffic.connect(port) as connection:
            connection.sendall(b"hello")
            traffic.receive(connection, 300)
            received.set()
            # Newer Envoys hand the reset on.
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        for name in ("east", "west"):
            await_totals(mesh[name], Counts(opened=1, closed=1, received=5, sent=300))
            # Newer Envoys flag it.
            assert flags(mesh[name]) in ({"-"}, {"UR"})


def test_an_upstream_that_closes(mesh: Mesh) -> None:
    def farewell(connection: socket.socket) -> None:
        traffic.receive(connection, 5)
        connection.sendall(b"x" * 70_000)

    with traffic.backend(farewell) as backend_port:
        port = mesh.start(tcp.east(mesh.start(tcp.west(backend_port))))
        with traffic.connect(port) as connection:
            connection.sendall(b"hello")
            traffic.receive(connection, 70_000)
            assert connection.recv(1) == b""
        expect_both(mesh, Counts(opened=1, closed=1, received=5, sent=70_000))


def test_a_client_that_closes_its_half_first(mesh: Mesh) -> None:
    def late(connection: socket.socket) -> None:
        while connection.recv(100):
            pass
        connection.sendall(b"all of it")

    with traffic.backend(late) as backend_port:
        port = mesh.start(tcp.east(mesh.start(tcp.west(backend_port))))
        with traffic.connect(port) as connection:
            connection.sendall(b"x" * 250)
            connection.shutdown(socket.SHUT_WR)
            assert traffic.receive(connection, 9) == b"all of it"
        expect_both(mesh, Counts(opened=1, closed=1, received=250, sent=9))


@pytest.mark.parametrize("replaced", ["filter_chain", "listener"])
def test_a_listener_update_drains_open_connections(mesh: Mesh, doubler: int, tmp_path: Path, replaced: str) -> None:
    with traffic.reserved_port() as listener_port:
        west = tcp.west(
            doubler,
            listeners_file=tmp_path / "listeners.json",
            port=listener_port,
            arguments=("--drain-time-s", str(DRAIN_SECONDS), "--drain-strategy", "immediate"),
        )
        port = mesh.start(tcp.east(mesh.start(west)))
        with traffic.connect(port) as connection:
            traffic.exchange_words(connection, b"x" * 100)
            if replaced == "filter_chain":
                # Envoy keeps the listener; the plugin gets a second root context.
                west.stats["tcp_reporting_duration"] = "0.5s"
            else:
                west.name = "west-again"
            west.publish()
            updates = "listener_in_place_updated" if replaced == "filter_chain" else "listener_removed"
            manager = f"listener_manager.{updates}"
            wait_until(lambda: mesh["west"].stats(f"^{manager}$")[manager] == 1, "the update")
            # Still open, and counted by whoever counted it before.
            traffic.exchange_words(connection, b"x" * 100)
            traffic.converse(port)
            assert connection.recv(1) == b"", "the drain did not end the connection"
        expect_both(mesh, Counts(opened=2, closed=2, received=206, sent=412))


def test_a_shutdown_with_open_connections(mesh: Mesh, doubler: int) -> None:
    """Nobody can scrape an Envoy that ended, but it pushes its counters for the last time."""
    # No report before the end.
    stats = {"attachment": "tcp", "tcp_reporting_duration": "60s"}
    with Sink() as sink:
        west = sink.attach(tcp.west(doubler, stats=stats, workers=2))
        port = mesh.start(tcp.east(mesh.start(west), exchange=ABSENT))
        connections = [traffic.connect(port) for _ in range(5)]
        for connection in connections:
            traffic.exchange_words(connection, b"x" * 100)
        traffic.converse(port)
        await_totals(mesh["west"], Counts(opened=1, closed=1, received=6, sent=12))
        mesh["west"].stop()
        everything = Counts(opened=6, closed=6, received=506, sent=1012)
        await_equal(sink.totals, everything, "pushed at the end")
        for connection in connections:
            connection.close()
