"""A request is read by one CEL list, in a real Envoy too: its own trace of the hostcalls tells."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness import clients
from tests.e2e.harness import istio_peers as istio
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.hostcalls import reports_of
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import SHOP, STOCK, Workload

# As many as the list needs to follow, and past those that look everywhere for a peer.
BEFORE = 24
TRACED = 4
# What is remembered is not read again meanwhile.
STATS = {"attachment": "http", "tcp_reporting_duration": "3600s"}
METRICS = (
    "istio_requests_total",
    "istio_request_duration_milliseconds",
    "istio_request_bytes",
    "istio_response_bytes",
)
# One list, and four samples.
LEAST = ["call_foreign_function", "increment_metric", *["record_metric"] * 3]
# And two counts of messages.
LEAST_OF_GRPC = [*LEAST, *["increment_metric"] * 2]


def exchange(**_: Identity) -> tuple[Json, Json]:
    return {}, {}


def endpoint(**_: Identity) -> tuple[Json, Json]:
    return {"exchange": ABSENT}, {"exchange": ABSENT}


def istios_exchange(**_: Identity) -> tuple[Json, Json]:
    def peer(side: str, workload: Workload) -> Json:
        filters = [istio.set_filter_state(f"{side}_peer", istio.pairs(istio.fields(workload)).decode())]
        return {"exchange": ABSENT, "filters": filters}

    return peer("downstream", SHOP), {**peer("upstream", STOCK), "endpoint_metadata": None}


def no_peer(**_: Identity) -> tuple[Json, Json]:
    return {"exchange": ABSENT}, {"exchange": ABSENT, "endpoint_metadata": None}


def mutual_tls(server: Identity, client: Identity) -> tuple[Json, Json]:
    upstream_tls = bootstrap.upstream_tls(client, peer_spiffe_id=STOCK.spiffe_id())
    return {"tls": bootstrap.downstream_tls(server)}, {"tls": upstream_tls}


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", [exchange, endpoint, istios_exchange, no_peer, mutual_tls])
def test_one_list_brings_all(
    mesh: Mesh,
    backend: int,
    shop_identity: Identity,
    stock_identity: Identity,
    kind: Callable[..., tuple[Json, Json]],
    method: str,
    logger: bool,
) -> None:
    at_west, at_east = kind(server=stock_identity, client=shop_identity)
    west_port = mesh.start(west(backend, stats=STATS, logger=logger, **at_west))
    port = mesh.start(east(west_port, stats=STATS, logger=logger, **at_east))
    content: Json = {"json": {}} if method == "POST" else {}
    with clients.http1(port) as caller:

        def send(count: int) -> None:
            for _ in range(count):
                assert caller.request(method, "/", **content).status_code == 200

        _expect_one_list(mesh, send, LEAST)


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_one_list_brings_all_of_a_grpc_call(mesh: Mesh, grpc_backend_port: int, logger: bool) -> None:
    west_port = mesh.start(west(grpc_backend_port, protocol="http2", stats=STATS, logger=logger))
    port = mesh.start(east(west_port, stats=STATS, logger=logger))
    with clients.grpc_client(port) as caller:

        def call(count: int) -> None:
            for _ in range(count):
                assert caller.reserve(b"lamp") == b"reserved lamp"

        _expect_one_list(mesh, call, LEAST_OF_GRPC)
    for name in ("east", "west"):
        for metric in ("istio_request_messages_total", "istio_response_messages_total"):
            assert sum(mesh[name].families()[metric].series.values()) == BEFORE + TRACED


@pytest.mark.parametrize("path", ["/answered", "/nowhere"])
def test_one_list_brings_all_of_a_request_without_an_upstream(mesh: Mesh, path: str) -> None:
    answered = {"match": {"prefix": "/answered"}, "direct_response": {"status": 200}}
    sidecar = east(1, stats=STATS, exchange=ABSENT)
    port = mesh.start(replace(sidecar, routes=[answered]))
    with clients.http1(port) as caller:
        for _ in range(BEFORE):
            caller.get(path)
        _expect_one_series(mesh["east"], BEFORE)
        with reports_of(mesh["east"], count=TRACED) as reports:
            for _ in range(TRACED):
                caller.get(path)
    assert reports["east"] == [LEAST] * TRACED


def _expect_one_list(mesh: Mesh, send: Callable[[int], None], least: object) -> None:
    """Once there were some, each is reported by these calls."""
    # A worker's first samples of a metric wait for a tick of its own. The next request is what others are like.
    for sent, more in ((BEFORE - 1, BEFORE - 1), (BEFORE, 1)):
        send(more)
        for name in ("east", "west"):
            _expect_one_series(mesh[name], sent)
    with reports_of(mesh["east"], mesh["west"], count=TRACED) as reports:
        send(TRACED)
    assert reports == {name: [least] * TRACED for name in ("east", "west")}
    # What was read singly before and what the list brought is the same.
    for name in ("east", "west"):
        _expect_one_series(mesh[name], BEFORE + TRACED)


def _expect_one_series(envoy: Envoy, requests: int) -> None:
    """Waits until one series of each metric has so many samples."""

    def counts() -> list[list[float]]:
        families = envoy.families()
        return [list(families[name].series.values()) for name in METRICS if name in families]

    wait_until(lambda: counts() == [[requests]] * len(METRICS), f"{envoy.name}: {requests} requests")
