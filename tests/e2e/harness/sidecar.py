"""Proxies in the shape Istio gives them, with our two plugins in the filter chain."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lab import bootstrap, plugins
from lab.certs import Identity
from lab.tree import Json
from tests.e2e.harness import forms, http3, usual
from tests.e2e.harness.workloads import SHOP, STOCK, STOCK_SERVICE, WAYPOINT


class Listening(Protocol):
    """A proxy, as far as another one can have its listener."""

    @property
    def upstream_clusters(self) -> list[Json]: ...

    def listener(self) -> Json: ...


@dataclass
class Sidecar:
    """A proxy; tests replace what they are about."""

    name: str
    node: Json
    direction: str
    root_id: str
    upstream_clusters: list[Json]
    routes: list[Json]
    # Configuration of a plugin: a dict becomes JSON, a text is passed as it is.
    stats: Any = field(default_factory=lambda: {"attachment": "http"})
    exchange: Any = field(default_factory=dict)
    # Whether the stats plugin is an access logger instead of a filter.
    logger: bool = False
    # Filters between the exchange and the stats plugin, where Istio puts authorization.
    filters: list[Json] = field(default_factory=list)
    tls: Json | None = None
    # As whom it serves HTTP/3, instead of the others.
    quic: Identity | None = None
    # Proxies whose listeners and upstream clusters this one has, too.
    joined: list[Listening] = field(default_factory=list)
    # Instead of the stats_tags that the project ships.
    stats_tags: list[Json] | None = None
    # Further ones for Envoy's command line.
    arguments: tuple[str, ...] = ()
    workers: int = 1
    expected_log: tuple[str, ...] = ()
    permitted_log: str | None = None

    def bootstrap(self) -> Json:
        proxies: list[Listening] = [self, *self.joined]
        listeners = [proxy.listener() for proxy in proxies]
        upstream_clusters = [one for proxy in proxies for one in proxy.upstream_clusters]
        return forms.fitted(bootstrap.bootstrap(self.node, listeners, upstream_clusters, self.stats_tags))

    def listener(self) -> Json:
        filters = [
            *map(forms.http_filter, usual.plugin("metadata_exchange", self.root_id, self.exchange)),
            *self.filters,
            bootstrap.grpc_stats(),
        ]
        stats = usual.plugin("istio_stats", self.root_id, self.stats)
        loggers = map(plugins.access_logger, stats) if self.logger else ()
        filters += [] if self.logger else map(forms.http_filter, stats)
        listener = usual.http_listener(self.name, filters, self.routes, self.direction, self.tls, loggers)
        return http3.listener(listener, self.quic) if self.quic else listener


_STOCK_ENDPOINT = STOCK.endpoint_metadata()


def east(
    upstream_port: int,
    *,
    endpoint_metadata: str | None = _STOCK_ENDPOINT,
    services: Sequence[Json] = (STOCK_SERVICE,),
    tls: Json | None = None,
    **changes: Any,
) -> Sidecar:
    """The caller's proxy; sends everything to the service at `upstream_port`."""
    upstream_cluster = usual.upstream_cluster(
        SERVICE, [upstream_port], services=services, endpoint_metadata=endpoint_metadata, tls=tls
    )
    return _sidecar(
        changes,
        name="east",
        node=SHOP.node(),
        direction="OUTBOUND",
        root_id="stats_outbound",
        upstream_clusters=[upstream_cluster],
        routes=[bootstrap.route("/", SERVICE)],
    )


def west(
    backend_port: int, *, services: Sequence[Json] = (STOCK_SERVICE,), protocol: str = "http1", **changes: Any
) -> Sidecar:
    """The called workload's proxy, in front of the backend."""
    return _sidecar(
        changes,
        name="west",
        node=STOCK.node(),
        direction="INBOUND",
        root_id="stats_inbound",
        upstream_clusters=[usual.upstream_cluster(BACKEND, [backend_port], services=services, protocol=protocol)],
        routes=[bootstrap.route("/", BACKEND)],
    )


def waypoint(upstream_port: int, **changes: Any) -> Sidecar:
    """A proxy that serves a whole namespace, between the two others."""
    return _sidecar(
        changes,
        name="waypoint",
        node=WAYPOINT.node(),
        direction="UNSPECIFIED",
        root_id="",
        upstream_clusters=[usual.upstream_cluster(SERVICE, [upstream_port], services=[STOCK_SERVICE])],
        routes=[bootstrap.route("/", SERVICE)],
        stats={"attachment": "http", "reporter": "SERVER_GATEWAY"},
    )


# Named as Istio's control plane names them.
SERVICE = "outbound|80||stock.logistics.svc.cluster.local"
BACKEND = "inbound|8080||"


def _sidecar(changes: Json, **defaults: Any) -> Sidecar:
    return Sidecar(**{**defaults, **changes})
