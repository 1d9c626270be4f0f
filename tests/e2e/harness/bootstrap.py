"""Builds Envoy bootstraps piece by piece, as plain dictionaries.

Every listener gets port 0: the kernel picks, so that tests can run side by side.
"""

import json

import yaml

from lab.paths import ROOT
from tests.e2e.harness.command import istio_stats

TYPE = "type.googleapis.com/"
EXTENSION = TYPE + "envoy.extensions."


def bootstrap(node, listeners, upstream_clusters, tags=None):
    return {
        "node": node,
        "admin": {"address": socket_address("127.0.0.1", 0)},
        # Histograms show up only after a flush; the default of 5 s would make every test wait.
        "stats_flush_interval": "0.1s",
        "stats_config": {"stats_tags": tags or stats_tags()},
        "static_resources": {"listeners": listeners, "clusters": upstream_clusters},
    }


def stats_tags():
    """The very list that users put into their bootstrap."""
    content = yaml.safe_load((ROOT / "envoy-config" / "stats_tags.yaml").read_text())
    while isinstance(content, dict):
        (content,) = content.values()
    return content


def stats_tags_of(whole, *options):
    """The list for the plugin configurations in a bootstrap."""
    return yaml.safe_load(istio_stats("tags", *options, "-", stdin=json.dumps(whole)))["stats_tags"]


def istio_stats_tags(whole=None):
    """The list as Istio's `extraStatTags` makes it: its expressions match anywhere in a name.

    For the plugin configurations in a bootstrap, or for the labels of `stats_tags`.
    """
    printed = istio_stats("tags", "--istio", *(["-"] if whole else []), stdin=json.dumps(whole))
    _, labels = printed.strip().split(": ")
    build = [tag for tag in stats_tags() if tag["tag_name"] in ("component", "tag")]
    return [{"tag_name": label, "regex": rf"({label}=\.=(.*?);\.;)"} for label in labels.split(",")] + build


def socket_address(address, port):
    return {"socket_address": {"address": address, "port_value": port}}


def listener(name, filters, routes, direction="UNSPECIFIED", tls=None, access_log=()):
    """A listener with an HTTP connection manager that speaks HTTP/1.1 and HTTP/2."""
    manager = {
        "@type": EXTENSION + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "generate_request_id": False,
        # Room for the oversized peer headers of the hostile-input tests.
        "max_request_headers_kb": 96,
        "http_filters": [*filters, router()],
        "access_log": list(access_log),
        "route_config": {
            "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": routes}],
            # Routes to clusters that do not exist are part of the tests.
            "validate_clusters": False,
        },
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if tls is not None:
        chain["transport_socket"] = transport_socket("Downstream", tls)
    return {
        "name": name,
        "traffic_direction": direction,
        "address": socket_address("127.0.0.1", 0),
        # Spreads connections over the workers evenly, which the kernel does not promise.
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [chain],
    }


def router():
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": EXTENSION + "filters.http.router.v3.Router"}}


def wasm(name, module, root_id, configuration):
    """A Wasm HTTP filter; `configuration` is its text, or None to leave the field out."""
    config = {
        "name": name,
        "root_id": root_id,
        "failure_policy": "FAIL_OPEN",
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(module)}},
        },
    }
    if configuration is not None:
        config["configuration"] = {"@type": TYPE + "google.protobuf.StringValue", "value": configuration}
    return {"name": name, "typed_config": {"@type": EXTENSION + "filters.http.wasm.v3.Wasm", "config": config}}


def as_access_logger(plugin):
    """The same plugin, told of a stream when it is over."""
    config = plugin["typed_config"]["config"]
    logger = {"@type": EXTENSION + "access_loggers.wasm.v3.WasmAccessLog", "config": config}
    return {"name": "envoy.access_loggers.wasm", "typed_config": logger}


def grpc_stats():
    """Counts the messages of a gRPC stream where the stats plugin can read them."""
    return {
        "name": "envoy.filters.http.grpc_stats",
        "typed_config": {
            "@type": EXTENSION + "filters.http.grpc_stats.v3.FilterConfig",
            "emit_filter_state": True,
            "stats_for_all_methods": False,
        },
    }


def deny(path):
    """Refuses requests to `path` with 403, as an Istio AuthorizationPolicy does."""
    exact = {"url_path": {"path": {"exact": path}}}
    rules = {
        "action": "DENY",
        "policies": {"deny": {"permissions": [exact], "principals": [{"any": True}]}},
    }
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": {"@type": EXTENSION + "filters.http.rbac.v3.RBAC", "rules": rules},
    }


def route(path_prefix, upstream, name="default", **action):
    return {"name": name, "match": {"prefix": path_prefix}, "route": {"cluster": upstream, **action}}


def direct_response(path_prefix, status, name="default"):
    return {
        "name": name,
        "match": {"prefix": path_prefix},
        "direct_response": {"status": status, "body": {"inline_string": "answered by the proxy"}},
    }


def upstream_cluster(name, ports, services=(), endpoint_metadata=None, protocol="downstream", tls=None, healthy=True):
    """An Envoy cluster of local endpoints.

    `services` and `endpoint_metadata` are what Istio's control plane attaches;
    `protocol` is http1, http2, or downstream (the one the client speaks).
    """
    cluster = {
        "name": name,
        "type": "STATIC",
        # Without it Envoy ignores health when too few endpoints are healthy.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_endpoint(port, endpoint_metadata, healthy) for port in ports]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": EXTENSION + "upstreams.http.v3.HttpProtocolOptions",
                **_PROTOCOLS[protocol],
            }
        },
    }
    if services:
        cluster["metadata"] = {"filter_metadata": {"istio": {"services": list(services)}}}
    if tls is not None:
        cluster["transport_socket"] = transport_socket("Upstream", tls)
    return cluster


_PROTOCOLS = {
    "http1": {"explicit_http_config": {"http_protocol_options": {}}},
    "http2": {"explicit_http_config": {"http2_protocol_options": {}}},
    "downstream": {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}},
}


def _endpoint(port, metadata, healthy):
    endpoint = {
        "endpoint": {"address": socket_address("127.0.0.1", port)},
        "health_status": "HEALTHY" if healthy else "UNHEALTHY",
    }
    if metadata is not None:
        endpoint["metadata"] = {"filter_metadata": {"istio": {"workload": metadata}}}
    return endpoint


def upstream_tls(identity, peer_spiffe_id):
    """Connects as `identity`, and only to `peer_spiffe_id`."""
    san = {"san_type": "URI", "matcher": {"exact": peer_spiffe_id}}
    return {"common_tls_context": _tls(identity, match_typed_subject_alt_names=[san])}


def downstream_tls(identity, require_client_certificate=True):
    """Serves as `identity`."""
    return {"common_tls_context": _tls(identity), "require_client_certificate": require_client_certificate}


def _tls(identity, **validation):
    files = {"certificate_chain": {"filename": identity.certificate}, "private_key": {"filename": identity.key}}
    return {
        "tls_certificates": [files],
        "validation_context": {"trusted_ca": {"filename": identity.authority}, **validation},
    }


def transport_socket(side, context):
    config = {"@type": f"{EXTENSION}transport_sockets.tls.v3.{side}TlsContext", **context}
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}
