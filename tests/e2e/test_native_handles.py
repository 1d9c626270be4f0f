"""Series by handle in the native form, when what the handles are of comes and goes, under load."""

import json
from functools import partial
from pathlib import Path

from lab import bootstrap, plugins
from lab.tree import Json, nodes
from lab.waiting import await_equal, wait_until
from tests.e2e.harness.discovery import LISTENER, publish, source
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.forms import Form, each_of
from tests.e2e.harness.load import Load
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.requests import send
from tests.e2e.harness.runnable import Runnable, Wrapper
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.usual import ABSENT

pytestmark = each_of(Form.NATIVE)

UPSTREAM_CLUSTER = bootstrap.TYPE + "envoy.config.cluster.v3.Cluster"
ANSWER = [bootstrap.direct_response("/", 200)]
HANDLES = plugins.native_handles()
CHANGES = 20
FAMILIES = ("istio_requests_total", "istio_request_duration_milliseconds")


class Discovered(Wrapper):
    """A proxy whose listeners and further upstream clusters come from files."""

    def __init__(self, sidecar: Runnable, directory: Path, is_static: bool) -> None:
        super().__init__(sidecar)
        self._directory = directory
        # Whether the upstream cluster that the handles are of is in the bootstrap.
        self._is_static = is_static
        self._listeners: list[Json] = []

    def bootstrap(self) -> Json:
        whole = self.sidecar.bootstrap()
        static = whole["static_resources"]
        self._listeners = static.pop("listeners")
        if self._is_static:
            self.publish_upstream_clusters(HANDLES)
        else:
            static["clusters"].remove(HANDLES)
            self.publish_upstream_clusters()
        self.publish_listeners(0)
        whole["dynamic_resources"] = {
            "lds_config": source(self._directory / "listeners.json"),
            "cds_config": source(self._directory / "clusters.json"),
        }
        return whole

    def publish_upstream_clusters(self, *upstream_clusters: Json) -> None:
        publish(self._directory / "clusters.json", UPSTREAM_CLUSTER, upstream_clusters)

    def publish_listeners(self, number: int) -> None:
        """As they were, but for a bound of the plugins that none of the versions before had."""
        for node in nodes(self._listeners):
            if "filter_config" in node:
                node["filter_config"]["value"] = json.dumps({"max_series": 1000 + number})
        publish(self._directory / "listeners.json", LISTENER, self._listeners)


def _proxy(mesh: Mesh, directory: Path, is_static: bool) -> tuple[Discovered, Envoy]:
    drain = ("--drain-time-s", "1", "--drain-strategy", "immediate")
    sidecar = west(1, routes=ANSWER, exchange=ABSENT, workers=4, upstream_clusters=[], arguments=drain)
    proxy = Discovered(sidecar, directory, is_static)
    return proxy, mesh.run(proxy)


def _await(envoy: Envoy, name: str, least: int) -> None:
    wait_until(lambda: envoy.stats(f"^{name}$")[name] >= least, f"{name} to be {least}")


def test_counters_go_on_through_new_configurations(mesh: Mesh, tmp_path: Path) -> None:
    """And no discovery service can take the bootstrap's upstream cluster away."""
    proxy, envoy = _proxy(mesh, tmp_path, is_static=True)
    load = Load()
    with load.running(*[(job, envoy.port("west")) for job in (load.keep_alive, load.fresh, load.fresh)]):
        for number in range(1, CHANGES):
            proxy.publish_listeners(number)
            _await(envoy, "listener_manager.listener_modified", number)
        proxy.publish_upstream_clusters()
        _await(envoy, "cluster_manager.cds.update_success", 2)
    assert envoy.stats("^cluster_manager.cluster_(added|modified|removed)$") == {
        "cluster_manager.cluster_added": 1,
        "cluster_manager.cluster_modified": 0,
        "cluster_manager.cluster_removed": 0,
    }
    for name in FAMILIES:
        mesh.await_total("west", name, load.done["http"])


def test_an_upstream_cluster_that_comes_and_goes_takes_nobody_along(mesh: Mesh, tmp_path: Path) -> None:
    """Whatever is in use when it goes: series are the same by handle and by label values."""
    proxy, envoy = _proxy(mesh, tmp_path, is_static=False)
    send(envoy.port("west"), [{}] * 5)
    for name in FAMILIES:
        mesh.await_total("west", name, 5)

    load = Load()
    with load.running(*[(load.keep_alive, envoy.port("west"))] * 4):
        for number in range(1, CHANGES):
            upstream_clusters = [{**HANDLES, "connect_timeout": f"{number}s"}] if number % 3 else []
            proxy.publish_upstream_clusters(*upstream_clusters)
            _await(envoy, "cluster_manager.cds.update_success", number + 1)
    for upstream_clusters, sent in (([HANDLES], 7), ([], 11)):
        proxy.publish_upstream_clusters(*upstream_clusters)
        await_equal(partial(_is_there, envoy), bool(upstream_clusters), "there")
        before = sum(envoy.families()[FAMILIES[0]].series.values())
        send(envoy.port("west"), [{}] * sent)
        mesh.await_total("west", FAMILIES[0], before + sent)


def _is_there(envoy: Envoy) -> bool:
    return "istio_stats::" in envoy.admin("/clusters").text
