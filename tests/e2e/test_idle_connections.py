"""Connections that are open and silent: what the plugin keeps of each. A stranger may open as many as Envoy lets.

IDLE_CONNECTIONS says how many; the default is soon done.
"""

import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lab import bootstrap
from lab.memory import resident_bytes
from tests.e2e.harness import forms, tcp, tcp_traffic
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH

CONNECTIONS = int(os.environ.get("IDLE_CONNECTIONS", "1000"))
REQUEST = b"GET / HTTP/1.1\r\nhost: reviews\r\n\r\n"
ANSWER = [bootstrap.direct_response("/", 200)]
# Of HTTP nothing is kept between requests. A connection of TCP has a context in the VM and in Envoy, and its series.
MAX_HTTP_BYTES, MAX_TCP_BYTES = 4_000, 8_000


@pytest.fixture(autouse=True)
def _files() -> Iterator[None]:
    """Of this process and its Envoys, as many as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_http(mesh: Mesh) -> None:
    def proxy(name: str, stats: object) -> Runnable:
        return west(1, name=name, routes=ANSWER, upstream_clusters=[], stats=stats, exchange=ABSENT)

    plugin = {"attachment": "http"}
    more = _bytes_more(mesh, proxy("plain", ABSENT), proxy("own", plugin), _http, "istio_requests_total")
    assert more < MAX_HTTP_BYTES


def test_tcp(mesh: Mesh) -> None:
    with tcp_traffic.backend(tcp_traffic.doubler) as port:

        def proxy(name: str, stats: object) -> Runnable:
            sidecar = tcp.west(port, name=name, stats=stats, exchange=ABSENT)
            for upstream_cluster in sidecar.upstream_clusters:
                # By itself it opens 1024.
                upstream_cluster["circuit_breakers"] = {"thresholds": [{"max_connections": 2 * CONNECTIONS}]}
            return sidecar

        plugin = {"attachment": "tcp", "tcp_reporting_duration": f"{tcp.PERIOD_SECONDS}s"}
        more = _bytes_more(
            mesh, proxy("plain", ABSENT), proxy("own", plugin), _tcp, "istio_tcp_connections_opened_total"
        )
    assert more < MAX_TCP_BYTES


def _http(connection: socket.socket) -> None:
    connection.sendall(REQUEST)
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def _tcp(connection: socket.socket) -> None:
    tcp_traffic.exchange_words(connection, b"word\n")


def _bytes_more(
    mesh: Mesh, plain: Runnable, own: Runnable, use: Callable[[socket.socket], object], counted: str
) -> float:
    """What each connection takes with the plugin beyond what it takes without it."""
    taken = []
    for proxy in (plain, own):
        envoy = mesh.run(proxy)
        with ExitStack() as opened:

            def open_one(port: int = envoy.port(proxy.name), opened: ExitStack = opened) -> None:
                use(opened.enter_context(tcp_traffic.connect(port)))

            # Who comes first finds nothing ready.
            open_one()
            before = resident_bytes(envoy.pid)
            for _ in range(CONNECTIONS):
                open_one()
            if proxy is own:
                mesh.await_total(proxy.name, counted, CONNECTIONS + 1)
            taken.append((resident_bytes(envoy.pid) - before) / CONNECTIONS)
        envoy.stop()
    print(f"{CONNECTIONS} connections: {taken[0] / 1000:.1f} kB each, with the plugin {taken[1] / 1000:.1f} kB")
    return taken[1] - taken[0]
