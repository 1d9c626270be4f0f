"""Proxies in the shape that istiod gives them.

A sidecar has an outbound listener for each service port and two virtual ones; the
inbound ports of the pod are filter chains of `virtualInbound`, with and without
TLS, and once more of `main_internal`, for what comes out of a tunnel. A gateway has
a listener for each of its servers. As there is no redirection of connections here,
outbound listeners are bound, and `virtualInbound` listens on the pod's ports itself.
"""

from dataclasses import dataclass, replace

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from tests.e2e.harness import usual, workloads
from tests.e2e.harness.istio import tunnel
from tests.e2e.harness.istio.chains import Chains
from tests.e2e.harness.workloads import STOCK_SERVICE, Workload

OUTBOUND_HTTP = "0.0.0.0_80"
OUTBOUND_TCP = "10.96.7.9_5432"
GATEWAY_HTTP = "0.0.0.0_8080"
GATEWAY_TCP = "0.0.0.0_31400"
VIRTUAL_INBOUND = "virtualInbound"
_HOST = STOCK_SERVICE["host"]
# A version that the samples' `proxyVersion` fits.
VERSION = "1.30.1"

SHOP = replace(workloads.SHOP, istio_version=VERSION)
STOCK = replace(workloads.STOCK, istio_version=VERSION)
GATEWAY = Workload(
    name="front-door",
    namespace="edge",
    cluster_id="north",
    owner="kubernetes://apis/apps/v1/namespaces/edge/deployments/front-door",
    istio_version=VERSION,
    pod="front-door-6b5f-zt8wq",
    address="10.3.0.4",
    labels={
        # Istio's bootstrap has an expression that takes the middle of this for a label `cache`.
        "app": "door-cache.v5.app",
        "istio": "ingressgateway",
        "service.istio.io/canonical-name": "front",
        "service.istio.io/canonical-revision": "rev-5",
    },
)


@dataclass(frozen=True)
class Ports:
    """Of the called pod, as its proxy sees them (`http`, `tcp`) and of the applications behind."""

    http: int
    tcp: int
    http_backend: int
    grpc_backend: int
    tcp_backend: int


def node(
    workload: Workload, kind: str = "sidecar", annotations: Json | None = None, default_config: Json | None = None
) -> Json:
    """The bootstrap's `node` as Istio's agent writes it. Its proxy configuration holds nulls."""
    facts = {
        "ANNOTATIONS": {"istio.io/rev": "default", **(annotations or {})},
        "APP_CONTAINERS": "app,cache",
        "CLUSTER_ID": workload.cluster_id,
        "ENVOY_PROMETHEUS_PORT": 15090,
        "ENVOY_STATUS_PORT": 15021,
        "INSTANCE_IPS": f"{workload.address},fd00::{workload.address.rpartition('.')[2]}",
        "INTERCEPTION_MODE": "REDIRECT",
        "ISTIO_PROXY_SHA": "7319e99e3b3a4cd0f44208e18af02c7399eca1b0",
        "ISTIO_VERSION": workload.istio_version,
        "LABELS": {"security.istio.io/tlsMode": "istio", **workload.labels},
        "MESH_ID": "mesh-1",
        "METADATA_DISCOVERY": "false",
        "NAME": workload.pod,
        "NAMESPACE": workload.namespace,
        "NETWORK": "network-1",
        "NODE_NAME": "worker-3",
        "OWNER": workload.owner,
        "PILOT_SAN": ["istiod.istio-system.svc"],
        "PLATFORM_METADATA": {"gcp_project": "p", "gcp_location": "zone-9"},
        "POD_PORTS": '[{"name":"http","containerPort":8080,"protocol":"TCP"}]',
        "PROXY_CONFIG": {
            "binaryPath": "/usr/local/bin/envoy",
            "concurrency": 2,
            "configPath": "./etc/istio/proxy",
            "discoveryAddress": "istiod.istio-system.svc:15012",
            "drainDuration": "45s",
            "extraStatTags": (default_config or {}).get("extraStatTags"),
            "holdApplicationUntilProxyStarts": None,
            "proxyStatsMatcher": (default_config or {}).get("proxyStatsMatcher"),
            "readinessProbe": None,
            "statusPort": 15020,
            "tracing": {"zipkin": None},
        },
        "SERVICE_ACCOUNT": f"{workload.name}-account",
        "UNPRIVILEGED_POD": None,
        "WORKLOAD_IDENTITY_SOCKET_FILE": "socket",
        "WORKLOAD_NAME": workload.name,
    }
    identity = workload.node_id.partition("~")[2]
    canonical = workload.labels["service.istio.io/canonical-name"]
    return {
        "id": f"{kind}~{identity}",
        "cluster": f"{canonical}.{workload.namespace}",
        "locality": {"region": "region-1", "zone": "zone-9"},
        "metadata": facts,
    }


def sidecar_outbound(chains: Chains) -> list[Json]:
    return [
        _listener(OUTBOUND_HTTP, "OUTBOUND", [{"filters": chains.http(OUTBOUND_HTTP, _routes("outbound"))}]),
        _listener(OUTBOUND_TCP, "OUTBOUND", [{"filters": chains.tcp(OUTBOUND_TCP, _service(5432))}]),
        _listener(
            "virtualOutbound",
            "OUTBOUND",
            [{"name": "virtualOutbound-catchall-tcp", "filters": chains.tcp("passthrough", "PassthroughCluster")}],
        ),
    ]


def sidecar_inbound(chains: Chains, ports: Ports, identity: Identity) -> list[Json]:
    http = _pod_port(chains.http("inbound", _routes("inbound")), ports.http, identity)
    tcp = _pod_port(chains.tcp("inbound", "inbound|5432||"), ports.tcp, identity)
    catch_all = [{"name": "virtualInbound", "filters": chains.tcp("passthrough", "InboundPassthroughCluster")}]
    listener = _listener(VIRTUAL_INBOUND, "INBOUND", [*http, *tcp, *catch_all], ports.http)
    listener["additional_addresses"] = [{"address": bootstrap.socket_address("127.0.0.1", ports.tcp)}]
    inspector = bootstrap.extension("filters.listener.tls_inspector.v3.TlsInspector")
    listener["listener_filters"] = [inspector]
    tunnelled = [
        _from_tunnel(ports.http, chains.http("inbound", _routes("inbound"), exchanges=False)),
        _from_tunnel(ports.tcp, chains.tcp("inbound", "inbound|5432||", exchanges=False)),
    ]
    return [listener, *tunnel.listeners(identity, tunnelled)]


def gateway(chains: Chains) -> list[Json]:
    # Istio's gateways are outbound listeners, too.
    unnamed = bootstrap.route("/unnamed", "outbound|80||unnamed", prefix_rewrite="/")
    routes = [unnamed, *_routes("outbound")]
    return [
        _listener(GATEWAY_HTTP, "OUTBOUND", [{"filters": chains.http(GATEWAY_HTTP, routes)}]),
        _listener(GATEWAY_TCP, "OUTBOUND", [{"filters": chains.tcp(GATEWAY_TCP, _service(5432))}]),
        *tunnel.originates("PassthroughCluster"),
    ]


def outbound_clusters(ports: Ports, identity: Identity) -> list[Json]:
    """The service's ports, by the called pod's proxy; the passthrough."""
    tls = bootstrap.upstream_tls(identity, STOCK.spiffe_id())
    clusters = []
    for name, port in ((_service(80), ports.http), (_service(5432), ports.tcp), ("outbound|80||unnamed", ports.http)):
        services = () if name.endswith("unnamed") else (STOCK_SERVICE,)
        one = usual.upstream_cluster(name, [port], services, STOCK.endpoint_metadata(), tls=tls)
        metadata = one.setdefault("metadata", {"filter_metadata": {}})["filter_metadata"]
        # The stand-in of the exchange goes by this, the original by ALPN.
        metadata["istio-stats"] = {"tcp_exchange": True}
        clusters.append(one)
    return [*clusters, _passthrough("PassthroughCluster")]


def inbound_clusters(ports: Ports) -> list[Json]:
    return [
        usual.upstream_cluster("inbound|8080||", [ports.http_backend], [STOCK_SERVICE], protocol="http1"),
        usual.upstream_cluster("inbound|9090||", [ports.grpc_backend], [STOCK_SERVICE], protocol="http2"),
        usual.upstream_cluster("inbound|5432||", [ports.tcp_backend], [STOCK_SERVICE]),
        _passthrough("InboundPassthroughCluster"),
        tunnel.to_main_internal(),
    ]


def _service(port: int) -> str:
    return f"outbound|{port}||{_HOST}"


def _routes(direction: str) -> list[Json]:
    if direction == "outbound":
        return [bootstrap.route("/", _service(80))]
    grpc = bootstrap.route("/", "inbound|9090||", timeout="0s")
    grpc["match"]["grpc"] = {}
    return [grpc, bootstrap.route("/", "inbound|8080||")]


def _pod_port(filters: list[Json], port: int, identity: Identity) -> list[Json]:
    """The filter chains of one port of the pod: mutual TLS, and for whoever has none."""
    tls = bootstrap.transport_socket("Downstream", bootstrap.downstream_tls(identity))
    name = f"0.0.0.0_{port}"
    match = {"destination_port": port}
    return [
        {
            "name": name,
            "filter_chain_match": {**match, "transport_protocol": "tls"},
            "filters": filters,
            "transport_socket": tls,
        },
        {"name": name, "filter_chain_match": {**match, "transport_protocol": "raw_buffer"}, "filters": filters},
    ]


def _from_tunnel(port: int, filters: list[Json]) -> Json:
    """The filter chain of one port of the pod in `main_internal`."""
    own_address = [{"address_prefix": STOCK.address, "prefix_len": 32}]
    match = {"destination_port": port, "prefix_ranges": own_address}
    return {"name": f"0.0.0.0_{port}", "filter_chain_match": match, "filters": filters}


def _listener(name: str, direction: str, filter_chains: list[Json], port: int = 0) -> Json:
    return bootstrap.listener(name, (), port, direction, filter_chains=filter_chains)


def _passthrough(name: str) -> Json:
    return {"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"}
