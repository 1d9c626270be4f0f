"""A filter that comes by extension discovery, with a default configuration that serves until then."""

from copy import deepcopy
from pathlib import Path

from lab.tree import Json, configure
from lab.waiting import wait_until
from tests.e2e.harness import clients, forms
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.discovery import FILTER, publish, source
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import west

pytestmark = forms.BOTH


def test_without_warming_the_default_counts_until_the_other_comes(mesh: Mesh, backend: int, tmp_path: Path) -> None:
    file = tmp_path / "filter.json"
    publish(file, FILTER, [])
    delivered: list[Json] = []

    def discover(whole: Json) -> None:
        (stats,) = [one for one in http_manager(whole)["http_filters"] if one["name"] == "istio_stats"]
        delivered.append(deepcopy(stats))
        default = stats.pop("typed_config")
        stats["config_discovery"] = {
            "config_source": source(file),
            "type_urls": [default["@type"]],
            "default_config": default,
            "apply_default_config_without_warming": True,
        }

    def total(metric: str) -> float:
        family = mesh["west"].families().get(metric)
        return sum(family.series.values()) if family else 0

    port = mesh.start(Altered(west(backend), discover))
    sent = 3
    with clients.http1(port) as caller:
        for _ in range(sent):
            assert caller.get("/").status_code == 200
        mesh.await_total("west", "istio_requests_total", sent)
        configure(delivered, metric_prefix="mesh_")
        publish(file, FILTER, delivered)

        def counts_anew() -> bool:
            nonlocal sent
            sent += 1
            return caller.get("/").status_code == 200 and total("mesh_requests_total") > 0

        wait_until(counts_anew, "requests under the names that were delivered")
    metrics = ("istio_requests_total", "mesh_requests_total")
    wait_until(lambda: sum(map(total, metrics)) == sent, f"{sent} requests, each counted once")
