"""Loads golden files: what each Envoy must export, every label spelled out.

A file maps an Envoy's name to its families, a family to its series. A series
has `labels` and either `value` (counters and gauges) or `count` (histograms).
Keys that start with a dot hold shared label sets.
"""

from functools import cache

import yaml

from lab.paths import ROOT
from lab.tree import Json
from tests.e2e.harness.scrape import Families, Family, label_set

GOLDEN = ROOT / "tests" / "e2e" / "golden"


@cache
def load(name: str) -> dict[str, Families]:
    """The golden families by Envoy."""
    content = yaml.safe_load((GOLDEN / name).read_text())
    return {
        envoy: {family: _family(family, series) for family, series in families.items()}
        for envoy, families in content.items()
        if not envoy.startswith(".")
    }


def _family(name: str, series: list[Json]) -> Family:
    kinds = {_kind(name, one) for one in series}
    (kind,) = kinds
    values = {}
    for one in series:
        key = label_set(one["labels"])
        assert key not in values, f"{name}: the golden file has the same labels twice: {key}"
        values[key] = one["count"] if kind == "histogram" else one["value"]
    return Family(name, kind, values)


def _kind(name: str, series: Json) -> str:
    if "count" in series:
        return "histogram"
    return "counter" if name.endswith("_total") else "gauge"
