"""What docs/dashboards.md says that Kiali needs, in what two real Envoys export."""

import re

import pytest
from prometheus_client.samples import Sample

from lab import exposition
from lab.paths import ROOT
from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness.envoy import Envoy
from tests.prometheus.checks.mesh import CLUSTER_IDS
from tests.prometheus.conftest import Observed

DOCUMENT = (ROOT / "docs" / "dashboards.md").read_text()
PROXIES = ("east", "west")


def _table(name: str) -> dict[str, str]:
    rows = DOCUMENT.partition(f"<!-- kiali {name} -->")[2].partition("\n\n")[0]
    found = re.findall(r"^\| `(\w+)` \| (.+?) \|$", rows, re.MULTILINE)
    assert found, name
    return dict(found)


METRICS = _table("metrics")
LABELS = _table("labels")


@pytest.fixture(scope="module")
def exported(observed: Observed) -> dict[str, dict[str, list[Sample]]]:
    """Samples by metric, of both proxies."""

    def complete() -> dict[str, dict[str, list[Sample]]] | None:
        found = {name: _samples(envoy) for name, envoy in observed.mesh.envoys.items()}
        return found if all(METRICS.keys() <= samples.keys() for samples in found.values()) else None

    return wait_until(complete, f"every one of {', '.join(METRICS)}")


def _samples(envoy: Envoy) -> dict[str, list[Sample]]:
    found = {}
    text = envoy.admin("/stats/prometheus").text
    for family in exposition.families(text, lambda name: name.startswith("istio_")):
        # The parser calls a counter by its name without the ending.
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = family.samples
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("proxy", PROXIES)
def test_every_metric_has_every_label(exported: Json, proxy: str, metric: str) -> None:
    samples = exported[proxy][metric]
    suffixes = {sample.name.removeprefix(metric) for sample in samples}
    assert suffixes == ({"_bucket", "_count", "_sum"} if metric.endswith(("bytes", "milliseconds")) else {""})
    wanted = {label for label, on in LABELS.items() if on == "all" or _protocol(metric) in on.split(", ")}
    for sample in samples:
        assert wanted <= sample.labels.keys(), sample.name


@pytest.mark.parametrize("metric", METRICS)
def test_kubernetes_clusters_are_called_what_they_are_called(exported: Json, metric: str) -> None:
    """By both sides, for each other and for themselves."""
    for proxy in PROXIES:
        of_the_other = [s.labels for s in exported[proxy][metric] if s.labels["source_workload"] == "frontend-v1"]
        pairs = {(one["source_cluster"], one["destination_cluster"]) for one in of_the_other}
        assert (CLUSTER_IDS["east"], CLUSTER_IDS["west"]) in pairs, (proxy, metric)
        # A host that nobody knows, and what came after max_series.
        own = {"east": 0, "west": 1}[proxy]
        assert {pair[own] for pair in pairs} == {CLUSTER_IDS[proxy]}, (proxy, metric)
        assert {pair[1 - own] for pair in pairs} <= {*CLUSTER_IDS.values(), "unknown", "overflow"}, (proxy, metric)


def _protocol(metric: str) -> str:
    if "_tcp_" in metric:
        return "TCP"
    return "gRPC" if "_messages_" in metric else "HTTP"
