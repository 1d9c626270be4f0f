"""A tunnel of Istio's ambient mode (HBONE), both of its ends.

The server's end is as istiod builds it, for a sidecar and for a waypoint:
`connect_terminate`, a listener without a direction, takes the tunnel's end, keeps who
dug it and hands the connection inside over to `main_internal`. There is no control
plane that Istio's filters could ask for workloads, so Envoy's own `set_filter_state`
stands in for them, under their names: it keeps the peer in their form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from tests.e2e.harness import istio_peers, usual
from tests.e2e.harness.workloads import SHOP, Workload

CONNECT_TERMINATE = "connect_terminate"
MAIN_INTERNAL = "main_internal"
_CONNECT_ORIGINATE = "connect_originate"
# Of a gateway that reaches another network through two tunnels, one in the other.
_ORIGINATES = ("inner_connect_originate", "outer_connect_originate")
# Listeners of tunnels themselves, of whose traffic others know what it is.
OWN_LISTENERS = (CONNECT_TERMINATE, *_ORIGINATES)


@dataclass
class Ztunnel:
    """The caller's end, with a listener for each address to be reached through the tunnel; can be started in a Mesh."""

    name: str
    # Where the tunnel leads to.
    server: Workload
    server_port: int
    # By names of listeners.
    addresses: Mapping[str, str]
    identity: Identity
    workers: int = 1
    arguments: tuple[str, ...] = ()
    expected_log: tuple[str, ...] = ()
    permitted_log: str | None = None

    def bootstrap(self) -> Json:
        tls = bootstrap.upstream_tls(self.identity, self.server.spiffe_id())
        hbone = usual.upstream_cluster("hbone", [self.server_port], protocol="http2", tls=tls)
        listeners = [self._listener(name, address) for name, address in self.addresses.items()]
        return bootstrap.bootstrap(SHOP.node(), listeners, [hbone])

    def _listener(self, name: str, address: str) -> Json:
        tunnel = {"hostname": address}
        return bootstrap.listener(name, [bootstrap.tcp_proxy(name, "hbone", tunneling_config=tunnel)])


def listeners(identity: Identity, filter_chains: list[Json], caller: Workload | None = SHOP) -> list[Json]:
    """The server's end; what comes out of the tunnel meets these filter chains. Istio's discovery knows the caller."""
    internal = {
        "name": MAIN_INTERNAL,
        "traffic_direction": "INBOUND",
        "internal_listener": {},
        "listener_filters": [bootstrap.extension("filters.listener.original_dst.v3.OriginalDst")],
        "filter_chains": filter_chains,
    }
    return [_connect_terminate(identity, caller), internal]


def originates(upstream_cluster: str) -> list[Json]:
    """The listeners that dig, as far as patches are concerned: no traffic gets there."""
    filters = [bootstrap.tcp_proxy("dug", upstream_cluster)]
    return [{"name": name, "internal_listener": {}, "filter_chains": [{"filters": filters}]} for name in _ORIGINATES]


def to_main_internal() -> Json:
    """The upstream cluster between the two listeners."""
    endpoint = {"endpoint": {"address": _internal_address(MAIN_INTERNAL)}}
    return bootstrap.static_cluster(MAIN_INTERNAL, [endpoint], transport_socket=_internal_transport())


def _internal_address(listener: str) -> Json:
    return {"envoy_internal_address": {"server_listener_name": listener}}


def _internal_transport() -> Json:
    """Takes along what is kept of the tunnel."""
    return bootstrap.extension(
        "transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        transport_socket=bootstrap.extension("transport_sockets.raw_buffer.v3.RawBuffer"),
    )


def dig(whole: Json, identity: Identity, server: Workload, server_port: int) -> None:
    """The proxy reaches its first upstream cluster through a tunnel of its own, as a sidecar with HBONE does."""
    resources = whole["static_resources"]
    upstream = resources["clusters"][0]
    for one in upstream["load_assignment"]["endpoints"][0]["lb_endpoints"]:
        one["endpoint"]["address"] = _internal_address(_CONNECT_ORIGINATE)
    upstream["transport_socket"] = _internal_transport()
    tls = bootstrap.upstream_tls(identity, server.spiffe_id())
    resources["clusters"].append(usual.upstream_cluster("hbone", [server_port], protocol="http2", tls=tls))
    tunnel = {"hostname": f"{server.address}:8080"}
    filters = [bootstrap.tcp_proxy(_CONNECT_ORIGINATE, "hbone", tunneling_config=tunnel)]
    listener = {"name": _CONNECT_ORIGINATE, "internal_listener": {}, "filter_chains": [{"filters": filters}]}
    resources["listeners"].append(listener)
    _permit_internal_listeners(whole)


def terminate(whole: Json, identity: Identity, caller: Workload | None = SHOP) -> None:
    """The proxy is at the end of a tunnel: its first listener is inside."""
    resources = whole["static_resources"]
    (inside,) = resources["listeners"]
    ends = listeners(identity, inside["filter_chains"], caller)
    ends[1]["traffic_direction"] = inside["traffic_direction"]
    resources["listeners"] = ends
    resources["clusters"].append(to_main_internal())
    _permit_internal_listeners(whole)


def _permit_internal_listeners(whole: Json) -> None:
    extension = bootstrap.extension("bootstrap.internal_listener.v3.InternalListener")
    whole.setdefault("bootstrap_extensions", []).append(extension)


def peer(workload: Workload) -> str:
    """A workload as Istio's filters keep it."""
    return istio_peers.pairs(istio_peers.fields(workload)).decode()


def _connect_terminate(identity: Identity, caller: Workload | None) -> Json:
    connect = {"upgrade_type": "CONNECT"}
    route = {
        "match": {"connect_matcher": {}},
        "route": {"cluster": MAIN_INTERNAL, "upgrade_configs": [{**connect, "connect_config": {}}]},
    }
    downstream = [_kept("downstream_peer", peer(caller))] if caller else []
    # An address by its key, where the others are texts.
    authority = _kept("envoy.filters.listener.original_dst.local_ip", "%REQ(:AUTHORITY)%", factory_key="")
    principal = _kept("io.istio.peer_principal", "%DOWNSTREAM_PEER_URI_SAN%")
    own_principal = _kept("io.istio.local_principal", "%DOWNSTREAM_LOCAL_URI_SAN%")
    manager = bootstrap.http_manager(
        CONNECT_TERMINATE,
        [
            *({**one, "name": "waypoint_downstream_peer_metadata"} for one in downstream),
            authority,
            principal,
            own_principal,
        ],
        {"virtual_hosts": [bootstrap.virtual_host("any", [route])]},
        http2_protocol_options={"allow_connect": True},
        upgrade_configs=[connect],
    )
    tls = bootstrap.downstream_tls(identity)
    # As the tunnel does, which is HTTP/2 and nothing else.
    tls["common_tls_context"]["alpn_protocols"] = ["h2"]
    return bootstrap.listener(CONNECT_TERMINATE, [manager], tls=tls)


def _kept(key: str, text: str, **options: Any) -> Json:
    """For the connection inside the tunnel."""
    return istio_peers.set_filter_state(key, text, shared_with_upstream="ONCE", **options)
