"""A waypoint of Istio's ambient mode, as istiod builds it: behind the tunnel's end there
is a filter chain for each port of each service."""

from collections.abc import Sequence
from dataclasses import replace

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from tests.e2e.harness import istio_peers, usual, workloads
from tests.e2e.harness.istio import tunnel
from tests.e2e.harness.istio.chains import Chains
from tests.e2e.harness.istio.proxies import STOCK, VERSION
from tests.e2e.harness.workloads import STOCK_SERVICE

HTTP, TCP = "http", "tcp"
# Of the service, as the caller knows it.
_ADDRESS = "10.96.7.9"
_PORTS = {HTTP: 80, TCP: 5432}
ADDRESSES = {kind: f"{_ADDRESS}:{port}" for kind, port in _PORTS.items()}
WAYPOINT = replace(workloads.WAYPOINT, istio_version=VERSION)


class WaypointChains(Chains):
    """The chains of `main_internal`: there the STATS phase comes late."""

    def _http_filters(self) -> list[Json]:
        upstream = istio_peers.set_filter_state("upstream_peer", tunnel.peer(STOCK))
        return [
            *self._plugins("HTTP", "AUTHN", "AUTHZ"),
            *self._http_features(),
            *self._plugins("HTTP", "STATS", "UNSPECIFIED"),
            {**upstream, "name": "waypoint_upstream_peer_metadata"},
        ]

    def _unanswered_exchange(self) -> Json:
        """It asks Istio's workload discovery whom the connection reaches."""
        found = istio_peers.set_filter_state("upstream_peer", tunnel.peer(STOCK), network=True)
        return {**found, "name": "istio.metadata_exchange"}


def listeners(chains: Chains, identity: Identity) -> list[Json]:
    chains = WaypointChains(chains.context, chains.extensions, chains.own_metrics)
    grpc = bootstrap.route("/", _cluster("grpc"), timeout="0s")
    grpc["match"]["grpc"] = {}
    routes = [grpc, bootstrap.route("/", _cluster(HTTP))]
    http = chains.http(f"inbound-vip|80|http|{STOCK_SERVICE['host']}", routes, exchanges=False)
    tcp = chains.tcp(f"inbound-vip|5432|tcp|{STOCK_SERVICE['host']}", _cluster(TCP), exchanges=False)
    return tunnel.listeners(identity, [_chain(_PORTS[HTTP], http), _chain(_PORTS[TCP], tcp)])


def clusters(backends: Sequence[int]) -> list[Json]:
    """What is behind the waypoint, without a tunnel of its own; the end of the other one."""
    http, grpc, tcp = backends
    return [
        usual.upstream_cluster(_cluster(HTTP), [http], [STOCK_SERVICE], protocol="http1"),
        usual.upstream_cluster(_cluster("grpc"), [grpc], [STOCK_SERVICE], protocol="http2"),
        usual.upstream_cluster(_cluster(TCP), [tcp], [STOCK_SERVICE]),
        tunnel.to_main_internal(),
    ]


def _cluster(kind: str) -> str:
    return f"inbound-vip|{_PORTS.get(kind, 9090)}|{kind}|{STOCK_SERVICE['host']}"


def _chain(port: int, filters: list[Json]) -> Json:
    return {"name": f"{_ADDRESS}:{port}", "filter_chain_match": {"destination_port": port}, "filters": filters}
