"""Filter chains in the order in which istiod builds them.

Two of Istio's own filters are in no stock Envoy; our modules stand in for them,
each in a VM of its own, under the name and in the place of the original:
`metadata_exchange` for the metadata exchange, and `istio_stats`, with Istio's
names and its control plane's configuration, for `istio.stats`. Left out are the
ALPN override and authentication.
"""

import json
from dataclasses import dataclass

from lab import bootstrap, plugins
from lab.paths import module
from lab.tree import Json
from tests.e2e.harness import istio_peers
from tests.e2e.harness.istio import extensions

_ROOT_IDS = {
    "SIDECAR_OUTBOUND": "stats_outbound",
    "GATEWAY": "stats_outbound",
    "SIDECAR_INBOUND": "stats_inbound",
    "WAYPOINT": "",
}
# What istiod tells its own metrics filter. A gateway and a server let no `Host` name the service.
_OWN_STATS: dict[str, Json] = {
    "SIDECAR_OUTBOUND": {},
    "GATEWAY": {"disable_host_header_fallback": True},
    "SIDECAR_INBOUND": {"disable_host_header_fallback": True},
    "WAYPOINT": {"disable_host_header_fallback": True, "reporter": "SERVER_GATEWAY"},
}


@dataclass(frozen=True)
class Chains:
    """Builds the chains of one context."""

    context: str
    # WasmPlugins and TrafficExtensions.
    extensions: list[Json]
    # Whether Istio's own metrics are on.
    own_metrics: bool

    def http(self, name: str, routes: list[Json], exchanges: bool = True) -> list[Json]:
        """With Istio's exchange, which is not in what comes out of a tunnel."""
        exchange = [self._exchange("http")] if exchanges else []
        filters = [*exchange, *self._http_filters(), *self._stats("http")]
        route_config = {"name": name, "virtual_hosts": [bootstrap.virtual_host("any", routes)]}
        return [*self._network_plugins(), bootstrap.http_manager(name, filters, route_config)]

    def tcp(self, name: str, upstream_cluster: str, exchanges: bool = True) -> list[Json]:
        """Istio's exchange is here in any case, but inside a tunnel nobody answers it."""
        return [
            self._exchange("tcp") if exchanges else self._unanswered_exchange(),
            *self._network_plugins(),
            *self._stats("tcp"),
            bootstrap.tcp_proxy(name, upstream_cluster),
        ]

    def _unanswered_exchange(self) -> Json:
        nobody = istio_peers.set_filter_state("peer_not_found", "true", network=True)
        return {**nobody, "name": "istio.metadata_exchange"}

    def _http_filters(self) -> list[Json]:
        """Those in front of Istio's metrics, behind the exchange."""
        return [
            *self._plugins("HTTP", "AUTHN", "AUTHZ", "STATS", "UNSPECIFIED"),
            *self._http_features(),
        ]

    def _http_features(self) -> list[Json]:
        """What every chain has."""
        others = ("filters.http.fault.v3.HTTPFault", "filters.http.cors.v3.Cors")
        return [bootstrap.grpc_stats(), *map(bootstrap.extension, others)]

    def _network_plugins(self) -> list[Json]:
        """Those in front of HTTP connection managers, too."""
        return self._plugins("NETWORK", "AUTHN", "AUTHZ", "STATS", "UNSPECIFIED")

    def _plugins(self, kind: str, *phases: str) -> list[Json]:
        return [one for phase in phases for one in extensions.filters(self.extensions, kind, self.context, phase)]

    def _exchange(self, attachment: str) -> Json:
        return self._stand_in("istio.metadata_exchange", "metadata_exchange", attachment, {})

    def _stats(self, attachment: str) -> list[Json]:
        if not self.own_metrics:
            return []
        return [self._stand_in("istio.stats", "istio_stats", attachment, _OWN_STATS[self.context])]

    def _stand_in(self, name: str, module_name: str, attachment: str, configuration: Json) -> Json:
        text = json.dumps({"attachment": attachment, **configuration})
        plugin = plugins.plugin(name, module(module_name), _ROOT_IDS[self.context], text)
        return plugins.network_filter(plugin) if attachment == "tcp" else plugins.http_filter(plugin)
