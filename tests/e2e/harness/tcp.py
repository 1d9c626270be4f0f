"""Proxies with one TCP listener each, with our two plugins in front of tcp_proxy."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from lab.paths import module
from tests.e2e.harness import bootstrap, discovery
from tests.e2e.harness.sidecar import ABSENT
from tests.e2e.harness.workloads import SHOP, STOCK, STOCK_SERVICE, Workload

# Named as Istio's control plane names them.
SERVICE = "outbound|5432||stock.logistics.svc.cluster.local"
BACKEND = "inbound|5432||"
# Far shorter than the default of 5 s, which would make every test wait.
PERIOD_SECONDS = 1


@dataclass
class TcpSidecar:
    """A proxy; tests replace what they are about."""

    name: str
    workload: Workload
    direction: str
    root_id: str
    upstream_clusters: list
    # Configuration of a plugin, or ABSENT.
    stats: object = field(default_factory=lambda: {"attachment": "tcp", "tcp_reporting_duration": f"{PERIOD_SECONDS}s"})
    exchange: object = field(default_factory=lambda: {"attachment": "tcp"})
    # Whether the stats plugin is an access logger instead of a filter.
    logger: bool = False
    # Filters between the exchange and the stats plugin.
    filters: list = field(default_factory=list)
    tls: dict = None
    # Where Envoy reads the listener from, so that it can be replaced; without it, it is in the bootstrap.
    listeners_file: Path = None
    port: int = 0
    stats_sinks: list = field(default_factory=list)
    # Further ones for Envoy's command line.
    arguments: tuple = ()
    workers: int = 1
    expected_log: tuple = ()
    permitted_log: str = None

    def bootstrap(self):
        listeners = [] if self.listeners_file else [self._listener()]
        whole = bootstrap.bootstrap(self.workload.node(), listeners, self.upstream_clusters)
        if self.listeners_file:
            self.publish()
            whole["dynamic_resources"] = {"lds_config": discovery.source(self.listeners_file)}
        whole["stats_sinks"] = self.stats_sinks
        return whole

    def publish(self):
        """Hands the listener, as it is now, to the running Envoy."""
        discovery.publish(self.listeners_file, discovery.LISTENER, [self._listener()])

    def _listener(self):
        proxy = {
            "@type": bootstrap.EXTENSION + "filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": self.name,
            "cluster": self.upstream_clusters[0]["name"],
        }
        stats = self._plugin("istio_stats", self.stats)
        if self.logger:
            proxy["access_log"] = [bootstrap.as_access_logger(plugin) for plugin in stats]
            stats = []
        filters = [
            *self._plugin("metadata_exchange", self.exchange),
            *self.filters,
            *stats,
            {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy},
        ]
        chain = {"filters": filters}
        if self.tls is not None:
            chain["transport_socket"] = bootstrap.transport_socket("Downstream", self.tls)
        return {
            "name": self.name,
            "traffic_direction": self.direction,
            "address": bootstrap.socket_address("127.0.0.1", self.port),
            # Spreads connections over the workers evenly, which the kernel does not promise.
            "connection_balance_config": {"exact_balance": {}},
            "filter_chains": [chain],
        }

    def _plugin(self, name, configuration):
        if configuration is ABSENT:
            return []
        plugin = bootstrap.wasm(name, module(name), self.root_id, json.dumps(configuration))
        plugin["typed_config"]["@type"] = bootstrap.EXTENSION + "filters.network.wasm.v3.Wasm"
        return [plugin]


def east(upstream_port, *, opted_in=True, endpoint_metadata=None, tls=None, **changes):
    """The caller's proxy; begins the exchange if the upstream cluster is `opted_in`."""
    upstream_cluster = bootstrap.upstream_cluster(
        SERVICE, [upstream_port], services=[STOCK_SERVICE], endpoint_metadata=endpoint_metadata, tls=tls
    )
    if opted_in:
        upstream_cluster["metadata"]["filter_metadata"]["istio-stats"] = {"tcp_exchange": True}
    defaults = {"name": "east", "workload": SHOP, "direction": "OUTBOUND", "root_id": "stats_outbound"}
    return TcpSidecar(**{**defaults, "upstream_clusters": [upstream_cluster], **changes})


def west(backend_port, **changes):
    """The called workload's proxy, in front of the backend."""
    upstream_cluster = bootstrap.upstream_cluster(BACKEND, [backend_port], services=[STOCK_SERVICE])
    defaults = {"name": "west", "workload": STOCK, "direction": "INBOUND", "root_id": "stats_inbound"}
    return TcpSidecar(**{**defaults, "upstream_clusters": [upstream_cluster], **changes})
