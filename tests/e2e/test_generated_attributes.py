"""Attributes that another Wasm filter generates, as Istio's attribute generation did: labels show them.

The test module stands in for it: it keeps what the host shows of an attribute, under a name of its own.
"""

import pytest

from lab.tree import Json
from tests.e2e.harness import clients, forms, tcp
from tests.e2e.harness import istio_peers as istio
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.customised import Customised
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH

FORMS = pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])

# By label: as Istio's documentation names such an attribute, as Envoy does, and in expressions. It is bytes, no text.
LABELS = {
    "request_operation": "istio_operationId",
    "operation": "filter_state['wasm.istio_operationId']",
    "composed": "string(istio_operationId) + '!'",
    "classified": "istio_operationId == b'GET' ? 'read' : 'write'",
    "dotted": "wasm.istio_operationId",
    "guarded": "'wasm.istio_operationId' in filter_state ? 'there' : 'not there'",
}


def _labels(operation: str, kind: str) -> tuple[str, ...]:
    return operation, operation, f"{operation}!", kind, "unknown", "there"


NONE = ("unknown", "unknown", "unknown", "unknown", "unknown", "not there")


def _stats(attachment: str, metric: str) -> Json:
    return {"attachment": attachment, "metrics": [{"name": metric, "dimensions": LABELS}]}


@FORMS
def test_a_generated_attribute_is_a_label_of_requests(mesh: Mesh, backend: int, logger: bool) -> None:
    generator = [istio.keep("istio_operationId < request/method")]
    expected: dict[tuple[str, ...], float] = {_labels("GET", "read"): 2, _labels("POST", "write"): 1}
    for name, filters, wanted in (("generating", generator, expected), ("plain", [], {NONE: 3.0})):
        stats = _stats("http", "requests_total")
        proxy = west(backend, name=name, filters=filters, stats=stats, exchange=ABSENT, logger=logger)
        with clients.http1(mesh.start(Customised(proxy))) as caller:
            for method in ("GET", "POST", "GET"):
                assert caller.request(method, "/").status_code == 200
        mesh.await_total(name, "istio_requests_total", 3)
        assert mesh.requests(name, LABELS) == wanted


@FORMS
def test_a_generated_attribute_is_a_label_of_connections(mesh: Mesh, doubler: int, logger: bool) -> None:
    generator = istio.keep(istio.line("istio_operationId", b"GET"), network=True)
    stats = _stats("tcp", "tcp_connections_closed_total")
    proxy = tcp.west(doubler, filters=[generator], stats=stats, exchange=ABSENT, logger=logger)
    traffic.converse(mesh.start(Customised(proxy)))
    mesh.await_total("west", "istio_tcp_connections_closed_total", 1)
    (series,) = mesh["west"].families()["istio_tcp_connections_closed_total"].series
    assert tuple(dict(series)[label] for label in LABELS) == _labels("GET", "read")
