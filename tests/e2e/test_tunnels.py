"""Where a tunnel of Istio's ambient mode ends: who dug it is in the filter state, and no certificate shows it."""

import pytest

from lab.tree import Json
from tests.e2e.harness import clients, tcp
from tests.e2e.harness import istio_peers as istio
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import SHOP, STOCK

LABELS = {
    "source_principal": SHOP.spiffe_id(),
    "source_workload_namespace": SHOP.namespace,
    "destination_principal": STOCK.spiffe_id(),
    "connection_security_policy": "mutual_tls",
}
FORMS = pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])


def _kept(network: bool) -> list[Json]:
    """As Istio's `connect_terminate` hands both identities over to the listener inside."""
    identities = {"io.istio.peer_principal": SHOP, "io.istio.local_principal": STOCK}
    return [istio.set_filter_state(key, one.spiffe_id(), network=network) for key, one in identities.items()]


def _reported(mesh: Mesh, metric: str) -> dict[str, str]:
    mesh.await_total("west", metric, 1)
    (series,) = mesh["west"].families()[metric].series
    labels = dict(series)
    return {name: labels[name] for name in LABELS}


@FORMS
def test_a_request_out_of_a_tunnel_has_its_principals(mesh: Mesh, backend: int, logger: bool) -> None:
    port = mesh.start(west(backend, filters=_kept(network=False), logger=logger, exchange=ABSENT))
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
    assert _reported(mesh, "istio_requests_total") == LABELS


@FORMS
def test_a_connection_out_of_a_tunnel_has_its_principals(mesh: Mesh, doubler: int, logger: bool) -> None:
    proxy = tcp.west(doubler, filters=_kept(network=True), logger=logger, exchange=ABSENT)
    with traffic.connect(mesh.start(proxy)) as connection:
        traffic.exchange_words(connection, b"x" * 10)
    assert _reported(mesh, "istio_tcp_connections_closed_total") == LABELS


@FORMS
def test_trust_mtls_believes_whoever_opened_a_tunnel(mesh: Mesh, backend: int, logger: bool) -> None:
    """No certificate shows it there, the principal that was kept does."""
    stats = {"attachment": "http", "trust": "mtls"}
    peer = istio.keep(istio.line("downstream_peer", istio.flat_node(SHOP)))
    expected = {"tunnel": SHOP.cluster_id, "plain": "unknown"}
    for name, filters in (("tunnel", _kept(network=False)), ("plain", [])):
        proxy = west(backend, name=name, filters=[*filters, peer], logger=logger, exchange=ABSENT, stats=stats)
        with clients.http1(mesh.start(proxy)) as caller:
            assert caller.get("/").status_code == 200
        mesh.await_total(name, "istio_requests_total", 1)
        assert mesh.requests(name, ["source_cluster"]) == {(expected[name],): 1}
