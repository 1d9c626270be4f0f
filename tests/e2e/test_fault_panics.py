"""A panic of the native module in a real Envoy: its filter passes everything from there on, the others go on."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from lab.paths import native_module, panicking_module
from lab.tree import Json, nodes
from lab.waiting import await_equal
from tests.e2e.harness import clients, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.altered import Altered
from tests.e2e.harness.forms import Form, each_of
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, frame, headers
from tests.e2e.harness.requests import status_of
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.tcp_families import Counts, await_totals
from tests.e2e.harness.workloads import SHOP

pytestmark = each_of(Form.NATIVE)

# Of tests/modules/panicking: where it reads this and nothing else, it panics.
TEXT = "istio-stats panics here"
LINE = (
    r"^\[error\]\[dynamic_modules\] istio-stats: internal error: panicked at modules/native/src/barrier\.rs:\d+:\d+:\n"
    "as it was told to; the filter does nothing from here on; traffic flows$"
)
ERRORS = "istio_stats_internal_errors_total"


def _panicking(sidecar: Runnable) -> Altered:
    return Altered(sidecar, _use_module)


def _use_module(whole: Json) -> None:
    shipped = str(native_module())
    assert TEXT.encode() not in native_module().read_bytes()
    for node in nodes(whole):
        if node.get("filename") == shipped:
            node["filename"] = str(panicking_module())


def _await_error(mesh: Mesh, plugin: str) -> None:
    await_equal(partial(mesh.requests, "west", ["plugin"], ERRORS), {(plugin,): 1.0}, ERRORS)


# Which of a request's headers a plugin reads; whether the other plugin of the two then counts or answers.
READS = {"istio_stats": "content-type", "metadata_exchange": METADATA}


@pytest.mark.parametrize("plugin, header", READS.items(), ids=READS.keys())
def test_of_a_request(mesh: Mesh, backend: int, plugin: str, header: str) -> None:
    port = mesh.start(_panicking(west(backend, workers=2, expected_log=[LINE])))
    with ThreadPoolExecutor() as pool, clients.http1(port) as caller:
        caller.headers.update(headers(SHOP))
        assert METADATA in caller.get("/").headers
        mesh.await_total("west", "istio_requests_total", 1)
        in_flight = pool.submit(status_of, port, {":path": "/delay/1"})
        mesh["west"].await_stat("http.west.downstream_rq_active", 1)
        assert caller.get("/", headers={header: TEXT}).status_code == 200
        assert in_flight.result() == 200
        for _ in range(10):
            with clients.http1(port) as another:
                answer = another.get("/", headers=headers(SHOP))
            assert answer.status_code == 200
            assert (METADATA in answer.headers) == (plugin == "istio_stats")
    _await_error(mesh, plugin)
    mesh.await_total("west", "istio_requests_total", 1 if plugin == "istio_stats" else 13)


def test_of_a_connection_that_is_counted(mesh: Mesh, doubler: int) -> None:
    """The name of the upstream cluster is read, which is the text."""
    sidecar = tcp.west(doubler, expected_log=[LINE])
    (upstream_cluster,) = sidecar.upstream_clusters
    upstream_cluster["name"] = upstream_cluster["load_assignment"]["cluster_name"] = TEXT
    envoy = mesh.run(_panicking(sidecar))
    traffic.converse(envoy.port("west"))
    _await_error(mesh, "istio_stats")
    for _ in range(3):
        with traffic.connect(envoy.port("west")) as connection:
            connection.sendall(frame(SHOP.node()["metadata"], "shop") + b"world\n")
            traffic.receive_frame(connection)
            assert traffic.receive(connection, 12) == b"world\nworld\n"
    await_totals(envoy, Counts())


def test_of_a_connection_that_exchanges(mesh: Mesh, doubler: int) -> None:
    envoy = mesh.run(_panicking(tcp.west(doubler, expected_log=[LINE])))
    with traffic.connect(envoy.port("west")) as before:
        traffic.exchange_words(before, b"before")
        traffic.converse(envoy.port("west"), TEXT.encode())
        _await_error(mesh, "metadata_exchange")
        traffic.exchange_words(before, b"after")
    traffic.converse(envoy.port("west"))
    received = len(TEXT) + len(b"beforeafterworld\n")
    await_totals(envoy, Counts(opened=3, closed=3, received=received, sent=2 * received))
