"""Filter chains in the order in which istiod builds them.

Two of Istio's own filters are in no stock Envoy; our modules stand in for them,
each in a VM of its own, under the name and in the place of the original:
`metadata_exchange` for the metadata exchange, and `istio_stats`, with Istio's
names and its control plane's configuration, for `istio.stats`. Left out are the
ALPN override and authentication.
"""

import json
from dataclasses import dataclass

from lab.paths import module
from tests.e2e.harness import bootstrap
from tests.e2e.harness.bootstrap import EXTENSION
from tests.e2e.harness.istio import extensions
from tests.e2e.harness.istio.envoy_filter import HTTP_CONNECTION_MANAGER

TCP_PROXY = "envoy.filters.network.tcp_proxy"
_ROOT_IDS = {
    "SIDECAR_OUTBOUND": "stats_outbound",
    "GATEWAY": "stats_outbound",
    "SIDECAR_INBOUND": "stats_inbound",
    "WAYPOINT": "",
}
# What istiod tells its own metrics filter. A gateway and a server let no `Host` name the service.
_OWN_STATS = {
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
    extensions: list
    # Whether Istio's own metrics are on.
    own_metrics: bool

    def http(self, name, routes):
        manager = {
            "@type": EXTENSION + "filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name,
            "http_filters": [*self._http_filters(), *self._stats("http"), bootstrap.router()],
            "route_config": {"name": name, "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": routes}]},
        }
        return [*self._network_plugins(), {"name": HTTP_CONNECTION_MANAGER, "typed_config": manager}]

    def tcp(self, name, upstream_cluster):
        proxy = {
            "@type": EXTENSION + "filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": name,
            "cluster": upstream_cluster,
        }
        return [
            self._exchange("tcp"),
            *self._network_plugins(),
            *self._stats("tcp"),
            {"name": TCP_PROXY, "typed_config": proxy},
        ]

    def _http_filters(self):
        """Those in front of Istio's metrics."""
        return [
            self._exchange("http"),
            *self._plugins("HTTP", "AUTHN", "AUTHZ", "STATS", "UNSPECIFIED"),
            *self._http_features(),
        ]

    def _http_features(self):
        """What every chain has."""
        return [bootstrap.grpc_stats(), _plain("fault", "fault.v3.HTTPFault"), _plain("cors", "cors.v3.Cors")]

    def _network_plugins(self):
        """Those in front of HTTP connection managers, too."""
        return self._plugins("NETWORK", "AUTHN", "AUTHZ", "STATS", "UNSPECIFIED")

    def _plugins(self, kind, *phases):
        return [one for phase in phases for one in extensions.filters(self.extensions, kind, self.context, phase)]

    def _exchange(self, attachment):
        return self._stand_in("istio.metadata_exchange", "metadata_exchange", attachment, {})

    def _stats(self, attachment):
        if not self.own_metrics:
            return []
        return [self._stand_in("istio.stats", "istio_stats", attachment, _OWN_STATS[self.context])]

    def _stand_in(self, name, module_name, attachment, configuration):
        configuration = json.dumps({"attachment": attachment, **configuration})
        plugin = bootstrap.wasm(name, module(module_name), _ROOT_IDS[self.context], configuration)
        if attachment == "tcp":
            plugin["typed_config"]["@type"] = EXTENSION + "filters.network.wasm.v3.Wasm"
        return plugin


def _plain(name, message):
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{EXTENSION}filters.http.{message}"}}
