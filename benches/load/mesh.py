"""Two Envoys: the proxy that is measured, on the client's side, and the server's side, which answers by itself.

The proxy has a listener and an upstream cluster for each variant, so that all
are measured in one process; the service has the variant's name.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benches.load import h2load, proxy
from benches.load.h2load import Load
from benches.load.report import OUT
from benches.load.stream import (
    CLIENT_IDENTITY,
    ENDPOINT,
    SERVER_IDENTITY,
    SOURCE,
    Stream,
    client,
    our_exchange,
    server,
)
from lab import bootstrap, plugins
from lab.certs import Authority, Identity
from lab.paths import module
from lab.ports import free_ports
from lab.processes import Processes
from lab.tree import Json

# As long as Envoy takes: a flush merges all histograms on all threads, which takes long where there are many.
NO_FLUSH_SECONDS = 299
BODY = "a response of no great size\n" * 4


@dataclass(frozen=True, eq=False)
class Variant:
    """A listener."""

    name: str
    what: str
    filters: tuple[Json, ...] = ()
    loggers: tuple[Json, ...] = ()
    stream: Stream = SOURCE
    # Beside its own.
    upstream_clusters: tuple[Json, ...] = ()


class Mesh:
    """Both Envoys, running."""

    def __init__(
        self, processes: Processes, name: str, variants: Sequence[Variant], workers: int = 1, flush_seconds: int = 5
    ) -> None:
        server_admin, plain, exchanging, secure, admin, *ports = free_ports(5 + len(variants))
        servers = [
            _listener("inbound", "INBOUND", plain, (), _ANSWER),
            _listener("inbound_exchange", "INBOUND", exchanging, our_exchange("stats_inbound"), _ANSWER),
        ]
        identities = None
        if any(variant.stream.mutual_tls for variant in variants):
            identities = _identities()
            tls = bootstrap.downstream_tls(identities[1])
            servers.append(_listener("inbound_tls", "INBOUND", secure, our_exchange("stats_inbound"), _ANSWER, tls=tls))
        configuration = bootstrap.bootstrap(server(), servers, [], admin_port=server_admin, flush="5s")
        answering = proxy.Proxy(processes, f"{name}-server", configuration)
        answering.favour_as_helper()

        self._ports = dict(zip(variants, ports, strict=True))
        listeners = [
            _listener(
                v.name,
                v.stream.direction,
                port,
                (*v.stream.filters, *v.filters),
                {"route": {"cluster": _cluster_name(v)}},
                v.loggers,
                v.stream.route_name,
            )
            for v, port in self._ports.items()
        ]

        def upstream(variant: Variant) -> Json:
            if variant.stream.mutual_tls and identities is not None:
                return _upstream_cluster(variant, secure, bootstrap.upstream_tls(identities[0], SERVER_IDENTITY))
            return _upstream_cluster(variant, exchanging if variant.stream.answered else plain)

        clusters = [one for variant in variants for one in (upstream(variant), *variant.upstream_clusters)]
        flush = f"{flush_seconds}s"
        configuration = bootstrap.bootstrap(client(), listeners, clusters, admin_port=admin, flush=flush)
        # For native modules; of others no name changes.
        configuration["layered_runtime"] = plugins.NATIVE_RUNTIME
        self.proxy = proxy.Proxy(processes, name, configuration, workers)
        self.proxy.favour_worker()

    def port(self, variant: Variant) -> int:
        return self._ports[variant]

    def send(self, variant: Variant, load: Load) -> float:
        """Requests of the variant's kind; how many seconds they took."""
        headers = (f":authority: {service_host(variant)}", *variant.stream.headers)
        return h2load.send(self._ports[variant], load, headers)


def ours(name: str, root_id: str, vm_id: str | None = None, **configuration: object) -> Json:
    """One of the built modules as a plugin for HTTP."""
    text = json.dumps({"attachment": "http", **configuration})
    return plugins.plugin(name, module(name), root_id, text, vm_id)


def native_filter(name: str, **configuration: object) -> Json:
    """The same as a native module."""
    return plugins.native_http_filter(ours(name, "stats_outbound", None, **configuration))


# === pieces of the bootstraps

_ANSWER = {
    "direct_response": {"status": 200, "body": {"inline_string": BODY}},
    "response_headers_to_add": [{"header": {"key": "content-type", "value": "text/plain"}}],
}


def _listener(
    name: str,
    direction: str,
    port: int,
    filters: Iterable[Json],
    action: Json,
    loggers: Iterable[Json] = (),
    route_name: str = "default",
    tls: Json | None = None,
) -> Json:
    route = {"name": route_name, "match": {"prefix": "/"}, **action}
    route_config = {"name": name, "virtual_hosts": [bootstrap.virtual_host(name, [route])]}
    manager = bootstrap.http_manager(name, filters, route_config, access_log=list(loggers))
    return bootstrap.listener(name, [manager], port, direction, tls, **bootstrap.EXACT_BALANCE)


def _identities() -> tuple[Identity, Identity]:
    """Of the client's and of the server's side."""
    directory = OUT / "certificates"
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority(directory)
    return authority.issue(CLIENT_IDENTITY), authority.issue(SERVER_IDENTITY)


def service_host(variant: Variant) -> str:
    return f"{variant.name}.shop.svc.cluster.local"


def _cluster_name(variant: Variant) -> str:
    return f"outbound|9080||{service_host(variant)}"


def _upstream_cluster(variant: Variant, port: int, tls: Json | None = None) -> Json:
    services = [{"host": service_host(variant), "name": variant.name, "namespace": "shop"}]
    # `bench` holds the same, for format strings: those do not split texts and find no element of a list.
    named, described = variant.stream.named_service, variant.stream.described
    metadata = {"istio": {"services": services}, "bench": services[0]} if named else {}
    endpoint = bootstrap.endpoint(port, workload=";".join(ENDPOINT.values()) if described else None)
    if described:
        endpoint["metadata"]["filter_metadata"]["bench"] = ENDPOINT
    more: Json = {"metadata": {"filter_metadata": metadata}}
    return bootstrap.static_cluster(_cluster_name(variant), [endpoint], tls=tls, **more)
