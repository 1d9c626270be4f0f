"""Who the other side is, where it does not simply tell."""

from lab import bootstrap
from tests.e2e.harness import clients, forms, usual
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, waypoint, west
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import STOCK

pytestmark = forms.BOTH


def _get(port: int, path: str = "/") -> None:
    with clients.http1(port) as caller:
        assert caller.get(path).status_code == 200


def test_nothing_is_known_without_exchange_and_endpoint_metadata(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(west(backend, exchange=ABSENT))
    _get(mesh.start(east(west_port, exchange=ABSENT, endpoint_metadata=None)))
    mesh.expect("no_peer.yaml")


def test_an_exchange_that_the_other_side_does_not_answer_leaves_the_peer_unknown(mesh: Mesh, backend: int) -> None:
    """Each side has the exchange, but talks to a plain client or backend."""
    _get(mesh.start(east(backend, endpoint_metadata=None)))
    _get(mesh.start(west(backend)))
    mesh.expect("no_peer.yaml")


def test_endpoint_metadata_tells_what_no_exchange_did(mesh: Mesh, backend: int) -> None:
    endpoints = {
        "direct": STOCK.endpoint_metadata(),
        "gateway": ";;;;west",
        "short": "stock-v1;warehouse;stock;rev-1",
    }
    west_port = mesh.start(west(backend))
    port = mesh.start(
        east(
            west_port,
            exchange=ABSENT,
            upstream_clusters=[
                usual.upstream_cluster(name, [west_port], [_service(name)], metadata)
                for name, metadata in endpoints.items()
            ],
            routes=[bootstrap.route(f"/{name}", name) for name in endpoints],
        )
    )
    for name in endpoints:
        _get(port, f"/{name}")
    mesh.expect("endpoint_metadata.yaml")


def test_the_exchange_counts_more_than_endpoint_metadata(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(west(backend))
    port = mesh.start(east(west_port, endpoint_metadata="other-v9;elsewhere;other;rev-9;south"))
    for _ in range(3):
        _get(port)
    mesh.expect("http.yaml")


def test_a_waypoint_reports_both_of_its_peers(mesh: Mesh, backend: int) -> None:
    port = mesh.start(east(mesh.start(waypoint(mesh.start(west(backend))))))
    for _ in range(2):
        _get(port)
    mesh.expect("waypoint.yaml")


def test_a_waypoint_without_peers(mesh: Mesh, backend: int) -> None:
    _get(mesh.start(waypoint(backend)))
    mesh.expect("waypoint_alone.yaml")


def _service(name: str) -> dict[str, str]:
    return {"host": f"{name}.logistics.svc.cluster.local", "name": name, "namespace": "logistics"}
