"""How the destination service is named."""

from functools import partial
from typing import Any

import pytest

from lab import bootstrap
from lab.tree import Json
from lab.waiting import await_equal
from tests.e2e.harness import clients, forms, usual
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH


def test_the_host_header_names_the_service_outbound_and_not_inbound(mesh: Mesh, backend: int) -> None:
    port = mesh.start(east(mesh.start(west(backend, services=())), services=()))
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
    mesh.expect("host_header_default.yaml")


def test_the_host_header_fallback_can_be_set_either_way(mesh: Mesh, backend: int) -> None:
    enabled = {"attachment": "http", "disable_host_header_fallback": False}
    disabled = {"attachment": "http", "disable_host_header_fallback": True}
    west_port = mesh.start(west(backend, services=(), stats=enabled))
    port = mesh.start(east(west_port, services=(), stats=disabled))
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
    mesh.expect("host_header_reversed.yaml")


# Where Istio's `egressProxy` leads the route to no known service.
EGRESS = {"host": "egress.mesh.svc.cluster.local", "name": "egress", "namespace": "mesh"}


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_passthrough_and_incomplete_upstream_cluster_metadata(mesh: Mesh, backend: int, logger: bool) -> None:
    inbound = {
        "InboundPassthroughCluster": "/status/200",
        "InboundPassthroughClusterIpv4": "/status/201",
        "InboundPassthroughClusterIpv6": "/status/202",
    }
    west_port = mesh.start(
        west(
            backend,
            logger=logger,
            upstream_clusters=[usual.upstream_cluster(name, [backend]) for name in inbound],
            routes=[bootstrap.route(f"/{name}/", name, prefix_rewrite=path) for name, path in inbound.items()],
        )
    )
    with clients.http1(west_port) as caller:
        for name in inbound:
            assert caller.get(f"/{name}/").is_success

    no_name = {"host": "pay.logistics.svc.cluster.local", "namespace": "logistics"}
    no_host = {"name": "billing", "namespace": "logistics"}
    port = mesh.start(
        east(
            backend,
            exchange=ABSENT,
            logger=logger,
            upstream_clusters=[
                usual.upstream_cluster("BlackHoleCluster", []),
                usual.upstream_cluster("PassthroughCluster", [backend]),
                usual.upstream_cluster("outbound|80||pay.logistics", [backend], [no_name]),
                usual.upstream_cluster("outbound|80||egress.mesh", [backend], [EGRESS]),
                usual.upstream_cluster("outbound|80||billing.logistics", [backend], [no_host]),
            ],
            routes=[
                bootstrap.direct_response("/block-all", 502, name="block_all"),
                bootstrap.route("/allow-any", "PassthroughCluster", name="allow_any", prefix_rewrite="/status/201"),
                bootstrap.route(
                    "/egress-proxy", "outbound|80||egress.mesh", name="allow_any", prefix_rewrite="/status/202"
                ),
                bootstrap.route("/egress", "outbound|80||egress.mesh", prefix_rewrite="/status/206"),
                bootstrap.route("/black-hole", "BlackHoleCluster"),
                bootstrap.route("/passthrough", "PassthroughCluster", prefix_rewrite="/status/203"),
                bootstrap.route("/no-name", "outbound|80||pay.logistics"),
                bootstrap.route("/no-host", "outbound|80||billing.logistics"),
                bootstrap.route("/no-cluster", "nowhere"),
            ],
        )
    )
    expected = {
        "/block-all": 502,
        "/allow-any": 201,
        "/egress-proxy": 202,
        "/egress": 206,
        "/black-hole": 503,
        "/passthrough": 203,
        "/no-name": 200,
        "/no-host": 200,
        "/no-cluster": 503,
    }
    with clients.http1(port) as caller:
        assert {path: caller.get(path).status_code for path in expected} == expected
    mesh.expect("service_names.yaml")


# By the path that leads to an upstream cluster with it.
NO_TEXTS: dict[str, Any] = {"null": None, "number": 7, "boolean": True, "list": ["a"], "map": {"a": None}}


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_a_field_that_is_no_text_leaves_the_others(mesh: Mesh, backend: int, logger: bool) -> None:
    def service(name: str) -> Json:
        return {"host": f"{name}.logistics.svc.cluster.local", "name": NO_TEXTS[name], "namespace": "logistics"}

    port = mesh.start(
        east(
            backend,
            exchange=ABSENT,
            logger=logger,
            upstream_clusters=[usual.upstream_cluster(name, [backend], [service(name)]) for name in NO_TEXTS],
            routes=[bootstrap.route(f"/{name}", name) for name in NO_TEXTS],
        )
    )
    with clients.http1(port) as caller:
        assert all(caller.get(f"/{name}").is_success for name in NO_TEXTS)
    labels = ("destination_service", "destination_service_name", "destination_service_namespace")
    expected = {(f"{name}.logistics.svc.cluster.local", name, "logistics"): 1.0 for name in NO_TEXTS}
    await_equal(partial(mesh.requests, "east", labels), expected, "services by their upstream clusters' metadata")


def test_a_host_header_cannot_write_labels(mesh: Mesh) -> None:
    """Sent raw: a proper client refuses such a host, Envoy lets it through."""
    with clients.refusing_port() as nowhere:
        port = mesh.start(east(nowhere, routes=[bootstrap.direct_response("/", 202)]))
        request = b"GET / HTTP/1.1\r\nhost: a;.;reporter=.=x;.;destination_cluster=.=y\r\nconnection: close\r\n\r\n"
        assert clients.send_raw(port, request).startswith(b"HTTP/1.1 202 ")
        mesh.expect("host_header_separators.yaml")
