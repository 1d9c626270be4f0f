"""Two Envoys: the proxy that is measured, on the client's side, and the server's side, which answers by itself.

The proxy has a listener and an upstream cluster for each variant, so that all
are measured in one process; the service has the variant's name.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from benches.load import proxy
from lab import bootstrap, plugins
from lab.paths import module
from lab.ports import free_ports
from lab.processes import Processes
from lab.tree import Json

SAMPLES = Path("envoy-config/standalone")
# Another workload than the one that answers the exchange, to tell where labels come from.
ENDPOINT = {
    "workload": "reviews-v1",
    "namespace": "shop",
    "canonical_service": "reviews",
    "canonical_revision": "v1",
    "cluster_id": "west",
}
# As long as Envoy takes: a flush merges all histograms on all threads, which takes long where there are many.
NO_FLUSH_SECONDS = 299
BODY = "a response of no great size\n" * 4


@cache
def _sample(name: str) -> Json:
    return yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())


def client() -> Json:
    """The node of the client's side."""
    return _sample("east-logger")["node"]


def server() -> Json:
    """The node of the server's side."""
    return _sample("west-logger")["node"]


@dataclass(frozen=True, eq=False)
class Variant:
    """A listener."""

    name: str
    what: str
    filters: tuple[Json, ...] = ()
    loggers: tuple[Json, ...] = ()
    # Whether the server's side answers the exchange.
    exchange: bool = False
    # Whether upstream metadata names the service; if not, the request's host does.
    named_service: bool = True


class Mesh:
    """Both Envoys, running."""

    def __init__(
        self, processes: Processes, name: str, variants: Sequence[Variant], workers: int = 1, flush_seconds: int = 5
    ) -> None:
        server_admin, plain, exchanging, admin, *ports = free_ports(4 + len(variants))
        servers = [
            _listener("inbound", "INBOUND", plain, (), (), _ANSWER),
            _listener("inbound_exchange", "INBOUND", exchanging, (_exchange(),), (), _ANSWER),
        ]
        configuration = bootstrap.bootstrap(server(), servers, [], admin_port=server_admin, flush="5s")
        answering = proxy.Proxy(processes, f"{name}-server", configuration)
        answering.favour_as_helper()

        self._ports = dict(zip(variants, ports, strict=True))
        listeners = [
            _listener(v.name, "OUTBOUND", port, v.filters, v.loggers, {"route": {"cluster": _cluster_name(v)}})
            for v, port in self._ports.items()
        ]
        clusters = [_upstream_cluster(v, exchanging if v.exchange else plain) for v in variants]
        flush = f"{flush_seconds}s"
        configuration = bootstrap.bootstrap(client(), listeners, clusters, admin_port=admin, flush=flush)
        # For native modules; of others no name changes.
        configuration["layered_runtime"] = plugins.NATIVE_RUNTIME
        self.proxy = proxy.Proxy(processes, name, configuration, workers)
        self.proxy.favour_worker()

    def port(self, variant: Variant) -> int:
        return self._ports[variant]


def ours(name: str, root_id: str, vm_id: str | None = None, **configuration: object) -> Json:
    """One of the built modules as a plugin for HTTP."""
    text = json.dumps({"attachment": "http", **configuration})
    return plugins.plugin(name, module(name), root_id, text, vm_id)


# === the exchange


def our_exchange() -> tuple[Json, ...]:
    """The metadata exchange by our module."""
    return (_exchange(),)


def _exchange() -> Json:
    return plugins.http_filter(ours("metadata_exchange", "metadata_exchange"))


def native_filter(name: str, **configuration: object) -> Json:
    """The same as a native module."""
    return plugins.native_http_filter(ours(name, "stats_outbound", None, **configuration))


def stock_exchange() -> tuple[Json, ...]:
    """The metadata exchange by Envoy's own filters, as in the sample of the access logger."""
    [listener, *_] = _sample("east-logger")["static_resources"]["listeners"]
    [chain] = listener["filter_chains"]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    wanted = ("envoy.filters.http.header_to_metadata", "envoy.filters.http.header_mutation")
    return tuple(one for one in filters if one["name"] in wanted)


# === pieces of the bootstraps

_ANSWER = {
    "direct_response": {"status": 200, "body": {"inline_string": BODY}},
    "response_headers_to_add": [{"header": {"key": "content-type", "value": "text/plain"}}],
}


def _listener(
    name: str, direction: str, port: int, filters: Iterable[Json], loggers: Iterable[Json], action: Json
) -> Json:
    route = {"name": "default", "match": {"prefix": "/"}, **action}
    route_config = {"name": name, "virtual_hosts": [bootstrap.virtual_host(name, [route])]}
    manager = bootstrap.http_manager(name, filters, route_config, access_log=list(loggers))
    return bootstrap.listener(name, [manager], port, direction, **bootstrap.EXACT_BALANCE)


def service_host(variant: Variant) -> str:
    return f"{variant.name}.shop.svc.cluster.local"


def _cluster_name(variant: Variant) -> str:
    return f"outbound|9080||{service_host(variant)}"


def _upstream_cluster(variant: Variant, port: int) -> Json:
    services = [{"host": service_host(variant), "name": variant.name, "namespace": "shop"}]
    # `bench` holds the same, for format strings: those do not split texts and find no element of a list.
    metadata = {"istio": {"services": services}, "bench": services[0]} if variant.named_service else {}
    endpoint = bootstrap.endpoint(port, workload=";".join(ENDPOINT.values()))
    endpoint["metadata"]["filter_metadata"]["bench"] = ENDPOINT
    return bootstrap.static_cluster(_cluster_name(variant), [endpoint], metadata={"filter_metadata": metadata})
