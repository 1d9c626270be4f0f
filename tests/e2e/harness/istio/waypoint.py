"""A waypoint of Istio's ambient mode, and the tunnel to it.

As istiod builds it: `connect_terminate` takes the tunnel's end, keeps who dug it
and hands the connection inside over to `main_internal`, which has a filter chain
for each port of each service. There is no control plane that Istio's filters
could ask for workloads, so Envoy's own `set_filter_state` stands in for them,
under their names: it keeps the peers in their form.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from tests.e2e.harness import istio_peers, usual, workloads
from tests.e2e.harness.istio.chains import Chains
from tests.e2e.harness.istio.proxies import SHOP, STOCK, VERSION
from tests.e2e.harness.workloads import STOCK_SERVICE, Workload

CONNECT_TERMINATE = "connect_terminate"
MAIN_INTERNAL = "main_internal"
HTTP, TCP = "http", "tcp"
# Of the service, as the caller knows it.
_ADDRESS = "10.96.7.9"
_PORTS = {HTTP: 80, TCP: 5432}
WAYPOINT = replace(workloads.WAYPOINT, istio_version=VERSION)


class WaypointChains(Chains):
    """The chains of `main_internal`: there the STATS phase comes late."""

    def _http_filters(self) -> list[Json]:
        upstream = istio_peers.set_filter_state("upstream_peer", _peer(STOCK))
        return [
            *self._plugins("HTTP", "AUTHN", "AUTHZ"),
            *self._http_features(),
            *self._plugins("HTTP", "STATS", "UNSPECIFIED"),
            {**upstream, "name": "waypoint_upstream_peer_metadata"},
        ]

    def _exchange(self, attachment: str) -> Json:
        """Over TCP: nobody answers inside the tunnel, so it asks Istio's workload discovery."""
        found = istio_peers.set_filter_state("upstream_peer", _peer(STOCK), network=True)
        return {**found, "name": "istio.metadata_exchange"}


def listeners(chains: Chains, identity: Identity) -> list[Json]:
    chains = WaypointChains(chains.context, chains.extensions, chains.own_metrics)
    grpc = bootstrap.route("/", _cluster("grpc"), timeout="0s")
    grpc["match"]["grpc"] = {}
    http = chains.http(f"inbound-vip|80|http|{STOCK_SERVICE['host']}", [grpc, bootstrap.route("/", _cluster(HTTP))])
    tcp = chains.tcp(f"inbound-vip|5432|tcp|{STOCK_SERVICE['host']}", _cluster(TCP))
    internal = {
        "name": MAIN_INTERNAL,
        "traffic_direction": "INBOUND",
        "internal_listener": {},
        "listener_filters": [bootstrap.extension("filters.listener.original_dst.v3.OriginalDst")],
        "filter_chains": [_chain(_PORTS[HTTP], http), _chain(_PORTS[TCP], tcp)],
    }
    return [_connect_terminate(identity), internal]


def clusters(backends: Sequence[int]) -> list[Json]:
    """What is behind the waypoint, without a tunnel of its own; the end of the other one."""
    http, grpc, tcp = backends
    return [
        usual.upstream_cluster(_cluster(HTTP), [http], [STOCK_SERVICE], protocol="http1"),
        usual.upstream_cluster(_cluster("grpc"), [grpc], [STOCK_SERVICE], protocol="http2"),
        usual.upstream_cluster(_cluster(TCP), [tcp], [STOCK_SERVICE]),
        _to_main_internal(),
    ]


@dataclass
class Ztunnel:
    """The caller's end of the tunnel, with a listener for each port of the service; can be started in a Mesh."""

    name: str
    waypoint_port: int
    identity: Identity
    workers: int = 1
    arguments: tuple[str, ...] = ()
    expected_log: tuple[str, ...] = ()
    permitted_log: str | None = None

    def bootstrap(self) -> Json:
        tls = bootstrap.upstream_tls(self.identity, WAYPOINT.spiffe_id())
        hbone = usual.upstream_cluster("hbone", [self.waypoint_port], protocol="http2", tls=tls)
        return bootstrap.bootstrap(SHOP.node(), [self._listener(kind) for kind in _PORTS], [hbone])

    def _listener(self, kind: str) -> Json:
        tunnel = {"hostname": f"{_ADDRESS}:{_PORTS[kind]}"}
        return bootstrap.listener(kind, [bootstrap.tcp_proxy(kind, "hbone", tunneling_config=tunnel)])


def _connect_terminate(identity: Identity) -> Json:
    connect = {"upgrade_type": "CONNECT"}
    route = {
        "match": {"connect_matcher": {}},
        "route": {"cluster": MAIN_INTERNAL, "upgrade_configs": [{**connect, "connect_config": {}}]},
    }
    downstream = _kept("downstream_peer", _peer(SHOP))
    # An address by its key, where the others are texts.
    authority = _kept("envoy.filters.listener.original_dst.local_ip", "%REQ(:AUTHORITY)%", factory_key="")
    principal = _kept("io.istio.peer_principal", "%DOWNSTREAM_PEER_URI_SAN%")
    manager = bootstrap.http_manager(
        CONNECT_TERMINATE,
        [{**downstream, "name": "waypoint_downstream_peer_metadata"}, authority, principal],
        {"virtual_hosts": [bootstrap.virtual_host("any", [route])]},
        http2_protocol_options={"allow_connect": True},
        upgrade_configs=[connect],
    )
    tls = bootstrap.downstream_tls(identity)
    # As the tunnel does, which is HTTP/2 and nothing else.
    tls["common_tls_context"]["alpn_protocols"] = ["h2"]
    return bootstrap.listener(CONNECT_TERMINATE, [manager], tls=tls)


def _to_main_internal() -> Json:
    address = {"envoy_internal_address": {"server_listener_name": MAIN_INTERNAL}}
    # Takes along what is kept of the tunnel.
    transport = bootstrap.extension(
        "transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        transport_socket=bootstrap.extension("transport_sockets.raw_buffer.v3.RawBuffer"),
    )
    return bootstrap.static_cluster(MAIN_INTERNAL, [{"endpoint": {"address": address}}], transport_socket=transport)


def _kept(key: str, text: str, **options: Any) -> Json:
    """For the connection inside the tunnel."""
    return istio_peers.set_filter_state(key, text, shared_with_upstream="ONCE", **options)


def _peer(workload: Workload) -> str:
    return istio_peers.pairs(istio_peers.fields(workload)).decode()


def _cluster(kind: str) -> str:
    return f"inbound-vip|{_PORTS.get(kind, 9090)}|{kind}|{STOCK_SERVICE['host']}"


def _chain(port: int, filters: list[Json]) -> Json:
    return {"name": f"{_ADDRESS}:{port}", "filter_chain_match": {"destination_port": port}, "filters": filters}
