"""The Envoys' configurations: one function per kind of proxy, the plugins as in envoy-config/standalone.

Every sidecar speaks mutual TLS with SPIFFE certificates. The gateways pass it
through by its SNI, so that both ends, and the exchange between them, are the
sidecars.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lab import bootstrap, certs, plugins
from lab.certs import Identity
from lab.tree import Json
from tests.multicluster.mesh.paths import CERTIFICATES
from tests.multicluster.mesh.pods import KUBERNETES_CLUSTERS, NAMESPACE, TRUST_DOMAIN, Inventory, Pod

# Services and what they speak, by port. A sidecar takes HTTP and gRPC on one port.
SERVICES = {"reviews": {8080: "http1", 9090: "http2"}, "ledger": {6000: "tcp"}}
# Of the application, demo/backend.py.
APPLICATION_PORTS = {8080: 18003, 9090: 18004, 6000: 18008}

# Listeners. Those of a frontend for TCP differ by the Kubernetes cluster they lead to.
OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
INBOUND_TCP_PORT = 15007
OUTBOUND_TCP_PORTS = {None: 16000, "east": 16001, "west": 16002}
PASSTHROUGH_PORT = 15443
INGRESS_PORT = 8080
STATS_PORT = 15090
ADMIN_PORT = 15000
FOREIGN_PORT = 18009

# A request with it goes to the service's pods in that Kubernetes cluster only.
CHOICE_HEADER = "x-kubernetes-cluster"
# Who answered, said by the answering side's proxy: the truth that the metrics are compared with.
WITNESS_HEADER = "x-answered-by"
# Label sets of a gateway; it has some ten others, so clients that try hosts soon reach it.
INGRESS_MAX_SERIES = 12


def host(service: str) -> str:
    return f"{service}.{NAMESPACE}.svc.cluster.local"


FOREIGN = host("foreign")


class Configurations:
    """A bootstrap for each pod."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        CERTIFICATES.mkdir(parents=True)
        authority = certs.Authority(CERTIFICATES)
        apps = {pod.app for pod in inventory.pods}
        self._identities = {app: _inside(authority.issue(spiffe_id(app))) for app in sorted(apps)}

    def of(self, pod: Pod) -> Json:
        make = {"frontend": self._frontend, "gateway": self._gateway}.get(pod.app, self._server)
        listeners, upstream_clusters = make(pod)
        # Only this machine's neighbours in the pod may use the admin interface; Prometheus gets one page of it.
        return bootstrap.bootstrap(
            pod.node(),
            [*listeners, _stats_listener()],
            [*upstream_clusters, _admin_upstream()],
            admin_port=ADMIN_PORT,
            flush="1s",
        )

    def _frontend(self, pod: Pod) -> tuple[list[Json], list[Json]]:
        """Speaks for a client: outbound listeners for HTTP, gRPC and TCP."""
        choices = (*KUBERNETES_CLUSTERS, None)
        routes = [route for choice in choices for route in _routes("reviews", choice)]
        reviews = bootstrap.virtual_host("reviews", routes, host("reviews"))
        unknown = bootstrap.virtual_host("unknown", [bootstrap.direct_response("/", 404)])
        http = _http_listener("outbound", OUTBOUND_PORT, "OUTBOUND", [reviews, unknown])
        tcp = [
            _tcp_listener(f"outbound_{port}", port, "OUTBOUND", _outbound_name("ledger", 6000, choice))
            for choice, port in OUTBOUND_TCP_PORTS.items()
        ]
        upstream_clusters = [
            self._outbound(pod, service, port, choice)
            for choice in choices
            for service, ports in SERVICES.items()
            for port in ports
        ]
        return [http, *tcp], upstream_clusters

    def _server(self, pod: Pod) -> tuple[list[Json], list[Json]]:
        """Speaks for a server: an inbound listener for whatever its service speaks."""
        tls = bootstrap.downstream_tls(self._identities[pod.app])
        ports = SERVICES[pod.app]
        if "tcp" in ports.values():
            (port,) = ports
            listener = _tcp_listener("inbound", INBOUND_TCP_PORT, "INBOUND", f"inbound|{port}||", tls)
        else:
            virtual_host = bootstrap.virtual_host(
                "inbound",
                [_route(f"inbound|{port}||", protocol) for port, protocol in _grpc_first(ports)],
                response_headers_to_add=[_header(WITNESS_HEADER, f"{pod.kubernetes_cluster}/{pod.workload}")],
            )
            listener = _http_listener("inbound", INBOUND_PORT, "INBOUND", [virtual_host], tls=tls)
        upstream_clusters = []
        for port, protocol in ports.items():
            endpoints = [bootstrap.endpoint(APPLICATION_PORTS[port])]
            upstream_clusters.append(_upstream_cluster(f"inbound|{port}||", protocol, endpoints, pod.app))
        return [listener], upstream_clusters

    def _gateway(self, pod: Pod) -> tuple[list[Json], list[Json]]:
        """Lets the other Kubernetes cluster in, without opening its TLS; and clients from outside, over HTTP."""
        # The SNI is the name of the upstream cluster, as at Istio's gateways.
        by_sni = bootstrap.extension("filters.network.sni_cluster.v3.SniCluster")
        passthrough = _listener(
            "passthrough",
            PASSTHROUGH_PORT,
            "UNSPECIFIED",
            [by_sni, _tcp_proxy("passthrough", "no_such_service")],
            listener_filters=[bootstrap.extension("filters.listener.tls_inspector.v3.TlsInspector")],
        )
        upstream_clusters = []
        for service, ports in SERVICES.items():
            for port in ports:
                endpoints = self._local_endpoints(service, pod.kubernetes_cluster)
                upstream_clusters.append(_upstream_cluster(_sni(service, port), "tcp", endpoints))

        virtual_hosts = [
            bootstrap.virtual_host("local", [_route(_outbound_name("reviews", 8080, None), "http1")], host("reviews")),
            # A peer whose proxy says nonsense about itself.
            bootstrap.virtual_host("foreign", [_route("foreign", "http1")], FOREIGN),
            bootstrap.virtual_host("unknown", [bootstrap.direct_response("/", 404)]),
        ]
        # Few series, and a mistake, which has a metric, too.
        stats = {"max_series": INGRESS_MAX_SERIES, "max_serious": True}
        ingress = _http_listener("ingress", INGRESS_PORT, "OUTBOUND", virtual_hosts, stats=stats)
        upstream_clusters += [
            self._outbound(pod, "reviews", 8080, None),
            _upstream_cluster("foreign", "http1", [bootstrap.endpoint(FOREIGN_PORT)], "foreign"),
        ]
        return [passthrough, ingress, _foreign_listener()], upstream_clusters

    def _outbound(self, pod: Pod, service: str, port: int, choice: str | None) -> Json:
        """A service as this pod sees it: its own Kubernetes cluster first, the other one when that fails;
        or only the one that is chosen."""
        protocol = SERVICES[service][port]
        own = pod.kubernetes_cluster
        order = [choice] if choice else sorted(KUBERNETES_CLUSTERS, key=lambda one: one != own)
        upstream_cluster = _upstream_cluster(_outbound_name(service, port, choice), protocol, [], service)
        upstream_cluster["load_assignment"]["endpoints"] = [
            {
                "priority": priority,
                "locality": {"region": one},
                "lb_endpoints": self._local_endpoints(service, one) if one == own else self._remote(pod, one),
            }
            for priority, one in enumerate(order)
        ]
        tls = bootstrap.upstream_tls(self._identities[pod.app], spiffe_id(service))
        tls["sni"] = _sni(service, port)
        if protocol == "http2":
            tls["common_tls_context"]["alpn_protocols"] = ["h2"]
        upstream_cluster["transport_socket"] = bootstrap.transport_socket("Upstream", tls)
        upstream_cluster["outlier_detection"] = OUTLIER_DETECTION
        # The default of 3 at a time would fail requests when a service fails that has many.
        upstream_cluster["circuit_breakers"] = {"thresholds": [{"max_retries": 1024}]}
        # Connections that lead nowhere any more end two seconds after what is not acknowledged.
        upstream_cluster["upstream_bind_config"] = {"socket_options": [TCP_USER_TIMEOUT]}
        if protocol == "tcp":
            # The proxy over there expects the exchange in front of the data.
            upstream_cluster["metadata"]["filter_metadata"]["istio-stats"] = {"tcp_exchange": True}
        return upstream_cluster

    def _local_endpoints(self, service: str, kubernetes_cluster: str) -> list[Json]:
        port = INBOUND_TCP_PORT if service == "ledger" else INBOUND_PORT
        pods = self._inventory.of(service, kubernetes_cluster)
        return [bootstrap.endpoint(port, pod.address, pod.endpoint_metadata()) for pod in pods]

    def _remote(self, pod: Pod, kubernetes_cluster: str) -> list[Json]:
        gateway = self._inventory.one("gateway", kubernetes_cluster)
        # Which workload is behind the gateway nobody here knows, but which Kubernetes cluster.
        metadata = f";;;;{kubernetes_cluster}"
        return [bootstrap.endpoint(PASSTHROUGH_PORT, gateway.addresses[pod.kubernetes_cluster], metadata)]


# Connections that fail are what moves traffic away; answers of the application are not.
OUTLIER_DETECTION = {
    "interval": "1s",
    "base_ejection_time": "2s",
    "max_ejection_percent": 100,
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 1,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_consecutive_5xx": 0,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
}
TCP_USER_TIMEOUT = {"description": "TCP_USER_TIMEOUT", "level": 6, "name": 18, "int_value": 2000}
RETRIES = {
    "retry_on": "connect-failure,refused-stream,reset",
    "num_retries": 4,
    "retry_priority": {
        **bootstrap.extension("retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", update_frequency=2),
        "name": "envoy.retry_priorities.previous_priorities",
    },
}


def spiffe_id(app: str) -> str:
    return f"spiffe://{TRUST_DOMAIN}/ns/{NAMESPACE}/sa/{app}"


def _inside(identity: Identity) -> Identity:
    """The identity's files as a container sees them."""

    def path(file: str) -> str:
        return "/generated/" + file.removeprefix(f"{CERTIFICATES.parent}/")

    return replace(
        identity,
        certificate=path(identity.certificate),
        key=path(identity.key),
        authority=path(identity.authority),
    )


def _outbound_name(service: str, port: int, choice: str | None) -> str:
    return f"outbound|{port}|{choice or ''}|{host(service)}"


def _sni(service: str, port: int) -> str:
    return f"outbound_.{port}_._.{host(service)}"


def _grpc_first(ports: dict[int, str]) -> list[tuple[int, str]]:
    return sorted(ports.items(), key=lambda port: port[1] != "http2")


def _routes(service: str, choice: str | None) -> Iterator[Json]:
    for port, protocol in _grpc_first(SERVICES[service]):
        route = _route(_outbound_name(service, port, choice), protocol)
        if choice:
            exact = {"name": CHOICE_HEADER, "string_match": {"exact": choice}}
            route["match"]["headers"] = [exact]
        else:
            route["route"]["retry_policy"] = RETRIES
        yield route


def _route(upstream_cluster: str, protocol: str) -> Json:
    if protocol == "http2":
        # Streams may stay open: no timeout for gRPC.
        return {"match": {"prefix": "/", "grpc": {}}, "route": {"cluster": upstream_cluster, "timeout": "0s"}}
    return {"match": {"prefix": "/"}, "route": {"cluster": upstream_cluster}}


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}}


def _tcp_proxy(stat_prefix: str, upstream_cluster: str) -> Json:
    return bootstrap.tcp_proxy(stat_prefix, upstream_cluster, max_connect_attempts=3)


def _http_listener(
    name: str, port: int, direction: str, virtual_hosts: list[Json], stats: Json | None = None, tls: Json | None = None
) -> Json:
    filters = [
        plugins.http_filter(_plugin("http", "metadata_exchange", "", {})),
        bootstrap.grpc_stats(),
        plugins.http_filter(_plugin("http", "istio_stats", f"stats_{direction.lower()}", stats or {})),
    ]
    return _listener(name, port, direction, [_manager(name, filters, virtual_hosts)], tls)


def _tcp_listener(name: str, port: int, direction: str, upstream_cluster: str, tls: Json | None = None) -> Json:
    filters = [
        plugins.network_filter(_plugin("tcp", "metadata_exchange", "", {})),
        # Open connections are reported every second; by default every 5 s.
        plugins.network_filter(
            _plugin("tcp", "istio_stats", f"stats_{direction.lower()}", {"tcp_reporting_duration": "1s"})
        ),
        _tcp_proxy(name, upstream_cluster),
    ]
    return _listener(name, port, direction, filters, tls)


def _plugin(attachment: str, name: str, root_id: str, configuration: Json) -> Json:
    text = json.dumps({"attachment": attachment, **configuration})
    return plugins.plugin(name, f"/dist/{name}.wasm", root_id, text)


def _listener(name: str, port: int, direction: str, filters: list[Json], tls: Json | None = None, **more: Any) -> Json:
    return bootstrap.listener(name, filters, port, direction, tls, **{"address": "0.0.0.0", **more})


def _manager(stat_prefix: str, filters: list[Json], virtual_hosts: list[Json]) -> Json:
    return bootstrap.http_manager(stat_prefix, filters, {"name": stat_prefix, "virtual_hosts": virtual_hosts})


def _stats_listener() -> Json:
    """What Prometheus scrapes, and whether this Envoy is ready; nothing else of the admin interface."""
    routes = [{"match": {"path": path}, "route": {"cluster": "admin"}} for path in ("/stats/prometheus", "/ready")]
    virtual_host = bootstrap.virtual_host("stats", routes)
    # Counted with the admin interface itself, so that its requests are told from the workload's.
    manager = _manager("admin", [], [virtual_host])
    return _listener("stats", STATS_PORT, "UNSPECIFIED", [manager])


def _admin_upstream() -> Json:
    return _upstream_cluster("admin", "http1", [bootstrap.endpoint(ADMIN_PORT)])


def _foreign_listener() -> Json:
    """A server whose proxy is of another make."""
    route = bootstrap.direct_response("/", 200)
    nonsense = [_header("x-envoy-peer-metadata", "!"), _header("x-envoy-peer-metadata-id", "x")]
    virtual_host = bootstrap.virtual_host("foreign", [route], response_headers_to_add=nonsense)
    manager = _manager("foreign", [], [virtual_host])
    return _listener("foreign", FOREIGN_PORT, "UNSPECIFIED", [manager], address="127.0.0.1")


def _upstream_cluster(name: str, protocol: str, endpoints: list[Json], service: str | None = None) -> Json:
    services = [{"host": host(service), "name": service, "namespace": NAMESPACE}] if service else []
    http2 = "http2" if protocol == "http2" else None
    return bootstrap.static_cluster(name, endpoints, services, http2, connect_timeout="2s")
