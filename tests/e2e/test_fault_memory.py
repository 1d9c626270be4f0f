"""Memory when `max_series` is reached: each VM's own, and Envoy's, which its overload manager watches.

The native form has no memory of its own: its part is in Envoy's heap.
"""

from collections.abc import Iterator

import pytest

from lab import bootstrap
from lab.memory import linear_memories
from lab.tree import Json
from tests.e2e.harness import forms
from tests.e2e.harness.altered import Altered
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, encode
from tests.e2e.harness.requests import Request, send
from tests.e2e.harness.sidecar import west

pytestmark = forms.BOTH

BOUND = 500
ATTACK = 2000
MONITOR = "envoy.resource_monitors.fixed_heap"
PRESSURE = f"overload.{MONITOR}.pressure"
HEAP_BYTES = 150_000_000
# As many label sets more would take 5 MB.
TOLERANCE_BYTES = 256 * 1024
# Envoy lets a VM have 1 GiB, and cannot be told to let it have less. In its heap there are the series, too.
MAX_BYTES = {"VM": 16_000_000, "heap": 40_000_000}
# The longest values that are kept.
LABELS = ("app", "version", "service.istio.io/canonical-name", "service.istio.io/canonical-revision")
FAMILIES = ("requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes")


def _peers(begin: int, end: int) -> Iterator[Request]:
    for number in range(begin, end):
        value = f"{number}-".ljust(256, "x")
        names = dict.fromkeys(("WORKLOAD_NAME", "NAMESPACE", "CLUSTER_ID"), value)
        metadata = {**names, "LABELS": dict.fromkeys(LABELS, value)}
        yield {METADATA: encode(metadata)}


def _watch_heap(whole: Json) -> None:
    config = {
        "@type": bootstrap.TYPE + "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
        "max_heap_size_bytes": HEAP_BYTES,
    }
    trigger = {"name": MONITOR, "threshold": {"value": 0.95}}
    whole["overload_manager"] = {
        "refresh_interval": "0.1s",
        "resource_monitors": [{"name": MONITOR, "typed_config": config}],
        "actions": [{"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [trigger]}],
    }


@pytest.mark.parametrize("max_series", [BOUND, 10_000], ids=["bounded", "unbounded"])
def test_what_it_holds_grows_no_further_than_max_series(mesh: Mesh, max_series: int) -> None:
    stats = {
        "attachment": "http",
        "max_series": max_series,
        "metrics": [{"name": name, "drop": True} for name in FAMILIES[1:]],
    }
    port = mesh.start(Altered(west(1, routes=[bootstrap.direct_response("/", 200)], stats=stats), _watch_heap))
    before = _worker(mesh, port, 0, 2 * BOUND)
    after = _worker(mesh, port, 2 * BOUND, 2 * BOUND + ATTACK)
    pressure = mesh["west"].stats(f"^{PRESSURE}$")
    grown = f"{before / 1e6:.1f} MB, {after / 1e6:.1f} MB after {ATTACK} more peers"
    print(f"{_place()}: {grown}; {pressure[PRESSURE]}% of the heap")
    assert (after - before <= TOLERANCE_BYTES) == (max_series == BOUND)
    assert after < MAX_BYTES[_place()]


def _worker(mesh: Mesh, port: int, begin: int, end: int) -> int:
    """Has so many peers call; returns the memory of the worker's VM, the only one that they reach, or of the heap."""
    # Each is answered with 200, which it were not if the heap were full.
    send(port, _peers(begin, end))
    mesh.await_total("west", "istio_requests_total", end)
    return mesh["west"].allocated_bytes() if forms.is_native() else linear_memories(mesh["west"].pid)[0]


def _place() -> str:
    return "heap" if forms.is_native() else "VM"
