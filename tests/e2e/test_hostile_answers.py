"""Upstreams that mean harm: what they answer reaches no client, no label of ours, and no other request."""

import contextlib
import socket
from collections.abc import Callable, Iterator

from lab import bootstrap
from lab.waiting import wait_until
from tests.e2e.harness import forms, unharmed, usual
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.clients import send_raw
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, encode, headers
from tests.e2e.harness.requests import encode as encode_request
from tests.e2e.harness.requests import send
from tests.e2e.harness.sidecar import SERVICE, east, west
from tests.e2e.harness.unharmed import Target
from tests.e2e.harness.workloads import STOCK_SERVICE, WAYPOINT

pytestmark = forms.BOTH

CLAIM = "".join(f"{name}: {value}\r\n" for name, value in headers(WAYPOINT).items()).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n"
GRPC = OK + b"Content-Type: application/grpc\r\n"
FORGERY = b";.;reporter=.=x;.;"


def _claiming(value: bytes) -> bytes:
    return OK + METADATA.encode() + b": " + value + b"\r\n\r\n"


ANSWERS = {
    "nothing": b"",
    "no_http": b"\x00\x01 no HTTP\r\n\r\n",
    "half_a_head": OK + CLAIM,
    "no_headers": b"HTTP/1.1 200 OK\r\n\r\n",
    "a_claim": OK + CLAIM + b"\r\n",
    "forty_claims": OK + CLAIM * 40 + b"\r\n",
    "no_base64": _claiming(b"\xff\xfe%%%"),
    "empty": _claiming(b""),
    "60_kB": _claiming(b"A" * 60_000),
    "too_large": _claiming(b"A" * 200_000),
    "a_nul": _claiming(b"AA\x00AA"),
    "folded": _claiming(b"AAAA\r\n BBBB"),
    "separators": _claiming(encode({name: FORGERY.decode() for name in ("WORKLOAD_NAME", "CLUSTER_ID")}).encode()),
    "too_many_headers": OK + b"".join(b"x-%d: x\r\n" % i for i in range(300)) + b"\r\n",
    "status_0": b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n",
    "status_99": b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
    "status_999": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    "status_20000": b"HTTP/1.1 20000 X\r\nContent-Length: 0\r\n\r\n",
    "no_status": b"HTTP/1.1 ;.;x=.=y\r\nContent-Length: 0\r\n\r\n",
    "switching": b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n" + CLAIM + b"\r\nmore",
    "two_lengths": OK + b"Content-Length: 5\r\n\r\nabc",
    "a_wrong_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a_claim_in_trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + CLAIM + b"\r\n",
    "early_hints": b"HTTP/1.1 103 X\r\n" + CLAIM + b"\r\n" + OK + b"\r\n",
    "continue": b"HTTP/1.1 100 X\r\n" + CLAIM + b"\r\n" + OK + b"\r\n",
    "two_answers": (OK + CLAIM + b"\r\n") * 2,
    "grpc_status_of_text": GRPC + b"grpc-status: " + FORGERY + b"\r\n\r\n",
    "grpc_status_below_zero": GRPC + b"grpc-status: -1\r\n\r\n",
    "grpc_status_too_large": GRPC + b"grpc-status: 99999999999999999999\r\n\r\n",
    "grpc_status_twice": GRPC + b"grpc-status: 0\r\ngrpc-status: 5\r\n\r\n",
    "grpc_status_empty": GRPC + b"grpc-status: \r\n\r\n",
    "grpc_status_of_bytes": GRPC + b"grpc-status: \xff\xfe\r\n\r\n",
}


# Of a gRPC status that is no number Envoy makes -1; an empty one is none.
CODES = {"0", "99", "101", "200", "502", "503", "999", "20000"}
GRPC_STATUSES = {"", "-1"}
WORKLOADS = {"stock-v1", "waypoint-v1", "unknown", "_._reporter=_=x_._"}


def test_whatever_an_upstream_answers(mesh: Mesh, backend: int) -> None:
    with _upstream(lambda path: ANSWERS[path.rpartition("/")[2]]) as hostile_port:
        target, port = _start(mesh, backend, hostile_port)
        with unharmed.unharmed(target):
            for name in ANSWERS:
                kind = "application/grpc" if "grpc" in name else "text/plain"
                request = {":path": f"/hostile/{name}", "content-type": kind, "connection": "close"}
                answer = send_raw(port, encode_request(request))
                assert answer.startswith(b"HTTP/1.1 "), name
                assert METADATA.encode() not in answer.lower(), name
    expected = {"response_code": CODES, "grpc_response_status": GRPC_STATUSES, "destination_workload": WORKLOADS}

    def told() -> dict[str, set[str]]:
        series = [dict(labels) for labels in mesh["east"].families()["istio_requests_total"].series]
        return {label: {one[label] for one in series} for label in expected}

    # A series shows up some ticks after its first request.
    wait_until(lambda: told() == expected, f"the values {expected}")


def test_an_upstream_that_is_somebody_else_each_time(mesh: Mesh, backend: int) -> None:
    bound, requests = 20, 500
    numbers = iter(range(requests))

    def claim(_: object) -> bytes:
        name = f"peer-{next(numbers)}"
        return _claiming(encode({"WORKLOAD_NAME": name, "CLUSTER_ID": name}).encode())

    with _upstream(claim) as hostile_port:
        target, port = _start(mesh, backend, hostile_port, max_series=bound)
        with unharmed.unharmed(target, most_label_sets=bound + 1):
            send(port, [{":path": "/hostile"}] * requests)
    series = mesh["east"].families()["istio_requests_total"].series
    overflow = [value for labels, value in series.items() if dict(labels)["destination_cluster"] == "overflow"]
    assert overflow == [requests - (bound - 1)]


@contextlib.contextmanager
def _upstream(answer_to: Callable[[str], bytes]) -> Iterator[int]:
    """A port where each request is answered with what `answer_to(path)` returns; then the connection ends."""

    def handle(connection: socket.socket) -> None:
        head = connection.recv(65536)
        while head and b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        if head:
            connection.sendall(answer_to(head.split()[1].decode()))

    with traffic.backend(handle) as port:
        yield port


def _start(mesh: Mesh, backend: int, hostile_port: int, **stats: object) -> tuple[Target, int]:
    """The caller's proxy as a target, and its port: what is below /hostile goes to the hostile upstream."""
    good = usual.upstream_cluster(SERVICE, [mesh.start(west(backend))], [STOCK_SERVICE])
    hostile = usual.upstream_cluster("hostile", [hostile_port])
    routes = [bootstrap.route("/hostile", "hostile"), bootstrap.route("/", SERVICE)]
    port = mesh.start(east(1, upstream_clusters=[good, hostile], routes=routes, stats={"attachment": "http", **stats}))
    return unharmed.http(mesh["east"], lambda: send(port, [{}]), "east"), port
