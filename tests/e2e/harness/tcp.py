"""Proxies with one TCP listener each, with our two plugins in front of tcp_proxy."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import bootstrap, plugins
from lab.tree import Json
from tests.e2e.harness import discovery, forms, usual
from tests.e2e.harness.workloads import SHOP, STOCK, STOCK_SERVICE, Workload

# Named as Istio's control plane names them.
SERVICE = "outbound|5432||stock.logistics.svc.cluster.local"
# Far shorter than the default of 5 s, which would make every test wait.
PERIOD_SECONDS = 1


def backend_name() -> str:
    """Of the upstream cluster in front of the backend. The native form knows the service by it."""
    return "inbound|5432||" + (STOCK_SERVICE["host"] if forms.is_native() else "")


@dataclass
class TcpSidecar:
    """A proxy; tests replace what they are about."""

    name: str
    workload: Workload
    direction: str
    root_id: str
    upstream_clusters: list[Json]
    # Configuration of a plugin, or ABSENT.
    stats: Any = field(default_factory=lambda: {"attachment": "tcp", "tcp_reporting_duration": f"{PERIOD_SECONDS}s"})
    exchange: Any = field(default_factory=lambda: {"attachment": "tcp"})
    # Whether the stats plugin is an access logger instead of a filter.
    logger: bool = False
    # Filters between the exchange and the stats plugin.
    filters: list[Json] = field(default_factory=list)
    # Filters behind the stats plugin.
    behind: list[Json] = field(default_factory=list)
    tls: Json | None = None
    # Where Envoy reads the listener from, so that it can be replaced; without it, it is in the bootstrap.
    listeners_file: Path | None = None
    port: int = 0
    # Further ones for Envoy's command line.
    arguments: tuple[str, ...] = ()
    workers: int = 1
    expected_log: tuple[str, ...] = ()
    permitted_log: str | None = None

    def bootstrap(self) -> Json:
        listeners = [] if self.listeners_file else [self.listener()]
        whole = bootstrap.bootstrap(self.workload.node(), listeners, self.upstream_clusters)
        if self.listeners_file:
            self.publish()
            whole["dynamic_resources"] = {"lds_config": discovery.source(self.listeners_file)}
        return forms.fitted(whole, [self.listener()] if self.listeners_file else [])

    def _exchange(self) -> Any:
        """The native form cannot read which upstream clusters are marked."""
        marked = [one["name"] for one in self.upstream_clusters if "istio-stats" in one["metadata"]["filter_metadata"]]
        if not forms.is_native() or not marked or self.exchange is usual.ABSENT:
            return self.exchange
        return {"tcp_upstream_clusters": marked, **self.exchange}

    def publish(self) -> None:
        """Hands the listener, as it is now, to the running Envoy."""
        assert self.listeners_file
        discovery.publish(self.listeners_file, discovery.LISTENER, [self.listener()])

    def listener(self) -> Json:
        stats = usual.plugin("istio_stats", self.root_id, self.stats)
        loggers = [plugins.access_logger(plugin) for plugin in stats] if self.logger else []
        filters = [
            *map(forms.network_filter, usual.plugin("metadata_exchange", self.root_id, self._exchange())),
            *self.filters,
            *([] if self.logger else map(forms.network_filter, stats)),
            *self.behind,
            bootstrap.tcp_proxy(self.name, self.upstream_clusters[0]["name"], access_log=loggers),
        ]
        return bootstrap.listener(self.name, filters, self.port, self.direction, self.tls, **bootstrap.EXACT_BALANCE)


def east(
    upstream_port: int,
    *,
    opted_in: bool = True,
    endpoint_metadata: str | None = None,
    tls: Json | None = None,
    **changes: Any,
) -> TcpSidecar:
    """The caller's proxy; begins the exchange if the upstream cluster is `opted_in`."""
    upstream_cluster = usual.upstream_cluster(
        SERVICE, [upstream_port], services=[STOCK_SERVICE], endpoint_metadata=endpoint_metadata, tls=tls
    )
    if opted_in:
        upstream_cluster["metadata"]["filter_metadata"]["istio-stats"] = {"tcp_exchange": True}
    defaults = {"name": "east", "workload": SHOP, "direction": "OUTBOUND", "root_id": "stats_outbound"}
    return TcpSidecar(**{**defaults, "upstream_clusters": [upstream_cluster], **changes})


def west(backend_port: int, **changes: Any) -> TcpSidecar:
    """The called workload's proxy, in front of the backend."""
    upstream_cluster = usual.upstream_cluster(backend_name(), [backend_port], services=[STOCK_SERVICE])
    defaults = {"name": "west", "workload": STOCK, "direction": "INBOUND", "root_id": "stats_inbound"}
    return TcpSidecar(**{**defaults, "upstream_clusters": [upstream_cluster], **changes})
