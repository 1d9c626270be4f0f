"""What the Envoys must export of TCP connections: whole families, every label.

The label sets stand in golden/tcp/labels.yaml by name, the counts in the tests.
"""

from dataclasses import dataclass
from functools import cache

import yaml

from lab.metrics import Labels
from lab.waiting import await_equal
from tests.e2e.harness import forms
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.golden import GOLDEN
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.scrape import Families, Family, label_set
from tests.e2e.harness.workloads import SHOP, STOCK


@dataclass(frozen=True)
class Counts:
    """What connections add up to. What is zero is not exported."""

    opened: int = 0
    closed: int = 0
    received: int = 0
    sent: int = 0


FAMILIES = {
    "istio_tcp_connections_opened_total": ("counter", "opened"),
    "istio_tcp_connections_closed_total": ("counter", "closed"),
    "istio_tcp_received_bytes_total": ("counter", "received"),
    "istio_tcp_sent_bytes_total": ("counter", "sent"),
    "istio_tcp_connection_duration_milliseconds": ("histogram", "closed"),
}
_WORKLOADS = {"east": SHOP, "west": STOCK}


def label_sets() -> dict[str, Labels]:
    sets = _label_sets()
    if not forms.is_native():
        return sets
    # It knows the service of a connection by its host alone.
    short = {labels: sets[labels]["destination_service"].partition(".")[0] for labels in sets}
    return {name: {**labels, "destination_service_name": short[name]} for name, labels in sets.items()}


@cache
def _label_sets() -> dict[str, Labels]:
    return yaml.safe_load((GOLDEN / "tcp" / "labels.yaml").read_text())


def expect(mesh: Mesh, **sides: dict[str, Counts]) -> None:
    """Waits until each Envoy exports these families, and no more.

    A side is a dict of Counts by the name of a label set.
    """
    wanted = {envoy: families(envoy, series) for envoy, series in sides.items()}
    mesh.expect_families(wanted, f"golden/tcp/labels.yaml with {sides}")


def expect_both(mesh: Mesh, counts: Counts, east: str = "east", west: str = "west") -> None:
    """The same counts on both sides, under these label sets."""
    expect(mesh, east={east: counts}, west={west: counts})


def families(envoy: str, series: dict[str, Counts]) -> Families:
    """Families by name, from Counts by the name of a label set."""
    build = label_set({"component": "proxy", "tag": _WORKLOADS[envoy].istio_version})
    found = {"istio_build": Family("istio_build", "gauge", {build: 1})}
    for name, (kind, field) in FAMILIES.items():
        values = {label_set(label_sets()[labels]): getattr(counts, field) for labels, counts in series.items()}
        values = {labels: value for labels, value in values.items() if value}
        if values:
            found[name] = Family(name, kind, values)
    return found


def totals(envoy: Envoy) -> Counts:
    """The Counts of an Envoy now, summed over all series."""
    exported = envoy.families()

    def total(name: str) -> int:
        return int(sum(exported[name].series.values())) if name in exported else 0

    return Counts(**{field: total(name) for name, (kind, field) in FAMILIES.items() if kind == "counter"})


def await_totals(envoy: Envoy, counts: Counts) -> None:
    await_equal(lambda: totals(envoy), counts, f"{envoy.name}: totals")


def flags(envoy: Envoy) -> set[str]:
    """Every value of the label response_flags."""
    exported = envoy.families()
    return {dict(labels)["response_flags"] for name in FAMILIES if name in exported for labels in exported[name].series}
