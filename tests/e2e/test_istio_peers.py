"""Peers where Istio's own filters keep them: in a real Envoy, byte for byte as each era of Istio did."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness import clients, forms, golden, tcp
from tests.e2e.harness import istio_peers as istio
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.forms import Lacks
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, encode, serialize
from tests.e2e.harness.scrape import Families, Family, label_set
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.tcp_families import Counts, families, totals
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import SHOP, STOCK, Workload

pytestmark = forms.BOTH

UNKNOWN_MARK = "envoy.wasm.metadata_exchange.peer_unknown"


def _struct(side: str, workload: Workload, **where: Any) -> list[Json]:
    return [istio.keep(istio.line(f"envoy.wasm.metadata_exchange.{side}", istio.node_metadata(workload)), **where)]


def _flat_node(side: str, workload: Workload, **where: Any) -> list[Json]:
    return [istio.keep(istio.line(f"{side}_peer", istio.flat_node(workload)), **where)]


def _shown_struct(side: str, workload: Workload, **where: Any) -> list[Json]:
    """What this very Envoy shows of a Struct, under a key of the test's own, put in the peer's place."""
    labels = {"role": "worker", "cluster": "a pod's own label"}
    message = serialize({**istio.fields(workload), "labels": labels})
    struct = istio.line("shown", message, istio.STRUCT_TYPE)
    return [istio.keep(struct, f"{side}_peer < filter_state/wasm.shown", **where)]


def _pairs(side: str, workload: Workload, **where: Any) -> list[Json]:
    """The same under Istio's own key, where only a text can be put."""
    return [istio.set_filter_state(f"{side}_peer", istio.pairs(istio.fields(workload)).decode(), **where)]


# What puts a peer of one side into the filter state.
Form = Callable[..., list[Json]]

FORMS: dict[str, Form] = {
    "1.4_struct": _struct,
    "1.6_flat_node": _flat_node,
    "1.25_shown": _shown_struct,
    "1.25_pairs": _pairs,
}


# Under Istio's own key an object has an identity, which is the destination's principal where no certificate tells.
IDENTIFIED: list[Form] = [_pairs]


def _expect(mesh: Mesh, form: Form, wanted: dict[str, Families]) -> None:
    if form in IDENTIFIED:
        # Golden files are loaded once, for all tests.
        wanted = {**wanted, "east": {name: _identified(family) for name, family in wanted["east"].items()}}
    mesh.expect_families(wanted, "what an exchange tells, but for the identity")


def _identified(family: Family) -> Family:
    principal = {"destination_principal": STOCK.spiffe_id()}
    series = {
        label_set({**dict(labels), **principal} if "destination_principal" in dict(labels) else dict(labels)): value
        for labels, value in family.series.items()
    }
    return replace(family, series=series)


@pytest.fixture(params=FORMS.values(), ids=list(FORMS))
def form_of_peer(request: pytest.FixtureRequest) -> Form:
    form: Form = request.param
    return form


def _three_requests(port: int) -> None:
    with clients.http1(port) as caller:
        for _ in range(3):
            assert caller.get("/").status_code == 200


def test_http_peers_of_every_era_are_understood(mesh: Mesh, backend: int, form_of_peer: Form) -> None:
    west_port = mesh.start(west(backend, exchange=ABSENT, filters=form_of_peer("downstream", SHOP)))
    port = mesh.start(east(west_port, exchange=ABSENT, endpoint_metadata=None, filters=form_of_peer("upstream", STOCK)))
    _three_requests(port)
    _expect(mesh, form_of_peer, golden.load("http.yaml"))


@forms.wasm_only(Lacks.LOGGER)
def test_an_access_logger_understands_them_too(mesh: Mesh, backend: int, form_of_peer: Form) -> None:
    west_port = mesh.start(west(backend, exchange=ABSENT, filters=form_of_peer("downstream", SHOP), logger=True))
    filters = form_of_peer("upstream", STOCK)
    _three_requests(mesh.start(east(west_port, exchange=ABSENT, endpoint_metadata=None, filters=filters, logger=True)))
    _expect(mesh, form_of_peer, golden.load("http.yaml"))


def test_tcp_peers_of_every_era_are_understood(mesh: Mesh, doubler: int, form_of_peer: Form) -> None:
    west_port = mesh.start(tcp.west(doubler, exchange=ABSENT, filters=form_of_peer("downstream", SHOP, network=True)))
    east_filters = form_of_peer("upstream", STOCK, network=True)
    port = mesh.start(tcp.east(west_port, exchange=ABSENT, opted_in=False, filters=east_filters))
    for _ in range(2):
        traffic.converse(port)
    counts = Counts(opened=2, closed=2, received=12, sent=24)
    _expect(mesh, form_of_peer, {side: families(side, {side: counts}) for side in ("east", "west")})


@forms.wasm_only(Lacks.UPSTREAM_STATE)
def test_a_peer_of_the_connection_to_the_upstream_is_understood(mesh: Mesh, backend: int) -> None:
    """There a TCP client's exchange keeps it; here a request that opened the connection left it to the next one."""
    west_port = mesh.start(west(backend, exchange=ABSENT, filters=_pairs("downstream", SHOP)))
    shared = istio.set_filter_state(
        "upstream_peer", istio.pairs(istio.fields(STOCK)).decode(), shared_with_upstream="ONCE"
    )
    opener = east(west_port, name="opener", exchange=ABSENT, stats=ABSENT, filters=[shared], upstream_clusters=[])
    port = mesh.start(east(west_port, exchange=ABSENT, endpoint_metadata=None, joined=[opener]))
    with clients.http1(mesh["east"].port("opener")) as caller:
        assert caller.get("/").status_code == 200
    with clients.http1(port) as caller:
        for _ in range(2):
            assert caller.get("/").status_code == 200
    mesh.await_total("west", "istio_requests_total", 3)
    clusters = [
        dict(labels)["destination_cluster"] for labels in mesh["east"].families()["istio_requests_total"].series
    ]
    assert clusters == [STOCK.cluster_id]


def test_stock_filters_can_be_the_exchange(mesh: Mesh, backend: int) -> None:
    answer = istio.header_mutation("response", METADATA, encode(STOCK.peer_metadata()))
    listen = istio.header_to_metadata(METADATA, request="downstream_peer")
    west_port = mesh.start(west(backend, exchange=ABSENT, filters=[answer, listen]))
    ask = istio.header_mutation("request", METADATA, encode(SHOP.peer_metadata()))
    learn = istio.header_to_metadata(METADATA, response="upstream_peer")
    port = mesh.start(east(west_port, exchange=ABSENT, endpoint_metadata=None, filters=[learn, ask]))
    with clients.http1(port) as caller:
        for _ in range(3):
            response = caller.get("/")
            assert response.status_code == 200
            assert METADATA not in response.headers
    mesh.expect("http.yaml")


def test_our_exchange_counts_more_than_istios(mesh: Mesh, backend: int) -> None:
    other = istio.keep(istio.line("upstream_peer", istio.flat_node(SHOP)))
    _three_requests(mesh.start(east(mesh.start(west(backend)), filters=[other])))
    mesh.expect("http.yaml")


UNUSABLE = {
    "empty_object": bytes(4),
    "zeroes": bytes(500),
    "cut_flat_node": istio.flat_node(SHOP)[:-40],
    "root_beyond": b"\xff\xff\x00\x00" + istio.flat_node(SHOP)[4:],
    "vtable_beyond": b"\x04\0\0\0\xff\xff\xff\x7f" + bytes(40),
    "cut_struct": istio.node_metadata(SHOP)[:-20],
    "pairs_that_claim_too_much": b"\xff\x0f\0\0" + bytes(60),
    "60_kB": istio.flat_node(SHOP) + bytes(60_000),
    "text": b"what is this",
}


def test_unusable_bytes_leave_the_peer_unknown(mesh: Mesh, backend: int) -> None:
    for name, value in UNUSABLE.items():
        port = mesh.start(west(backend, exchange=ABSENT, filters=[istio.keep(istio.line("downstream_peer", value))]))
        with clients.http1(port) as caller:
            assert caller.get("/").status_code == 200, name
        mesh.await_total("west", "istio_requests_total", 1)
        exported = mesh["west"].families()
        (labels,) = exported["istio_requests_total"].series
        assert dict(labels)["source_workload"] == "unknown", name
        assert sum(exported["istio_stats_peer_decode_errors_total"].series.values()) == 1, name


MARKERS = {
    "1.6_id": [istio.keep(istio.line("downstream_peer_id", UNKNOWN_MARK.encode()), network=True)],
    "1.19_key": [istio.keep(istio.line(UNKNOWN_MARK, UNKNOWN_MARK.encode()), network=True)],
    "1.24_flag": [istio.set_filter_state("peer_not_found", "true", network=True)],
}


@pytest.mark.parametrize("filters", MARKERS.values(), ids=MARKERS)
def test_no_report_waits_for_a_peer_that_is_known_not_to_come(mesh: Mesh, doubler: int, filters: list[Json]) -> None:
    """It comes at the end of the first period, any other one at that of the third."""
    period = 3
    stats = {"attachment": "tcp", "tcp_reporting_duration": f"{period}s"}
    marked_port, plain_port = (
        mesh.start(tcp.west(doubler, name=name, exchange=ABSENT, stats=stats, filters=own))
        for name, own in (("marked", filters), ("plain", []))
    )
    # A slow machine has a whole period to see the first report in time.
    assert _seconds_until_reported(mesh["marked"], marked_port) < 2 * period
    assert _seconds_until_reported(mesh["plain"], plain_port) > 2 * period


def _seconds_until_reported(envoy: Envoy, port: int) -> float:
    began = time.monotonic()
    with traffic.connect(port) as connection:
        traffic.exchange_words(connection, b"world\n")
        wait_until(lambda: totals(envoy).opened == 1, f"{envoy.name}: an open connection is reported")
        return time.monotonic() - began
