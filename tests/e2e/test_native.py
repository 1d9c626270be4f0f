"""What is the native form's own: its samples, where it has the node from, several workers, changes of configuration."""

import json
from functools import partial

from lab.tree import Json, nodes
from lab.waiting import await_equal
from tests.e2e.harness import clients
from tests.e2e.harness.doctor import diagnose
from tests.e2e.harness.forms import Form, each_of
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.runnable import Wrapper
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.standalone import LoggerPair
from tests.e2e.harness.workloads import STOCK

pytestmark = each_of(Form.NATIVE, Form.LOOKED_UP)


def test_the_samples(mesh: Mesh, backend: int, grpc_backend_port: int, doubler: int) -> None:
    pair = LoggerPair(mesh, backend, grpc_backend_port, doubler, form="native")
    pair.call_and_expect()
    for name in ("east", "west"):
        assert diagnose(pair[name]) == {}


class ToldNode(Wrapper):
    """A proxy whose bootstrap does not say who it is, but each plugin's configuration does."""

    def bootstrap(self) -> Json:
        whole = self.sidecar.bootstrap()
        told = whole["node"]
        whole["node"] = {"id": "nobody", "cluster": "none"}
        for node in nodes(whole):
            if "filter_config" in node:
                configuration = {**json.loads(node["filter_config"]["value"]), "node": told}
                node["filter_config"]["value"] = json.dumps(configuration)
        return whole


def test_the_configuration_tells_the_node(mesh: Mesh, backend: int) -> None:
    port = mesh.start(ToldNode(east(mesh.start(ToldNode(west(backend))))))
    with clients.http1(port) as caller:
        for _ in range(3):
            assert caller.get("/").status_code == 200
    mesh.expect("http.yaml")


def test_every_request_counts_once_with_several_workers(mesh: Mesh, backend: int) -> None:
    """Each has label sets of its own, in one series; the last worker's are known as the first's."""
    port = mesh.start(west(backend, workers=4))
    for _ in range(12):
        with clients.http1(port) as caller:
            for _ in range(10):
                assert caller.get("/").status_code == 200
    await_equal(partial(mesh.requests, "west", ["destination_workload"]), {(STOCK.name,): 120.0}, "requests")
    label_sets = mesh["west"].families()["istio_stats_series"].series[()]
    assert 1 <= label_sets <= 4
