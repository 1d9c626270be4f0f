"""Builds Envoy bootstraps piece by piece, as plain dictionaries."""

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from lab.certs import Identity
from lab.paths import ROOT
from lab.tree import Json

TYPE = "type.googleapis.com/"
EXTENSION = TYPE + "envoy.extensions."
HERE = "127.0.0.1"
# Of a listener: spreads connections over the workers evenly, which the kernel does not promise.
EXACT_BALANCE: Json = {"connection_balance_config": {"exact_balance": {}}}


def bootstrap(
    node: Json,
    listeners: Sequence[Json],
    upstream_clusters: Sequence[Json],
    tags: Sequence[Json] | None = None,
    admin_port: int = 0,
    flush: str = "0.1s",
) -> Json:
    """Histograms show up only after a flush; the default of 5 s would make every test wait."""
    return {
        "node": node,
        "admin": {"address": socket_address(HERE, admin_port)},
        "stats_flush_interval": flush,
        "stats_config": {"stats_tags": tags or stats_tags()},
        "static_resources": {"listeners": listeners, "clusters": upstream_clusters},
    }


def stats_tags() -> list[Json]:
    """The very list that users put into their bootstrap."""
    content = yaml.safe_load((ROOT / "envoy-config" / "stats_tags.yaml").read_text())
    tags: list[Json] = content["stats_tags"]
    return tags


def socket_address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def extension(kind: str, /, **fields: Any) -> Json:
    """Any of Envoy's own by the end of its type, under its usual name."""
    name, _, _ = kind.partition(".v3.")
    return {"name": f"envoy.{name}", "typed_config": {"@type": EXTENSION + kind, **fields}}


# === listeners


def listener(
    name: str,
    filters: Iterable[Json],
    port: int = 0,
    direction: str = "UNSPECIFIED",
    tls: Json | None = None,
    address: str = HERE,
    **more: Any,
) -> Json:
    """At port 0 the kernel picks one, so that many can run side by side."""
    chain: Json = {"filters": list(filters)}
    if tls is not None:
        chain["transport_socket"] = transport_socket("Downstream", tls)
    return {
        "name": name,
        "traffic_direction": direction,
        "address": socket_address(address, port),
        "filter_chains": [chain],
        **more,
    }


def http_manager(stat_prefix: str, filters: Iterable[Json], route_config: Json, **more: Any) -> Json:
    """HTTP connections, with these filters in front of the router."""
    return extension(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=stat_prefix,
        http_filters=[*filters, router()],
        route_config=route_config,
        **more,
    )


def router() -> Json:
    return extension("filters.http.router.v3.Router")


def grpc_stats() -> Json:
    """Counts the messages of a gRPC stream where the stats plugin can read them."""
    return extension("filters.http.grpc_stats.v3.FilterConfig", emit_filter_state=True, stats_for_all_methods=False)


def tcp_proxy(stat_prefix: str, upstream_cluster: str, **more: Any) -> Json:
    kind = "filters.network.tcp_proxy.v3.TcpProxy"
    return extension(kind, stat_prefix=stat_prefix, cluster=upstream_cluster, **more)


def virtual_host(name: str, routes: Iterable[Json], *domains: str, **more: Any) -> Json:
    """For any domain, if none is named."""
    return {"name": name, "domains": list(domains or "*"), "routes": list(routes), **more}


def route(path_prefix: str, upstream: str, name: str = "default", **action: Any) -> Json:
    return {"name": name, "match": {"prefix": path_prefix}, "route": {"cluster": upstream, **action}}


def direct_response(path_prefix: str, status: int, name: str = "default") -> Json:
    return {
        "name": name,
        "match": {"prefix": path_prefix},
        "direct_response": {"status": status, "body": {"inline_string": "answered by the proxy"}},
    }


# === upstream clusters


def static_cluster(
    name: str,
    endpoints: Iterable[Json],
    services: Iterable[Json] = (),
    protocol: str | None = None,
    tls: Json | None = None,
    **more: Any,
) -> Json:
    """An Envoy cluster of these endpoints.

    `services` is what Istio's control plane attaches; `protocol` is http1, http2, downstream (the one the client
    speaks), or Envoy's default.
    """
    cluster = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": list(endpoints)}]},
        **more,
    }
    if protocol is not None:
        kind = "extensions.upstreams.http.v3.HttpProtocolOptions"
        options = {"@type": f"{TYPE}envoy.{kind}", **_PROTOCOLS[protocol]}
        cluster["typed_extension_protocol_options"] = {f"envoy.{kind}": options}
    if services:
        cluster["metadata"] = {"filter_metadata": {"istio": {"services": list(services)}}}
    if tls is not None:
        cluster["transport_socket"] = transport_socket("Upstream", tls)
    return cluster


_PROTOCOLS: dict[str, Json] = {
    "http1": {"explicit_http_config": {"http_protocol_options": {}}},
    "http2": {"explicit_http_config": {"http2_protocol_options": {}}},
    "downstream": {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}},
}


def endpoint(port: int, address: str = HERE, workload: str | None = None, **more: Any) -> Json:
    """`workload` is what Istio's control plane attaches."""
    found: Json = {"endpoint": {"address": socket_address(address, port)}, **more}
    if workload is not None:
        found["metadata"] = {"filter_metadata": {"istio": {"workload": workload}}}
    return found


# === TLS


def upstream_tls(identity: Identity, peer_spiffe_id: str) -> Json:
    """Connects as `identity`, and only to `peer_spiffe_id`."""
    san = {"san_type": "URI", "matcher": {"exact": peer_spiffe_id}}
    return {"common_tls_context": _tls(identity, match_typed_subject_alt_names=[san])}


def downstream_tls(identity: Identity, require_client_certificate: bool = True) -> Json:
    """Serves as `identity`."""
    return {"common_tls_context": _tls(identity), "require_client_certificate": require_client_certificate}


def _tls(identity: Identity, **validation: Any) -> Json:
    files = {"certificate_chain": {"filename": identity.certificate}, "private_key": {"filename": identity.key}}
    return {
        "tls_certificates": [files],
        "validation_context": {"trusted_ca": {"filename": identity.authority}, **validation},
    }


def transport_socket(side: str, context: Json) -> Json:
    return extension(f"transport_sockets.tls.v3.{side}TlsContext", **context)
