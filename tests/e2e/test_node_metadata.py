"""What the proxies' own node metadata does not say, or says strangely."""

import pytest

from lab.tree import Json
from tests.e2e.harness import clients, forms
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.workloads import SHOP, STOCK, Workload

pytestmark = forms.BOTH

MISSING: Json = {}
ODD = {
    "NAME": [],
    "NAMESPACE": ["a", "list"],
    "WORKLOAD_NAME": {},
    "CLUSTER_ID": None,
    "MESH_ID": {"nested": "struct"},
    "OWNER": None,
    "ISTIO_VERSION": [1.5],
    "LABELS": {
        "app": {"nested": "struct"},
        "version": [2],
        "service.istio.io/canonical-name": None,
        "service.istio.io/canonical-revision": ["a", "list"],
        "app.kubernetes.io/name": [False],
        "app.kubernetes.io/version": [],
    },
}
# As a template engine writes what nobody quoted; texts of eight letters, which are as long as a number.
UNQUOTED = {
    "NAMESPACE": 7,
    "WORKLOAD_NAME": "frontend",
    "CLUSTER_ID": 1,
    "ISTIO_VERSION": 1.5,
    "LABELS": {
        "app": True,
        "version": 1.1,
        "service.istio.io/canonical-name": "eight-88",
        "service.istio.io/canonical-revision": 20261129,
    },
}
ODD_LABELS = {"LABELS": "a text"}
EMPTY = {
    "NAMESPACE": "",
    "WORKLOAD_NAME": "",
    "CLUSTER_ID": "",
    "ISTIO_VERSION": "",
    "LABELS": {"app": "", "service.istio.io/canonical-name": "", "service.istio.io/canonical-revision": ""},
}


@pytest.mark.parametrize("metadata", [MISSING, ODD, ODD_LABELS, EMPTY], ids=["missing", "odd", "odd_labels", "empty"])
def test_unusable_facts_are_unknown_on_both_sides(mesh: Mesh, backend: int, metadata: Json) -> None:
    # Saying so in the log is welcome.
    changes: Json = {"permitted_log": "node metadata"}
    west_port = mesh.start(west(backend, node=_node(STOCK, metadata), **changes))
    port = mesh.start(east(west_port, node=_node(SHOP, metadata), endpoint_metadata=None, **changes))
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
    mesh.expect("node_unknown.yaml")


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_numbers_and_booleans_are_texts_on_both_sides(mesh: Mesh, backend: int, logger: bool) -> None:
    west_port = mesh.start(west(backend, node=_node(STOCK, UNQUOTED), logger=logger))
    port = mesh.start(east(west_port, node=_node(SHOP, UNQUOTED), endpoint_metadata=None, logger=logger))
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
    mesh.expect("node_unquoted.yaml")


def test_without_labels_the_workload_stands_for_the_canonical_service(mesh: Mesh, backend: int) -> None:
    without = [{**workload.node_metadata(), "LABELS": {}} for workload in (SHOP, STOCK)]
    west_port = mesh.start(west(backend, node=_node(STOCK, without[1])))
    port = mesh.start(east(west_port, node=_node(SHOP, without[0]), endpoint_metadata=None))
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
    mesh.expect("no_labels.yaml")


def test_the_configuration_stands_in_for_the_node(mesh: Mesh, backend: int) -> None:
    """For proxies whose node metadata cannot be set; both plugins take the same object."""
    stock = {
        "workload_name": "stock-v1",
        "namespace": "warehouse",
        "cluster_id": "west",
        "app": "stock-app",
        "version": "1.4",
        "canonical_service": "stock",
        "canonical_revision": "rev-1",
    }
    shop = {
        "workload_name": "shop-v2",
        "namespace": "retail",
        "cluster_id": "east",
        "app": "shop-app",
        "version": "2.1",
        "canonical_service": "shop",
        "canonical_revision": "rev-2",
    }
    west_port = mesh.start(west(backend, node=_node(STOCK, MISSING), **_told(stock)))
    port = mesh.start(east(west_port, node=_node(SHOP, MISSING), endpoint_metadata=None, **_told(shop)))
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
    mesh.expect("local_configuration.yaml")


def _node(workload: Workload, metadata: Json) -> Json:
    return {**workload.node(), "metadata": metadata}


def _told(local: dict[str, str]) -> Json:
    return {"stats": {"attachment": "http", "local": local}, "exchange": {"local": local}}
