"""Exchanges that break off at every phase, by each side, in every way: each is counted once, where it arrived."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import pytest

from lab.waiting import wait_until
from tests.e2e.harness import forms, interrupted
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.customised import Customised
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.interrupted import ALL, Break, Http1, Http2
from tests.e2e.harness.mesh import LATE_SECONDS, Mesh
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.workloads import SHOP, STOCK

pytestmark = forms.BOTH

PROTOCOLS: dict[str, interrupted.Protocol] = {"http1": Http1, "http2": Http2}
# The path tells the cases apart.
STATS = {
    "attachment": "http",
    "labels": ["source_cluster", "destination_cluster", "response_code", "response_flags"],
    "metrics": [{"dimensions": {"request_path": "request.path"}}]
    + [{"name": name, "drop": True} for name in ("request_duration_milliseconds", "request_bytes", "response_bytes")],
}

# An orderly end of the connection, or a TCP reset; or a reset of the stream on a connection that stays.
CONNECTION, STREAM = ("close", "reset"), ("stream",)
# Who ends it, how, the parts of request and response that were written by then (headers, two halves of the body,
# trailers), and what each proxy says: code and flags.
TABLE: dict[str, list[tuple[Any, ...]]] = {
    "http1": [
        ("client", CONNECTION, 2.5, 0, "0 DC", "0 DC"),
        ("client", CONNECTION, 3.5, 0, "0 DC", "0 DC"),
        ("client", CONNECTION, ALL, 0, "0 DC", "0 DC"),
        ("client", CONNECTION, ALL, 2, "200 DC", "200 DC"),
        ("client", CONNECTION, ALL, 3, "200 DC", "200 DC"),
        ("upstream", CONNECTION, 2, 0, "503 -", "503 UC"),
        ("upstream", CONNECTION, ALL, 0, "503 -", "503 UC"),
        ("upstream", CONNECTION, ALL, 0.5, "502 -", "502 UPE"),
        ("upstream", CONNECTION, ALL, 2.5, "200 UPE", "200 UPE"),
        ("upstream", CONNECTION, ALL, 3.5, "200 UPE", "200 UPE"),
    ],
    "http2": [
        # East resets the stream only: its connection to west has others.
        ("client", CONNECTION, 2.5, 0, "0 DC", "0 DR"),
        ("client", CONNECTION, 3.5, 0, "0 DC", "0 DR"),
        ("client", CONNECTION, ALL, 0, "0 DC", "0 DR"),
        ("client", CONNECTION, ALL, 2, "200 DC", "200 DR"),
        ("client", CONNECTION, ALL, 3, "200 DC", "200 DR"),
        ("client", STREAM, 2, 0, "0 DR", "0 DR"),
        ("client", STREAM, 3, 0, "0 DR", "0 DR"),
        ("client", STREAM, ALL, 0, "0 DR", "0 DR"),
        ("client", STREAM, ALL, 2, "200 DR", "200 DR"),
        ("client", STREAM, ALL, 3, "200 DR", "200 DR"),
        ("upstream", CONNECTION, 2, 0, "503 -", "503 UC"),
        ("upstream", CONNECTION, ALL, 0, "503 -", "503 UC"),
        ("upstream", CONNECTION, ALL, 0.5, "503 -", "503 UC"),
        ("upstream", CONNECTION, ALL, 2.5, "200 UR", "200 UC"),
        ("upstream", CONNECTION, ALL, 3.5, "200 UR", "200 UC"),
        ("upstream", STREAM, 2, 0, "503 -", "503 UR"),
        ("upstream", STREAM, ALL, 0, "503 -", "503 UR"),
        ("upstream", STREAM, ALL, 2, "200 UR", "200 UR"),
        ("upstream", STREAM, ALL, 3, "200 UR", "200 UR"),
    ],
}


@pytest.mark.parametrize("protocol", TABLE)
def test_what_breaks_off_is_counted_once_on_both_sides(mesh: Mesh, protocol: str) -> None:
    expected: dict[str, dict[str, float]] = {"east": {}, "west": {}}
    with _chain(mesh, protocol) as exchange, ExitStack() as left_open:
        for by, ways, request, response, *sides in TABLE[protocol]:
            for way in ways:
                path = f"/{by}/{way}/{request}/{response}"
                left_open.enter_context(exchange(Break(by, way, request, response), path))
                for name, side in zip(expected, sides, strict=True):
                    expected[name][f"{path} {side}"] = 1
        # Half of the headers is no request: Envoy itself logs none.
        for way in CONNECTION:
            left_open.enter_context(exchange(Break("client", way, 0.5), "/half"))
        for name, counts in expected.items():
            with suppress(TimeoutError):
                _await(mesh[name], counts)
    # What would be counted twice, or once too often, would be there by then.
    time.sleep(LATE_SECONDS)
    for name, counts in expected.items():
        assert _counted(mesh[name]) == counts, name


def _await(envoy: Envoy, counts: dict[str, float]) -> None:
    wait_until(lambda: _counted(envoy) == counts, "all of them")


@contextmanager
def _chain(mesh: Mesh, protocol: str) -> Iterator[Callable[[Break, str], AbstractContextManager[None]]]:
    """Client, east, west, backend, and all of them speak this protocol; yields what begins an exchange."""
    backend = interrupted.Backend(PROTOCOLS[protocol])
    with traffic.backend(backend.serve) as backend_port:
        called = west(backend_port, protocol=protocol, stats=STATS)
        (options,) = called.upstream_clusters[0]["typed_extension_protocol_options"].values()
        # The backend answers one exchange on a connection.
        options["common_http_protocol_options"] = {"max_requests_per_connection": 1}
        port = mesh.start(Customised(east(mesh.start(Customised(called)), stats=STATS)))
        yield partial(interrupted.exchange, port, backend, PROTOCOLS[protocol])


def _counted(envoy: Envoy) -> dict[str, float]:
    """By path, code and flags."""
    family = envoy.families().get("istio_requests_total")
    found = {}
    for key, value in family.series.items() if family else ():
        labels = dict(key)
        assert (labels["source_cluster"], labels["destination_cluster"]) == (SHOP.cluster_id, STOCK.cluster_id)
        found[f"{labels['request_path']} {labels['response_code']} {labels['response_flags']}"] = value
    return found
