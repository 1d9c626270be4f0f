"""Requests that succeed, and the values of their histograms."""

from collections.abc import Callable

import httpx
import pytest

from tests.e2e.harness import clients, forms
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, west

pytestmark = forms.BOTH


@pytest.mark.parametrize("client", [clients.http1, clients.http2])
def test_both_sides_report_every_request(mesh: Mesh, backend: int, client: Callable[[int], httpx.Client]) -> None:
    port = mesh.start(east(mesh.start(west(backend))))
    with client(port) as caller:
        for _ in range(3):
            assert caller.get("/").status_code == 200
    mesh.expect("http.yaml")


def test_the_listener_tells_the_direction_where_the_root_id_does_not(mesh: Mesh, backend: int) -> None:
    port = mesh.start(east(mesh.start(west(backend, root_id="")), root_id="telemetry"))
    with clients.http1(port) as caller:
        for _ in range(3):
            assert caller.get("/").status_code == 200
    mesh.expect("http.yaml")


def test_the_kind_of_stream_is_found_out_where_the_configuration_does_not_say_it(mesh: Mesh, backend: int) -> None:
    port = mesh.start(east(mesh.start(west(backend, stats={})), stats={}))
    with clients.http1(port) as caller:
        for _ in range(3):
            assert caller.get("/").status_code == 200
    mesh.expect("http.yaml")


def test_one_proxy_serves_both_directions(mesh: Mesh, backend: int) -> None:
    """As every sidecar does; its listeners share the plugin's VM."""
    outbound_port = mesh.start(east(backend, joined=[west(backend)]))
    for port, requests in ((outbound_port, 2), (mesh["east"].port("west"), 1)):
        with clients.http1(port) as caller:
            for _ in range(requests):
                assert caller.get("/").status_code == 200
    mesh.expect("both_directions.yaml")


def test_the_content_type_tells_grpc_from_http(mesh: Mesh, backend: int) -> None:
    grpc = ("application/grpc", "application/grpc+proto")
    others = ("application/grpc-web", "application/grpc; charset=utf-8", "application/json")
    with clients.http2(mesh.start(west(backend))) as caller:
        for content_type in grpc + others:
            assert caller.get("/", headers={"content-type": content_type}).status_code == 200
    mesh.expect("request_protocol.yaml")


def test_duration_and_sizes_are_those_of_the_request(mesh: Mesh, backend: int) -> None:
    """Envoy's sums are approximate, to a few per cent; headers add less than 1500 bytes."""
    port = mesh.start(east(mesh.start(west(backend))))
    with clients.http1(port) as caller:
        assert caller.post("/delay/0.4", content=b"x" * 20_000).text == "late"
    mesh.expect("one_request.yaml")
    for name in ("east", "west"):
        exposition = mesh[name].admin("/stats/prometheus").text
        duration = _sum(exposition, "istio_request_duration_milliseconds")
        assert 380 <= duration < 2000, f"{name}: {duration} ms"
        received = _sum(exposition, "istio_request_bytes")
        assert 19_000 <= received <= 23_000, f"{name}: {received} bytes received"
        sent = _sum(exposition, "istio_response_bytes")
        assert len("late") <= sent <= 1500, f"{name}: {sent} bytes sent"


def _sum(exposition: str, family: str) -> float:
    (line,) = (line for line in exposition.splitlines() if line.startswith(f"{family}_sum{{"))
    return float(line.rpartition(" ")[2])
