"""A waypoint of Istio's ambient mode, and the tunnel to it.

As istiod builds it: `connect_terminate` takes the tunnel's end, keeps who dug it
and hands the connection inside over to `main_internal`, which has a filter chain
for each port of each service. There is no control plane that Istio's filters
could ask for workloads, so Envoy's own `set_filter_state` stands in for them,
under their names: it keeps the peers in their form.
"""

from dataclasses import dataclass, replace

from tests.e2e.harness import bootstrap, istio_peers, workloads
from tests.e2e.harness.bootstrap import EXTENSION
from tests.e2e.harness.istio.chains import Chains
from tests.e2e.harness.istio.envoy_filter import HTTP_CONNECTION_MANAGER
from tests.e2e.harness.istio.proxies import SHOP, STOCK, VERSION
from tests.e2e.harness.workloads import STOCK_SERVICE

CONNECT_TERMINATE = "connect_terminate"
MAIN_INTERNAL = "main_internal"
HTTP, TCP = "http", "tcp"
# Of the service, as the caller knows it.
_ADDRESS = "10.96.7.9"
_PORTS = {HTTP: 80, TCP: 5432}
WAYPOINT = replace(workloads.WAYPOINT, istio_version=VERSION)


class WaypointChains(Chains):
    """The chains of `main_internal`: there the STATS phase comes late."""

    def _http_filters(self):
        upstream = istio_peers.set_filter_state("upstream_peer", _peer(STOCK))
        return [
            *self._plugins("HTTP", "AUTHN", "AUTHZ"),
            *self._http_features(),
            *self._plugins("HTTP", "STATS", "UNSPECIFIED"),
            {**upstream, "name": "waypoint_upstream_peer_metadata"},
        ]

    def _exchange(self, attachment):
        """Over TCP: there is none inside the tunnel, and so it says."""
        nobody = istio_peers.set_filter_state("peer_not_found", "true", network=True)
        return {**nobody, "name": "istio.metadata_exchange"}


def listeners(chains, identity):
    chains = WaypointChains(chains.context, chains.extensions, chains.own_metrics)
    grpc = bootstrap.route("/", _cluster("grpc"), timeout="0s")
    grpc["match"]["grpc"] = {}
    http = chains.http(f"inbound-vip|80|http|{STOCK_SERVICE['host']}", [grpc, bootstrap.route("/", _cluster(HTTP))])
    tcp = chains.tcp(f"inbound-vip|5432|tcp|{STOCK_SERVICE['host']}", _cluster(TCP))
    internal = {
        "name": MAIN_INTERNAL,
        "traffic_direction": "INBOUND",
        "internal_listener": {},
        "listener_filters": [_listener_filter("original_dst", "original_dst.v3.OriginalDst")],
        "filter_chains": [_chain(_PORTS[HTTP], http), _chain(_PORTS[TCP], tcp)],
    }
    return [_connect_terminate(identity), internal]


def clusters(backends):
    """What is behind the waypoint, without a tunnel of its own; the end of the other one."""
    http, grpc, tcp = backends
    return [
        bootstrap.upstream_cluster(_cluster(HTTP), [http], [STOCK_SERVICE], protocol="http1"),
        bootstrap.upstream_cluster(_cluster("grpc"), [grpc], [STOCK_SERVICE], protocol="http2"),
        bootstrap.upstream_cluster(_cluster(TCP), [tcp], [STOCK_SERVICE]),
        _to_main_internal(),
    ]


@dataclass
class Ztunnel:
    """The caller's end of the tunnel, with a listener for each port of the service; can be started in a Mesh."""

    name: str
    waypoint_port: int
    identity: object
    workers: int = 1
    arguments: tuple = ()
    expected_log: tuple = ()
    permitted_log: str = None

    def bootstrap(self):
        tls = bootstrap.upstream_tls(self.identity, WAYPOINT.spiffe_id())
        hbone = bootstrap.upstream_cluster("hbone", [self.waypoint_port], protocol="http2", tls=tls)
        return bootstrap.bootstrap(SHOP.node(), [self._listener(kind) for kind in _PORTS], [hbone])

    def _listener(self, kind):
        proxy = {
            "@type": EXTENSION + "filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": kind,
            "cluster": "hbone",
            "tunneling_config": {"hostname": f"{_ADDRESS}:{_PORTS[kind]}"},
        }
        return {
            "name": kind,
            "address": bootstrap.socket_address("127.0.0.1", 0),
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}],
        }


def _connect_terminate(identity):
    connect = {"upgrade_type": "CONNECT"}
    route = {
        "match": {"connect_matcher": {}},
        "route": {"cluster": MAIN_INTERNAL, "upgrade_configs": [{**connect, "connect_config": {}}]},
    }
    downstream = _kept("downstream_peer", _peer(SHOP))
    # An address by its key, where the others are texts.
    authority = _kept("envoy.filters.listener.original_dst.local_ip", "%REQ(:AUTHORITY)%", factory_key="")
    principal = _kept("io.istio.peer_principal", "%DOWNSTREAM_PEER_URI_SAN%")
    manager = {
        "@type": EXTENSION + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": CONNECT_TERMINATE,
        "http2_protocol_options": {"allow_connect": True},
        "upgrade_configs": [connect],
        "http_filters": [
            {**downstream, "name": "waypoint_downstream_peer_metadata"},
            authority,
            principal,
            bootstrap.router(),
        ],
        "route_config": {"virtual_hosts": [{"name": "any", "domains": ["*"], "routes": [route]}]},
    }
    tls = bootstrap.downstream_tls(identity)
    # As the tunnel does, which is HTTP/2 and nothing else.
    tls["common_tls_context"]["alpn_protocols"] = ["h2"]
    chain = {
        "filters": [{"name": HTTP_CONNECTION_MANAGER, "typed_config": manager}],
        "transport_socket": bootstrap.transport_socket("Downstream", tls),
    }
    address = bootstrap.socket_address("127.0.0.1", 0)
    return {"name": CONNECT_TERMINATE, "address": address, "filter_chains": [chain]}


def _to_main_internal():
    address = {"envoy_internal_address": {"server_listener_name": MAIN_INTERNAL}}
    plain = {
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": {"@type": EXTENSION + "transport_sockets.raw_buffer.v3.RawBuffer"},
    }
    # Takes along what is kept of the tunnel.
    transport = {
        "@type": EXTENSION + "transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        "transport_socket": plain,
    }
    return {
        "name": MAIN_INTERNAL,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": MAIN_INTERNAL,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "transport_socket": {"name": "envoy.transport_sockets.internal_upstream", "typed_config": transport},
    }


def _kept(key, text, **options):
    """For the connection inside the tunnel."""
    return istio_peers.set_filter_state(key, text, shared_with_upstream="ONCE", **options)


def _peer(workload):
    return istio_peers.pairs(istio_peers.fields(workload)).decode()


def _cluster(kind):
    return f"inbound-vip|{_PORTS.get(kind, 9090)}|{kind}|{STOCK_SERVICE['host']}"


def _chain(port, filters):
    return {"name": f"{_ADDRESS}:{port}", "filter_chain_match": {"destination_port": port}, "filters": filters}


def _listener_filter(name, message):
    config = {"@type": f"{EXTENSION}filters.listener.{message}"}
    return {"name": f"envoy.filters.listener.{name}", "typed_config": config}
