"""An Envoy that is told to end: what was open or waited is in the last numbers that it gives."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import bootstrap
from lab.tree import Json
from lab.waiting import await_equal
from tests.e2e.harness import clients, forms, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.grpc_stream import Stream
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.requests import send, status_of
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.tcp import TcpSidecar
from tests.e2e.harness.tcp_sink import Sink
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH

# No report before the end.
LONG = {"tcp_reporting_duration": "600s"}
SHORT = {"tcp_reporting_duration": "0.5s"}
# A line of a kilobyte for each: as many as the sink's socket holds, should nobody read from it.
NEW_LABEL_SETS = 100
HISTOGRAMS = ("request_duration_milliseconds", "request_bytes", "response_bytes")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as listening:
        yield listening


def _beside(doubler: int, period: Json) -> TcpSidecar:
    return tcp.west(doubler, name="tcp", exchange=ABSENT, stats={"attachment": "tcp", **period})


def test_sigterm_pushes_what_was_open(mesh: Mesh, sink: Sink, grpc_backend_port: int, doubler: int) -> None:
    """Envoy does not wait: not for streams, nor for its own --drain-time-s."""
    stats = {"attachment": "http", **LONG}
    proxy = west(
        grpc_backend_port,
        protocol="http2",
        stats=stats,
        joined=[_beside(doubler, LONG)],
        arguments=("--drain-time-s", "60"),
    )
    port = mesh.start(sink.attach(proxy))
    with clients.grpc_client(port) as caller, traffic.connect(mesh["west"].port("tcp")) as connection:
        stream = Stream(caller)
        stream.exchange(3)
        traffic.exchange_words(connection, b"x" * 100)
        expected = {
            "istio_requests_total": 1,
            "istio_request_messages_total": 3,
            "istio_response_messages_total": 3,
            "istio_tcp_connections_opened_total": 1,
            "istio_tcp_connections_closed_total": 1,
            "istio_tcp_received_bytes_total": 100,
            "istio_tcp_sent_bytes_total": 200,
        }
        assert not expected.keys() & mesh["west"].families().keys()
        mesh["west"].terminate()
        await_equal(sink.counted, expected, "pushed at the end")
        stream.cancel()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_pushes_what_waits_for_its_definition(mesh: Mesh, sink: Sink, workers: int) -> None:
    answer = [bootstrap.direct_response("/", 200)]
    stats = {"attachment": "http", "metrics": [{"name": name, "drop": True} for name in HISTOGRAMS]}
    port = mesh.start(sink.attach(east(1, routes=answer, stats=stats, workers=workers)))
    hosts = [{"host": f"shop-{number}.example"} for number in range(NEW_LABEL_SETS)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: send(port, hosts), range(workers)))
    mesh["east"].terminate()
    expected = {"istio_requests_total": workers * NEW_LABEL_SETS}
    await_equal(sink.counted, expected, "pushed at the end")


def test_a_graceful_drain_leaves_time_for_a_scrape(mesh: Mesh, backend: int, doubler: int) -> None:
    """Where nothing is pushed: what ends, and what passes over open connections, is there as long as Envoy is."""
    port = mesh.start(west(backend, joined=[_beside(doubler, SHORT)], arguments=("--drain-time-s", "1")))
    envoy = mesh["west"]
    with ThreadPoolExecutor() as pool, traffic.connect(envoy.port("tcp")) as connection:
        in_flight = pool.submit(status_of, port, {":path": "/delay/1.5"})
        envoy.await_stat("http.west.downstream_rq_active", 1)
        envoy.drain()
        traffic.exchange_words(connection, b"x" * 100)
        assert in_flight.result() == 200
        mesh.await_total("west", "istio_requests_total", 1)
        mesh.await_total("west", "istio_tcp_sent_bytes_total", 200)
        with pytest.raises(ConnectionError):
            traffic.connect(port).close()
