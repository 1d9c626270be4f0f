"""Requests that fail, each in its own way, as both sides see them."""

import httpx
import pytest

from lab import bootstrap
from tests.e2e.harness import clients, forms, usual
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import BACKEND, SERVICE, east, west
from tests.e2e.harness.workloads import STOCK, STOCK_SERVICE

pytestmark = forms.BOTH


def test_403_by_rbac_has_the_labels_of_both_sides(mesh: Mesh, backend: int) -> None:
    port = mesh.start(east(mesh.start(west(backend, filters=[usual.deny("/secret")]))))
    with clients.http1(port) as caller:
        assert caller.get("/secret").status_code == 403
    mesh.expect("forbidden.yaml")


def test_404_without_a_route(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(west(backend, routes=[bootstrap.route("/known/here", BACKEND)]))
    port = mesh.start(east(west_port, routes=[bootstrap.route("/known", SERVICE)]))
    with clients.http1(port) as caller:
        assert caller.get("/elsewhere").status_code == 404
        assert caller.get("/known/there").status_code == 404
    mesh.expect("no_route.yaml")


def test_503_without_a_healthy_upstream(mesh: Mesh) -> None:
    with clients.refusing_port() as nowhere:
        unhealthy = usual.upstream_cluster(
            SERVICE, [nowhere], [STOCK_SERVICE], STOCK.endpoint_metadata(), healthy=False
        )
        port = mesh.start(east(nowhere, upstream_clusters=[unhealthy]))
        with clients.http1(port) as caller:
            assert caller.get("/").status_code == 503
        mesh.expect("no_healthy_upstream.yaml")


def test_503_with_a_refused_connection_names_the_kubernetes_cluster_of_the_endpoint(mesh: Mesh) -> None:
    retry = {"retry_on": "connect-failure", "num_retries": 1}
    routes = [
        bootstrap.route("/retried", SERVICE, retry_policy=retry),
        bootstrap.route("/", SERVICE),
    ]
    with clients.refusing_port() as nowhere:
        port = mesh.start(east(nowhere, routes=routes))
        with clients.http1(port) as caller:
            assert caller.get("/").status_code == 503
            assert caller.get("/retried").status_code == 503
        mesh.expect("connection_refused.yaml")


def test_504_when_the_route_times_out(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(west(backend))
    port = mesh.start(east(west_port, routes=[bootstrap.route("/", SERVICE, timeout="2s")]))
    with clients.http1(port) as caller:
        assert caller.get("/delay/5").status_code == 504
    mesh.expect("timeout.yaml")


def test_a_client_that_leaves_is_code_0(mesh: Mesh, backend: int) -> None:
    port = mesh.start(east(mesh.start(west(backend))))
    with clients.http1(port) as caller, pytest.raises(httpx.ReadTimeout):
        caller.get("/delay/5", timeout=2)
    mesh.expect("client_disconnect.yaml")


def test_a_malformed_request_is_counted_without_a_peer(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(west(backend))
    port = mesh.start(east(west_port))
    for target in (port, west_port):
        assert clients.send_raw(target, b"\x16\x03 this is no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    mesh.expect("malformed.yaml")


def test_a_direct_response_has_no_upstream(mesh: Mesh) -> None:
    with clients.refusing_port() as nowhere:
        port = mesh.start(east(nowhere, routes=[bootstrap.direct_response("/", 202)]))
        with clients.http1(port) as caller:
            assert caller.get("/").status_code == 202
        mesh.expect("direct_response.yaml")
