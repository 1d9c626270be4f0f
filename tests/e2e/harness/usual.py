"""Pieces of a bootstrap as the end-to-end tests usually want them."""

import json

from lab import bootstrap, plugins
from lab.paths import module

# A plugin configuration that is left out altogether, unlike an empty one.
NO_CONFIGURATION = object()
# A plugin that is not in the chain.
ABSENT = object()


def http_listener(name, filters, routes, direction="UNSPECIFIED", tls=None, access_log=()):
    """HTTP/1.1 and HTTP/2."""
    manager = bootstrap.http_manager(
        name,
        filters,
        # Routes to clusters that do not exist are part of the tests.
        {"virtual_hosts": [bootstrap.virtual_host("any", routes)], "validate_clusters": False},
        codec_type="AUTO",
        generate_request_id=False,
        # Room for the oversized peer headers of the hostile-input tests.
        max_request_headers_kb=96,
        access_log=list(access_log),
    )
    return bootstrap.listener(name, [manager], direction=direction, tls=tls, **bootstrap.EXACT_BALANCE)


def upstream_cluster(name, ports, services=(), endpoint_metadata=None, protocol="downstream", tls=None, healthy=True):
    """An Envoy cluster of local endpoints; `endpoint_metadata` is what Istio's control plane attaches to each."""
    health = "HEALTHY" if healthy else "UNHEALTHY"
    endpoints = [bootstrap.endpoint(port, workload=endpoint_metadata, health_status=health) for port in ports]
    # Without it Envoy ignores health when too few endpoints are healthy.
    panic = {"healthy_panic_threshold": {"value": 0}}
    return bootstrap.static_cluster(name, endpoints, services, protocol, tls, common_lb_config=panic)


def plugin(name, root_id, configuration):
    """One of ours as a list, empty if it is ABSENT; a configuration that is no text is written as JSON."""
    if configuration is ABSENT:
        return []
    if configuration is NO_CONFIGURATION:
        text = None
    else:
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    return [plugins.plugin(name, module(name), root_id, text)]


def deny(path):
    """Refuses requests to `path` with 403, as an Istio AuthorizationPolicy does."""
    exact = {"url_path": {"path": {"exact": path}}}
    policy = {"permissions": [exact], "principals": [{"any": True}]}
    return bootstrap.extension("filters.http.rbac.v3.RBAC", rules={"action": "DENY", "policies": {"deny": policy}})
