"""Requests over HTTP/3, which Envoy logs when the client has acknowledged them, and not to filters."""

import asyncio
from typing import Any

import pytest

from lab.certs import Identity
from tests.e2e.harness import clients, forms, grpc_backend, http3, usual
from tests.e2e.harness.doctor import diagnose
from tests.e2e.harness.forms import Lacks
from tests.e2e.harness.http3 import Client
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import headers
from tests.e2e.harness.sidecar import SERVICE, Sidecar, east, west
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import SHOP

pytestmark = forms.BOTH

FORMS = pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
MANY = 30


def _labels(mesh: Mesh, name: str, metric: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by some of its labels."""
    found: dict[tuple[str, ...], float] = {}
    for series, value in mesh[name].families()[metric].series.items():
        key = tuple(dict(series)[label] for label in labels)
        found[key] = found.get(key, 0) + value
    return found


def _served(mesh: Mesh, sidecar: Sidecar, *paths: str) -> None:
    port = mesh.start(sidecar)
    wanted = [int(path.rpartition("/")[2]) if path.startswith("/status") else 200 for path in paths]
    assert http3.statuses(port, paths) == wanted
    mesh.await_total(sidecar.name, "istio_requests_total", len(paths))


@FORMS
def test_every_request_counts_once_with_all_its_labels(
    mesh: Mesh, backend: int, stock_identity: Identity, logger: bool
) -> None:
    _served(mesh, west(backend, logger=logger, quic=stock_identity), "/")
    # All but the sizes' values is as over any other HTTP.
    mesh.expect("plain_client.yaml")


@FORMS
def test_none_of_many_is_lost(mesh: Mesh, backend: int, stock_identity: Identity, logger: bool) -> None:
    paths = [*["/"] * MANY, "/status/404", "/status/503"]
    _served(mesh, west(backend, logger=logger, quic=stock_identity), *paths)
    codes = _labels(mesh, "west", "istio_requests_total", "response_code")
    assert codes == {("200",): MANY, ("404",): 1, ("503",): 1}
    durations = _labels(mesh, "west", "istio_request_duration_milliseconds", "reporter")
    assert durations == {("destination",): len(paths)}


@FORMS
def test_requests_that_clients_take_back(mesh: Mesh, backend: int, stock_identity: Identity, logger: bool) -> None:
    port = mesh.start(west(backend, logger=logger, quic=stock_identity))
    active = "http.west.downstream_rq_active"

    async def leave(client: Client) -> None:
        streams = [client.begin("/delay/60") for _ in range(MANY)]
        await asyncio.to_thread(mesh["west"].await_stat, active, MANY)
        for stream in streams[: MANY // 2]:
            client.reset(stream)
        await asyncio.to_thread(mesh["west"].await_stat, active, MANY - MANY // 2)
        # The others end with their connection.

    http3.with_client(port, leave)
    mesh.await_total("west", "istio_requests_total", MANY)
    assert _labels(mesh, "west", "istio_requests_total", "response_code") == {("0",): MANY}


@FORMS
def test_messages_and_status_of_grpc(
    mesh: Mesh, grpc_backend_port: int, stock_identity: Identity, logger: bool
) -> None:
    port = mesh.start(west(grpc_backend_port, protocol="http2", logger=logger, quic=stock_identity))
    message = b"\0" + len(b"pear").to_bytes(4, "big") + b"pear"

    async def call(client: Client) -> str:
        answer = await client.get(
            f"/{grpc_backend.SERVICE}/Reserve", message, content_type="application/grpc", te="trailers"
        )
        return answer.trailers["grpc-status"]

    assert http3.with_client(port, call) == "0"
    mesh.await_total("west", "istio_requests_total", 1)
    seen = _labels(mesh, "west", "istio_requests_total", "request_protocol", "grpc_response_status")
    # Trailers can be read by a logger, and by the native form.
    assert seen == {("grpc", "0" if logger or forms.is_native() else ""): 1}
    for metric in ("istio_request_messages_total", "istio_response_messages_total"):
        assert _labels(mesh, "west", metric, "reporter") == {("destination",): 1}


@forms.wasm_only(Lacks.NOTHING)
@FORMS
def test_only_a_logger_knows_what_headers_tell(
    mesh: Mesh, backend: int, stock_identity: Identity, logger: bool
) -> None:
    """The limits, as README.md has them."""
    upstream = usual.upstream_cluster(SERVICE, [backend], protocol="http1")
    filters = [usual.deny("/denied")]
    sidecar = east(backend, upstream_clusters=[upstream], logger=logger, quic=stock_identity, filters=filters)
    port = mesh.start(sidecar)
    assert http3.statuses(port, ["/", "/denied"]) == [200, 403]
    mesh.await_total("east", "istio_requests_total", 2 if logger else 1)
    seen = _labels(mesh, "east", "istio_requests_total", "response_code", "destination_service")
    assert seen == ({("200", clients.HOST): 1, ("403", clients.HOST): 1} if logger else {("200", "unknown"): 1})


def test_peers_are_known_to_a_filter(mesh: Mesh, backend: int, stock_identity: Identity) -> None:
    port = mesh.start(west(backend, quic=stock_identity))

    async def call(client: Client) -> int:
        return (await client.get("/", None, **headers(SHOP))).status

    assert http3.with_client(port, call) == 200
    mesh.await_total("west", "istio_requests_total", 1)
    seen = _labels(mesh, "west", "istio_requests_total", "source_workload", "source_cluster")
    assert seen == {(SHOP.name, SHOP.cluster_id): 1}


@forms.wasm_only(Lacks.NOTHING)
def test_doctor_says_what_a_filter_lacks(mesh: Mesh, backend: int, stock_identity: Identity) -> None:
    options: dict[str, Any] = {"quic": stock_identity, "exchange": ABSENT}
    logging = west(backend, name="logging", logger=True, upstream_clusters=[], **options)
    _served(mesh, west(backend, **options, joined=[logging]), "/")
    findings = diagnose(mesh["west"], "no-exchange", hints=["http3-filter"])
    assert findings["http3-filter"]["seen"] == ["listener west (HTTP)"]
