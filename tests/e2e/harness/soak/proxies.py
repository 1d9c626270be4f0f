"""The two proxies: an HTTP and a TCP listener each, whose plugins are configured anew while they run.

The HTTP filters come by extension discovery, the TCP listeners by listener discovery.
"""

from pathlib import Path

from lab import bootstrap
from lab.tree import Json
from tests.e2e.harness import altered, discovery, forms, sidecar, tcp
from tests.e2e.harness.altered import Altered
from tests.e2e.harness.customised import Customised
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.grpc_backend import SERVICE
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import Sidecar
from tests.e2e.harness.soak import gauges
from tests.e2e.harness.soak.gauges import Reading
from tests.e2e.harness.tcp import TcpSidecar

WORKERS = 2
# Filled by new peers within seconds.
MAX_SERIES = 20
STATS = {"max_series": MAX_SERIES, "tcp_reporting_duration": "1s"}
METRICS = [{"name": "requests_total", "dimensions": {"request_method": "request.method"}}]
HTTP_STATS = {**STATS, "attachment": "http", "metrics": METRICS}
TCP_STATS = {**STATS, "attachment": "tcp"}
FILTERS = ("metadata_exchange", "istio_stats")
# Longer than any TCP connection of the traffic lasts.
DRAIN_SECONDS = 8


class Proxies:
    """Both, running in a mesh."""

    def __init__(self, mesh: Mesh, directory: Path, grpc_port: int, tcp_port: int) -> None:
        # West answers HTTP by itself: a backend would cost more than both proxies.
        routes = [bootstrap.route(f"/{SERVICE}/", sidecar.BACKEND), bootstrap.direct_response("/", 200)]
        self._directory = directory
        self.configurations = 0
        self.west = self._run(
            mesh,
            sidecar.west(grpc_port, protocol="http2", routes=routes, **_HTTP),
            tcp.west(tcp_port, name="west-tcp", stats=TCP_STATS),
        )
        self.east = self._run(
            mesh,
            sidecar.east(self.west.port("west"), **_HTTP),
            tcp.east(self.west.port("west-tcp"), name="east-tcp", stats=TCP_STATS),
        )
        self.both = (self.east, self.west)

    def _run(self, mesh: Mesh, http: Sidecar, tcp_: TcpSidecar) -> Envoy:
        directory = self._directory / http.name
        directory.mkdir()
        tcp_.listeners_file = directory / "listeners.json"

        def change(whole: Json) -> None:
            for name in FILTERS:
                altered.deliver_filter(whole, name, directory)
            with_tcp = tcp_.bootstrap()
            upstream_clusters = whole["static_resources"]["clusters"]
            upstream_clusters += [
                one for one in with_tcp["static_resources"]["clusters"] if one not in upstream_clusters
            ]
            whole.update(
                {key: with_tcp[key] for key in ("dynamic_resources", "bootstrap_extensions") if key in with_tcp}
            )
            forms.configure_handles(whole, metrics=METRICS)
            # Merges all histograms: at every tenth of a second it would be the larger part of the work.
            whole["stats_flush_interval"] = "1s"

        return mesh.run(Altered(Customised(http), change))

    def read(self) -> dict[str, Reading]:
        """A reading of each, by name."""
        return {envoy.name: gauges.read(envoy) for envoy in self.both}

    def configure_anew(self) -> None:
        """Gives every plugin a configuration that it did not have before, though it says the same."""
        self.configurations += 1
        for path in self._directory.glob("*/*.json"):
            # Has no effect, but makes it another one.
            discovery.configure_anew(path, max_peer_cache_size=self.configurations)

    def followed(self) -> bool:
        """Whether every plugin has the last configuration, and had all the others."""
        return all(set(self._updates(envoy)) == {self.configurations} for envoy in self.both)

    def _updates(self, envoy: Envoy) -> list[int]:
        found = envoy.stats(r"^(extension_config_discovery\..*\.config_reload|listener_manager\..*in_place_updated)$")
        # A filter's first configuration is counted, a listener's is not.
        return [value - name.endswith("reload") for name, value in found.items()]


_HTTP: Json = {
    "stats": HTTP_STATS,
    "workers": WORKERS,
    "arguments": ("--drain-time-s", str(DRAIN_SECONDS), "--drain-strategy", "immediate"),
}
