"""Who is at both ends of a TCP connection, and what passed on it."""

import socket

import pytest

from lab import bootstrap
from lab.certs import Identity
from tests.e2e.harness import clients, forms, golden, sidecar, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.forms import Lacks
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import FRAME_MAGIC
from tests.e2e.harness.tcp_families import Counts, expect, expect_both, families
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import STOCK

pytestmark = forms.BOTH


def test_both_sides_know_each_other_and_count_the_same(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler))))
    for _ in range(10):
        traffic.converse(port, b"world\n")
    expect_both(mesh, Counts(opened=10, closed=10, received=60, sent=120))


def test_without_the_exchange_each_side_knows_itself(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler, exchange=ABSENT)), exchange=ABSENT))
    for _ in range(3):
        traffic.converse(port)
    expect_both(mesh, Counts(opened=3, closed=3, received=18, sent=36), "east_alone", "west_alone")


def test_only_the_accepting_side_has_the_exchange(mesh: Mesh, doubler: int) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler)), exchange=ABSENT))
    traffic.converse(port)
    expect_both(mesh, Counts(opened=1, closed=1, received=6, sent=12), "east_alone", "west_alone")


def test_only_the_connecting_side_has_the_exchange(mesh: Mesh) -> None:
    """The upstream cluster was opted in by mistake: the frame reaches the application."""
    seen = []

    def witness(connection: socket.socket) -> None:
        seen.append(traffic.receive_frame(connection))
        seen.append(traffic.receive(connection, 5))
        connection.sendall(b"what?")

    with traffic.backend(witness) as backend_port:
        port = mesh.start(tcp.east(mesh.start(tcp.west(backend_port, exchange=ABSENT))))
        with traffic.connect(port) as connection:
            connection.sendall(b"hello")
            assert traffic.receive(connection, 5) == b"what?"
    frame, message = seen
    assert frame.startswith(FRAME_MAGIC)
    assert message == b"hello"
    counts = Counts(opened=1, closed=1, received=5, sent=5)
    # For a proxy without the exchange the frame is data like any other.
    with_frame = Counts(opened=1, closed=1, received=len(frame) + 5, sent=5)
    expect(mesh, east={"east_alone": counts}, west={"west_alone": with_frame})


def test_no_frame_is_written_where_none_is_expected(mesh: Mesh, doubler: int) -> None:
    # The doubler would send a frame back twice.
    traffic.converse(mesh.start(tcp.east(doubler, opted_in=False)))
    expect(mesh, east={"east_alone": Counts(opened=1, closed=1, received=6, sent=12)})


def test_an_upstream_cluster_can_be_listed_in_the_configuration(mesh: Mesh, doubler: int) -> None:
    exchange = {"attachment": "tcp", "tcp_upstream_clusters": [tcp.SERVICE]}
    traffic.converse(mesh.start(tcp.east(mesh.start(tcp.west(doubler)), opted_in=False, exchange=exchange)))
    expect_both(mesh, Counts(opened=1, closed=1, received=6, sent=12))


@forms.wasm_only(Lacks.TCP_METADATA)
def test_endpoint_metadata_tells_what_no_exchange_did(mesh: Mesh, doubler: int) -> None:
    upstream = mesh.start(tcp.west(doubler, exchange=ABSENT))
    traffic.converse(mesh.start(tcp.east(upstream, exchange=ABSENT, endpoint_metadata=STOCK.endpoint_metadata())))
    expect_both(mesh, Counts(opened=1, closed=1, received=6, sent=12), "east_endpoint", "west_alone")


def test_the_exchange_counts_more_than_endpoint_metadata(mesh: Mesh, doubler: int) -> None:
    upstream = mesh.start(tcp.west(doubler))
    traffic.converse(mesh.start(tcp.east(upstream, endpoint_metadata="other-v9;elsewhere;other;rev-9;south")))
    expect_both(mesh, Counts(opened=1, closed=1, received=6, sent=12))


@pytest.mark.parametrize("trust", ["always", "mtls"])
def test_mutual_tls_shows_principals(
    mesh: Mesh, doubler: int, shop_identity: Identity, stock_identity: Identity, trust: str
) -> None:
    exchange = {"attachment": "tcp", "trust": trust}
    west = tcp.west(doubler, tls=bootstrap.downstream_tls(stock_identity), exchange=exchange)
    tls = bootstrap.upstream_tls(shop_identity, peer_spiffe_id=STOCK.spiffe_id())
    port = mesh.start(tcp.east(mesh.start(west), tls=tls, exchange=exchange))
    for _ in range(2):
        traffic.converse(port)
    counts = Counts(opened=2, closed=2, received=12, sent=24)
    expect_both(mesh, counts, "east_mutual_tls", "west_mutual_tls")


def test_one_proxy_serves_http_and_tcp_with_one_configuration(mesh: Mesh, doubler: int, backend: int) -> None:
    """The same modules, vm_ids, root ids and configurations; the kind is found out per stream."""
    stats = {"tcp_reporting_duration": "1s"}
    tcp_west = tcp.west(doubler, name="west-tcp", stats=stats, exchange={})
    http_port = mesh.start(sidecar.west(backend, stats=stats, exchange={}, joined=[tcp_west]))
    for kind in ("tcp", "http", "tcp"):
        if kind == "http":
            with clients.http1(http_port) as caller:
                assert caller.get("/").status_code == 200
        else:
            traffic.converse(mesh["west"].port("west-tcp"))
    counts = Counts(opened=2, closed=2, received=12, sent=24)
    wanted = {**golden.load("plain_client.yaml")["west"], **families("west", {"west_alone": counts})}
    mesh.expect_families({"west": wanted}, f"plain_client.yaml and {counts}")
