"""Where a tunnel of Istio's ambient mode ends: who dug it is in the filter state, and no certificate shows it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lab.certs import Identity
from lab.tree import Json
from tests.e2e.harness import clients, forms, tcp
from tests.e2e.harness import istio_peers as istio
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.altered import Altered
from tests.e2e.harness.istio import tunnel
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, waypoint, west
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import SHOP, STOCK, STOCK_SERVICE

pytestmark = forms.BOTH

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


def _reported(mesh: Mesh, metric: str, name: str = "west", wanted: dict[str, str] = LABELS) -> dict[str, str]:
    """The same labels as wanted, of the only series."""
    mesh.await_total(name, metric, 1)
    (series,) = mesh[name].families()[metric].series
    labels = dict(series)
    return {label: labels[label] for label in wanted}


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


# Of a client that digs the tunnel itself: no certificate shows there who is at its end, Istio's discovery knows.
DUG = {
    "source_workload": SHOP.name,
    "source_principal": "unknown",
    "source_cluster": SHOP.cluster_id,
    "destination_workload": STOCK.name,
    "destination_workload_namespace": STOCK.namespace,
    "destination_principal": STOCK.spiffe_id(),
    "destination_service": STOCK_SERVICE["host"],
    "destination_cluster": STOCK.cluster_id,
    "connection_security_policy": "unknown",
}
DUG_TO = {**LABELS, "source_workload": SHOP.name, "source_cluster": SHOP.cluster_id}

REQUESTS, CONNECTIONS = "istio_requests_total", "istio_tcp_connections_closed_total"


@FORMS
@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_a_sidecar_calls_through_a_tunnel_of_its_own(
    mesh: Mesh,
    backend: int,
    doubler: int,
    shop_identity: Identity,
    stock_identity: Identity,
    kind: str,
    logger: bool,
) -> None:
    network = kind == "tcp"
    called: Any = tcp.west(doubler, **_usual(logger)) if network else west(backend, **_usual(logger))
    envoy = mesh.run(Altered(called, partial(tunnel.terminate, identity=stock_identity)))
    discovered = [istio.set_filter_state("upstream_peer", tunnel.peer(STOCK), network=network)]
    make: Callable[..., Any] = tcp.east if network else east
    caller = make(1, filters=discovered, **_usual(logger))
    port = envoy.port(tunnel.CONNECT_TERMINATE)
    dig = partial(tunnel.dig, identity=shop_identity, server=STOCK, server_port=port)
    _call(kind, mesh.start(Altered(caller, dig)))
    metric = CONNECTIONS if network else REQUESTS
    assert _reported(mesh, metric, "east", DUG) == DUG
    assert _reported(mesh, metric, "west", DUG_TO) == DUG_TO


# Nobody tells a waypoint who is at either end; the tunnel tells the caller's principal, and that its namespace.
NOBODY = {
    "reporter": "waypoint",
    "source_workload": "unknown",
    "source_workload_namespace": SHOP.namespace,
    "source_principal": SHOP.spiffe_id(),
    "source_app": "unknown",
    "source_canonical_service": "unknown",
    "source_canonical_revision": "latest",
    "source_cluster": "unknown",
    "destination_workload": "unknown",
    "destination_workload_namespace": "unknown",
    "destination_principal": "unknown",
    "destination_app": "unknown",
    "destination_canonical_service": "unknown",
    "destination_canonical_revision": "unknown",
    "destination_service": STOCK_SERVICE["host"],
    "destination_service_name": STOCK_SERVICE["name"],
    "destination_cluster": "unknown",
    "connection_security_policy": "mutual_tls",
}


@FORMS
def test_a_waypoint_at_the_end_of_a_tunnel_knows_nobody(
    mesh: Mesh, backend: int, shop_identity: Identity, stock_identity: Identity, logger: bool
) -> None:
    """As long as Istio's workload discovery has neither side."""
    proxy = waypoint(backend, logger=logger, exchange=ABSENT)
    envoy = mesh.run(Altered(proxy, partial(tunnel.terminate, identity=stock_identity, caller=None)))
    port = envoy.port(tunnel.CONNECT_TERMINATE)
    ztunnel = tunnel.Ztunnel("ztunnel", STOCK, port, {"http": f"{STOCK.address}:8080"}, shop_identity)
    _call("http", mesh.run(ztunnel).port("http"))
    assert _reported(mesh, REQUESTS, "waypoint", NOBODY) == NOBODY


def _usual(logger: bool) -> Json:
    return {"logger": logger, "exchange": ABSENT}


def _call(kind: str, port: int) -> None:
    if kind == "tcp":
        traffic.converse(port)
        return
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
