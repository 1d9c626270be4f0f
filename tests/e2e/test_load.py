"""Sent equals counted, with four workers on each side."""

import http.client
from concurrent.futures import ThreadPoolExecutor

from lab import bootstrap
from lab.waiting import PATIENCE_SECONDS
from tests.e2e.harness import clients, forms
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import Sidecar, east, west
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH

WORKERS = 4
CONNECTIONS = 16
REQUESTS_EACH = 250


def test_four_workers_count_every_request_once(mesh: Mesh) -> None:
    # A proxy as the backend: the tests' own would be the bottleneck.
    answering = Sidecar(
        name="answering",
        node={"id": "answering", "cluster": "answering"},
        direction="INBOUND",
        root_id="",
        upstream_clusters=[],
        routes=[bootstrap.direct_response("/", 200)],
        stats=ABSENT,
        exchange=ABSENT,
    )
    west_port = mesh.start(west(mesh.start(answering), workers=WORKERS))
    port = mesh.start(east(west_port, workers=WORKERS))

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        served = list(pool.map(lambda _: _send(port), range(CONNECTIONS)))
    assert served == [REQUESTS_EACH] * CONNECTIONS
    assert sum(served) == 4000

    for name in ("east", "west"):
        workers = mesh[name].stats(r"^listener\..*\.worker_\d+\.downstream_cx_total$")
        assert len(workers) == WORKERS and all(workers.values()), f"{name}: idle workers: {workers}"
    mesh.expect("load.yaml")


def _send(port: int) -> int:
    """Requests one after the other over one connection; returns how many were answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    served = 0
    for _ in range(REQUESTS_EACH):
        connection.request("GET", "/", headers={"host": clients.HOST})
        response = connection.getresponse()
        response.read()
        served += response.status == 200
    connection.close()
    return served
