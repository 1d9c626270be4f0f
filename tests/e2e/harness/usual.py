"""Pieces of a bootstrap as the end-to-end tests usually want them."""

import json
from collections.abc import Iterable

from lab import bootstrap, plugins
from lab.paths import module
from lab.tree import Json

# A plugin configuration that is left out altogether, unlike an empty one.
NO_CONFIGURATION = object()
# A plugin that is not in the chain.
ABSENT = object()


def http_listener(
    name: str,
    filters: Iterable[Json],
    routes: Iterable[Json],
    direction: str = "UNSPECIFIED",
    tls: Json | None = None,
    access_log: Iterable[Json] = (),
) -> Json:
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


def upstream_cluster(
    name: str,
    ports: Iterable[int],
    services: Iterable[Json] = (),
    endpoint_metadata: str | None = None,
    protocol: str = "downstream",
    tls: Json | None = None,
    healthy: bool = True,
) -> Json:
    """An Envoy cluster of local endpoints; `endpoint_metadata` is what Istio's control plane attaches to each."""
    health = "HEALTHY" if healthy else "UNHEALTHY"
    endpoints = [bootstrap.endpoint(port, workload=endpoint_metadata, health_status=health) for port in ports]
    # Without it Envoy ignores health when too few endpoints are healthy.
    panic = {"healthy_panic_threshold": {"value": 0}}
    return bootstrap.static_cluster(name, endpoints, services, protocol, tls, common_lb_config=panic)


def plugin(name: str, root_id: str, configuration: object) -> list[Json]:
    """One of ours as a list, empty if it is ABSENT; a configuration that is no text is written as JSON."""
    if configuration is ABSENT:
        return []
    if configuration is NO_CONFIGURATION:
        text = None
    else:
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    return [plugins.plugin(name, module(name), root_id, text)]


def deny(path: str) -> Json:
    """Refuses requests to `path` with 403, as an Istio AuthorizationPolicy does."""
    exact = {"url_path": {"path": {"exact": path}}}
    policy = {"permissions": [exact], "principals": [{"any": True}]}
    return bootstrap.extension("filters.http.rbac.v3.RBAC", rules={"action": "DENY", "policies": {"deny": policy}})
