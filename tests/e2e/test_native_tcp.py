"""TCP in the native form: reported by the handles of an upstream cluster, when that comes, goes or is another's."""

from functools import partial
from pathlib import Path

from lab import bootstrap, plugins
from lab.tree import Json
from lab.waiting import await_equal, wait_until
from tests.e2e.harness import tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.discovery import publish, source
from tests.e2e.harness.doctor import diagnose
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.forms import Form, each_of
from tests.e2e.harness.load import Load
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.runnable import Runnable, Wrapper
from tests.e2e.harness.usual import ABSENT

pytestmark = each_of(Form.NATIVE)

UPSTREAM_CLUSTER = bootstrap.TYPE + "envoy.config.cluster.v3.Cluster"
CLOSED = "istio_tcp_connections_closed_total"
CHANGES = 30
ABSENCE = r"\[error\].*TCP is not reported: there is no upstream cluster of this module"


class Discovered(Wrapper):
    """A proxy that has upstream clusters of this module from a file; none at first."""

    def __init__(self, sidecar: Runnable, directory: Path) -> None:
        super().__init__(sidecar)
        self._file = directory / "clusters.json"

    def bootstrap(self) -> Json:
        whole = self.sidecar.bootstrap()
        static = whole["static_resources"]
        static["clusters"] = [one for one in static["clusters"] if "cluster_type" not in one]
        self.publish()
        whole["dynamic_resources"] = {"cds_config": source(self._file)}
        return whole

    def publish(self, *handles: Json) -> None:
        publish(self._file, UPSTREAM_CLUSTER, handles)


class Unlike(Wrapper):
    """A proxy whose upstream clusters of this module have no configuration, whatever the filters have."""

    def bootstrap(self) -> Json:
        whole = self.sidecar.bootstrap()
        for upstream_cluster in whole["static_resources"]["clusters"]:
            upstream_cluster.get("cluster_type", {}).get("typed_config", {}).pop("cluster_config", None)
        return whole


def _await_update(envoy: Envoy, number: int) -> None:
    name = "cluster_manager.cds.update_success"
    wait_until(lambda: envoy.stats(f"^{name}$")[name] >= number, f"{name} to be {number}")


def _closed(envoy: Envoy) -> float:
    family = envoy.families().get(CLOSED)
    return sum(family.series.values()) if family else 0


def _await_rest(envoy: Envoy) -> None:
    """Until no connection is on its way to its end: from then on only new ones are counted."""
    active = partial(envoy.stats, r"^listener\.127\.0\.0\.1_\d+\.downstream_cx_active$")
    await_equal(lambda: sum(active().values()), 0, "connections")


def test_an_upstream_cluster_that_comes_and_goes_breaks_no_connection(mesh: Mesh, doubler: int, tmp_path: Path) -> None:
    """It comes when the listener is there already. What happens while it is away is lost, and said once."""
    proxy = Discovered(tcp.west(doubler, exchange=ABSENT, workers=4, expected_log=(ABSENCE,)), tmp_path)
    envoy = mesh.run(proxy)
    port = envoy.port("west")
    traffic.converse(port)

    load = Load()
    with load.running(*[(job, port) for job in (load.tcp_fresh, load.tcp_fresh, load.tcp, load.tcp)]):
        for number in range(1, CHANGES):
            there = [{**plugins.native_handles(), "connect_timeout": f"{number}s"}] if number % 3 else []
            proxy.publish(*there)
            _await_update(envoy, number + 1)
    assert load.done["connections"] > 10

    for handles, connections in (([plugins.native_handles()], 7), ([], 3), ([plugins.native_handles()], 11)):
        proxy.publish(*handles)
        await_equal(lambda: "istio_stats::" in envoy.admin("/clusters").text, bool(handles), "there")
        _await_rest(envoy)
        before = _closed(envoy)
        for _ in range(connections):
            traffic.converse(port)
        if handles:
            await_equal(partial(_closed, envoy), before + connections, "connections")


def test_doctor_says_that_the_upstream_cluster_is_missing(mesh: Mesh, doubler: int, tmp_path: Path) -> None:
    envoy = mesh.run(Discovered(tcp.west(doubler, exchange=ABSENT, expected_log=(ABSENCE,)), tmp_path))
    diagnose(envoy, "tcp-without-handles")


def test_what_no_upstream_cluster_defines_is_said_and_the_rest_is_reported(mesh: Mesh, doubler: int) -> None:
    change = {"name": "tcp_connections_opened_total", "tags_to_remove": ["source_app"]}
    unlike = r"\[error\].*TCP: istio_tcp_connections_opened_total is not recorded: no upstream cluster of this module"
    stats = {"metrics": [change]}
    sidecar = tcp.west(doubler, stats=stats, exchange=ABSENT, expected_log=(unlike,))
    envoy = mesh.run(Unlike(sidecar))
    for _ in range(5):
        traffic.converse(envoy.port("west"))
    await_equal(partial(_closed, envoy), 5, "connections")
    assert "istio_tcp_connections_opened_total" not in envoy.families()
    assert sum(envoy.families()["istio_tcp_received_bytes_total"].series.values()) == 30
