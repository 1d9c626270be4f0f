"""The stats plugin as an access logger: the families that the filters report, without Wasm on the path."""

from collections.abc import Callable

import grpc
import httpx
import pytest

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness import clients, scrape, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.hostcalls import reports_of
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, NODE_ID
from tests.e2e.harness.scrape import LabelSet
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.standalone import REVIEWS, LoggerPair
from tests.e2e.harness.tcp_families import Counts, expect_both
from tests.e2e.harness.workloads import STOCK


@pytest.mark.parametrize("client", [clients.http1, clients.http2])
def test_requests(mesh: Mesh, backend: int, client: Callable[[int], httpx.Client]) -> None:
    port = mesh.start(east(mesh.start(west(backend, logger=True)), logger=True))
    with client(port) as caller:
        for _ in range(3):
            assert caller.get("/").status_code == 200
    mesh.expect("http.yaml")


def test_requests_over_mutual_tls(mesh: Mesh, backend: int, shop_identity: Identity, stock_identity: Identity) -> None:
    west_port = mesh.start(west(backend, logger=True, tls=bootstrap.downstream_tls(stock_identity)))
    tls = bootstrap.upstream_tls(shop_identity, peer_spiffe_id=STOCK.spiffe_id())
    with clients.http1(mesh.start(east(west_port, logger=True, tls=tls))) as caller:
        for _ in range(2):
            assert caller.get("/").status_code == 200
    mesh.expect("mutual_tls.yaml")


def test_grpc_calls(mesh: Mesh, grpc_backend_port: int) -> None:
    west_port = mesh.start(west(grpc_backend_port, protocol="http2", logger=True))
    with clients.grpc_client(mesh.start(east(west_port, logger=True))) as caller:
        for item in (b"lamp", b"chair"):
            assert caller.reserve(item) == b"reserved " + item
    mesh.expect("grpc_unary.yaml")


def test_a_grpc_error(mesh: Mesh, grpc_backend_port: int) -> None:
    west_port = mesh.start(west(grpc_backend_port, protocol="http2", logger=True))
    with clients.grpc_client(mesh.start(east(west_port, logger=True))) as caller, pytest.raises(grpc.RpcError):
        caller.refuse(b"lamp")
    mesh.expect("grpc_error.yaml")


def test_a_malformed_request_is_logged_too(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(west(backend, logger=True))
    port = mesh.start(east(west_port, logger=True))
    for target in (port, west_port):
        assert clients.send_raw(target, b"\x16\x03 this is no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    mesh.expect("malformed.yaml")


@pytest.mark.parametrize("stats", [{"attachment": "tcp"}, {}])
def test_connections(mesh: Mesh, doubler: int, stats: Json) -> None:
    port = mesh.start(tcp.east(mesh.start(tcp.west(doubler, logger=True, stats=stats)), logger=True, stats=stats))
    for _ in range(10):
        traffic.converse(port, b"world\n")
    expect_both(mesh, Counts(opened=10, closed=10, received=60, sent=120))


@pytest.fixture
def standalone(mesh: Mesh, backend: int, grpc_backend_port: int, doubler: int) -> LoggerPair:
    """The samples with the logger, running; by name, `east` and `west`."""
    return LoggerPair(mesh, backend, grpc_backend_port, doubler)


def test_the_samples_exchange_metadata_by_stock_filters(standalone: LoggerPair) -> None:
    with clients.http1(standalone["east"].port("outbound")) as caller:

        def send(count: int) -> None:
            for _ in range(count):
                answer = caller.get("/", headers=REVIEWS)
                assert answer.status_code == 200
                assert METADATA not in answer.headers
                assert NODE_ID not in answer.headers

        send(24)
        # A worker's first samples of a metric wait for a tick of its own.
        for name in ("east", "west"):
            _await(standalone[name], "istio_request_bytes", 24)
        with reports_of(standalone["east"], standalone["west"], count=4) as reports:
            send(4)
    # By then all that is known of a request comes in one list, the peer, too; but what
    # is remembered for some seconds may be read again.
    for calls in reports.values():
        assert {"call_foreign_function", "increment_metric", "record_metric"} in [set(one) for one in calls]
    traffic.converse(standalone["east"].port("outbound_tcp"))
    for name, reporter in (("east", "source"), ("west", "destination")):
        series = _await(standalone[name], "istio_requests_total", 28)
        labels = dict(series)
        assert labels["reporter"] == reporter
        assert (labels["source_cluster"], labels["destination_cluster"]) == ("east", "west")
        assert (labels["source_workload"], labels["destination_workload"]) == ("frontend-v1", "reviews-v2")
        # Only the exchange tells these.
        assert (labels["source_app"], labels["destination_app"]) == ("frontend", "reviews")
        tcp_labels = dict(_await(standalone[name], "istio_tcp_connections_closed_total", 1))
        assert tcp_labels["reporter"] == reporter


def test_the_samples_answer_only_who_asks(standalone: LoggerPair) -> None:
    address = f"http://127.0.0.1:{standalone['west'].port('inbound')}/"
    unasked = httpx.get(address)
    assert METADATA not in unasked.headers
    assert NODE_ID not in unasked.headers
    asked = httpx.get(address, headers={METADATA: "CgA="})
    assert METADATA in asked.headers
    assert NODE_ID in asked.headers


def _await(envoy: Envoy, family: str, total: int) -> LabelSet:
    """Labels of a family's only series once it makes `total`."""

    def found() -> bool:
        exported = scrape.standard(envoy.families()).get(family)
        return exported is not None and sum(exported.series.values()) == total

    wait_until(found, f"{envoy.name}: {family} of {total}")
    (labels,) = envoy.families()[family].series
    return labels
