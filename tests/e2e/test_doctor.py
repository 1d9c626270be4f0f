"""`istio-stats doctor` on healthy Envoys, and how it answers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from lab import bootstrap
from lab.tree import configure
from tests.e2e.harness import clients, tcp, tcp_traffic, usual
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.command import read_json, run
from tests.e2e.harness.doctor import await_counted, call, diagnose, diagnose_url, serve
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import Sidecar, east, west
from tests.e2e.harness.workloads import STOCK_SERVICE

MESH = {"attachment": "http", "metric_prefix": "mesh_"}


@pytest.fixture(scope="module", params=["istio_", "mesh_"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Begins the names of the metrics."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def pair(shared_mesh: Mesh, backend: int, grpc_backend_port: int, doubler: int, prefix: str) -> Mesh:
    """Both sides after HTTP, gRPC and TCP."""

    def start(sidecar: Runnable) -> int:
        return shared_mesh.start(Altered(sidecar, lambda whole: configure(whole, "istio_stats", metric_prefix=prefix)))

    behind = [tcp.west(doubler, name="west-tcp"), _grpc(west, grpc_backend_port, "west-grpc")]
    http_port = start(west(backend, joined=behind))
    ports = shared_mesh["west"].port
    before = [tcp.east(ports("west-tcp"), name="east-tcp"), _grpc(east, ports("west-grpc"), "east-grpc")]
    port = start(east(http_port, joined=before))

    with clients.http1(port) as caller:
        for path in ("/", "/status/404", "/status/500"):
            caller.get(path)
    with clients.grpc_client(shared_mesh["east"].port("east-grpc")) as stub:
        stub.reserve(b"lamp")
    tcp_traffic.converse(shared_mesh["east"].port("east-tcp"))
    for side in ("east", "west"):
        await_counted(shared_mesh[side], 4)
        shared_mesh.await_total(side, f"{prefix}tcp_connections_closed_total", 1)
    return shared_mesh


def _grpc(side: Callable[..., Sidecar], upstream_port: int, name: str) -> Sidecar:
    """A listener of its own, with an upstream cluster of its own."""
    upstream = usual.upstream_cluster(name, [upstream_port], services=[STOCK_SERVICE], protocol="http2")
    return side(upstream_port, name=name, upstream_clusters=[upstream], routes=[bootstrap.route("/", name)])


@pytest.mark.parametrize("side", ["east", "west"])
def test_nothing_is_wrong_with_a_healthy_pair(pair: Mesh, side: str) -> None:
    diagnose(pair[side], seconds=0.5)


def test_both_sides_are_looked_at_in_one_call(pair: Mesh) -> None:
    urls = [pair[side].admin_url for side in ("east", "west")]
    found = read_json("doctor", "--seconds", 0, *urls)
    assert [(one["url"], one["envoy"]["cluster_id"]) for one in found["proxies"]] == [
        (urls[0], "east"),
        (urls[1], "west"),
    ]
    with clients.refusing_port() as port:
        ran = run("doctor", "--seconds", 0, *urls, f"127.0.0.1:{port}")
    assert ran.returncode == 2, ran
    assert "\nproxies: 3, with problems: 0, not read: 1\n" in ran.stdout


@pytest.mark.parametrize("side", ["east", "west"])
def test_nothing_is_wrong_with_their_page_alone(pair: Mesh, side: str, prefix: str) -> None:
    with _page_only(pair[side].admin("/stats/prometheus").text) as url:
        diagnose_url(url, options=["--metric-prefix", prefix])


def test_the_page_of_an_admin_interface_leads_to_the_rest(pair: Mesh) -> None:
    ran = run("doctor", "--seconds", 0, pair["west"].admin_url + "/stats/prometheus")
    assert ran.returncode == 0, ran
    assert "Kubernetes cluster west" in ran.stdout
    assert "stats plugin: listener west (HTTP), listener west-tcp (TCP), listener west-grpc (HTTP)" in ran.stdout
    assert ran.stdout.endswith("\nNothing is wrong.\n")


def test_a_page_alone_does_not_tell_how_metrics_are_called(mesh: Mesh) -> None:
    envoy = serve(mesh, west(1, routes=[bootstrap.direct_response("/", 200)], stats=MESH))
    with _page_only(envoy.admin("/stats/prometheus").text) as url:
        finding = diagnose_url(url, hints=["nothing-counted"])["nothing-counted"]
    (advice,) = finding["seen"]
    assert advice.endswith("there is mesh_requests_total: try --metric-prefix mesh_")


def test_beside_another_plugin_each_is_looked_at(mesh: Mesh) -> None:
    """As it is beside Istio's own filter: both count everything, under names of their own."""
    other = west(1, stats={"attachment": "http"}).bootstrap()
    (istio,) = (one for one in http_manager(other)["http_filters"] if one["name"] == "istio_stats")
    envoy = serve(mesh, west(1, routes=[bootstrap.direct_response("/", 200)], stats=MESH, filters=[istio]), count=False)
    mesh.await_total("west", "mesh_requests_total", 3)
    diagnose(envoy)
    # Told so, it looks at these alone.
    ran = run("doctor", "--seconds", 0, "--metric-prefix", "mesh_", envoy.admin_url)
    assert ran.returncode == 0, ran
    assert "counted as mesh_…: 3 requests, 0 TCP connections\n" in ran.stdout
    assert "counted: " not in ran.stdout


def test_what_was_not_counted_cannot_be_judged(mesh: Mesh, backend: int) -> None:
    mesh.start(west(backend))
    diagnose(mesh["west"], hints=["nothing-counted"])


def test_a_finding_is_said_to_people_and_to_scripts(mesh: Mesh) -> None:
    port = mesh.start(west(1, direction="UNSPECIFIED", root_id="", routes=[bootstrap.direct_response("/", 200)]))
    call(mesh["west"], port, peer=None)
    arguments = ("doctor", mesh["west"].admin_url, "--seconds", 0)
    for_people, for_scripts = run(*arguments), run(*arguments, "--json")
    assert (for_people.returncode, for_scripts.returncode) == (1, 1)
    found = json.loads(for_scripts.stdout)
    assert found["envoy"]["cluster_id"] == "west"
    finding = next(one for one in found["findings"] if one["code"] == "reporter-unknown")
    words = " ".join(for_people.stdout.split())
    for part in (finding["title"], finding["why"], finding["remedy"], *finding["seen"], finding["paste"][0]["lines"]):
        assert " ".join(part.split()) in words


def test_where_nobody_answers_it_cannot_look() -> None:
    with clients.refusing_port() as port:
        ran = run("doctor", f"127.0.0.1:{port}")
    assert ran.returncode == 2
    assert f"cannot read http://127.0.0.1:{port}/server_info" in ran.stderr
    assert ran.stdout == ""


def test_a_page_without_metrics_is_none_to_look_at() -> None:
    with _page_only("<html><body>It works</body></html>") as url:
        ran = run("doctor", url)
    assert ran.returncode == 2
    assert 'not of the Prometheus text format: "<html>' in ran.stderr


@contextmanager
def _page_only(text: str) -> Iterator[str]:
    """Serves one page, as the Prometheus port of Istio's proxies does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/stats/prometheus"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(text.encode() if found else b"")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/stats/prometheus"
        finally:
            server.shutdown()
            thread.join()
