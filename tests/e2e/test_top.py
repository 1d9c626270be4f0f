"""`istio-stats top`: what it shows is what the Envoys export."""

import fcntl
import math
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import IO

import pytest
from prometheus_client.samples import Sample

from lab import bootstrap, exposition, terminal
from lab.paths import command
from lab.waiting import PATIENCE_SECONDS, wait_until
from tests.e2e.harness import clients, tcp, tcp_traffic
from tests.e2e.harness.command import read_json, run
from tests.e2e.harness.doctor import serve
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, west

OK, MISSING, BROKEN = 6, 2, 1
MESH = {"attachment": "http", "metric_prefix": "mesh_"}


@pytest.fixture(scope="module")
def pair(shared_mesh: Mesh, backend: int, doubler: int) -> Iterator[Mesh]:
    """Both sides after HTTP and TCP; one connection stays open."""
    http_port = shared_mesh.start(west(backend, joined=[tcp.west(doubler, name="west-tcp")]))
    tcp_east = tcp.east(shared_mesh["west"].port("west-tcp"), name="east-tcp")
    port = shared_mesh.start(east(http_port, joined=[tcp_east]))
    with clients.http1(port) as caller:
        for path, times in (("/", OK), ("/status/404", MISSING), ("/status/503", BROKEN)):
            for _ in range(times):
                caller.get(path)
    tcp_port = shared_mesh["east"].port("east-tcp")
    for _ in range(3):
        tcp_traffic.converse(tcp_port, b"hello")
    with tcp_traffic.connect(tcp_port) as connection:
        tcp_traffic.exchange_words(connection, b"still here")
        for side in ("east", "west"):
            shared_mesh.await_total(side, "istio_request_duration_milliseconds", OK + MISSING + BROKEN)
            shared_mesh.await_total(side, "istio_tcp_sent_bytes_total", 2 * (3 * 5 + 10))
        yield shared_mesh


def test_a_page_of_native_histograms_is_read_as_text(pair: Mesh) -> None:
    page = f"{pair['east'].admin_url}/stats/prometheus?histogram_buckets=prometheusnative"
    (row,) = [row for row in read_json("top", "--once", page)["rows"] if row["requests"]]
    assert row["requests"] == OK + MISSING + BROKEN
    assert row["p50_ms"] > 0


def _samples(envoy: Envoy) -> list[Sample]:
    return exposition.istio_samples(envoy.admin("/stats/prometheus", params={"filter": "istio_"}).text)


def _total(samples: list[Sample], name: str, **labels: str) -> float:
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def _quantile(samples: list[Sample], q: float) -> float:
    """As Prometheus' documentation of histogram_quantile has it."""
    buckets: dict[float, float] = defaultdict(float)
    for one in samples:
        if one.name == "istio_request_duration_milliseconds_bucket":
            buckets[float(one.labels["le"])] += one.value
    rank, lower, below = q * buckets[math.inf], 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= rank:
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    raise AssertionError(buckets)


@pytest.mark.parametrize("side, reporter", [("east", "source"), ("west", "destination")])
def test_one_proxy(pair: Mesh, side: str, reporter: str) -> None:
    samples = _samples(pair[side])
    shown = read_json("top", "--once", pair[side].admin_url)
    requests = _total(samples, "istio_requests_total")
    failed = _total(samples, "istio_requests_total", response_code="503")
    assert (requests, failed) == (OK + MISSING + BROKEN, BROKEN)
    opened = _total(samples, "istio_tcp_connections_opened_total")
    assert shown == {
        "unit": "total",
        "by": "cluster",
        "reporter": "auto",
        "rows": [
            {
                "source_cluster": "east",
                "destination_cluster": "west",
                "reporter": reporter,
                "requests": requests,
                "success_ratio": pytest.approx(1 - failed / requests),
                "p50_ms": pytest.approx(_quantile(samples, 0.5)),
                "p99_ms": pytest.approx(_quantile(samples, 0.99)),
                "tcp_open": opened - _total(samples, "istio_tcp_connections_closed_total"),
                "tcp_opened": opened,
                "tcp_received_bytes": _total(samples, "istio_tcp_received_bytes_total"),
                "tcp_sent_bytes": _total(samples, "istio_tcp_sent_bytes_total"),
            }
        ],
    }
    assert shown["rows"][0]["tcp_open"] == 1


def test_both_proxies_are_counted_once_or_side_by_side(pair: Mesh) -> None:
    urls = [pair[side].admin_url for side in ("east", "west")]

    def requests(*arguments: str) -> dict[str, float]:
        rows = read_json("top", "--once", *arguments, *urls)["rows"]
        return {row["reporter"]: row["requests"] for row in rows}

    total = OK + MISSING + BROKEN
    assert requests() == {"source": total}
    assert requests("--reporter", "destination") == {"destination": total}
    assert requests("--reporter", "both") == {"source": total, "destination": total}


@pytest.mark.parametrize(
    "by, names",
    [
        ("service", {"destination_service_name": "stock-api", "destination_service_namespace": "warehouse"}),
        (
            "workload",
            {
                "source_workload": "shop-v2",
                "source_workload_namespace": "retail",
                "destination_workload": "stock-v1",
                "destination_workload_namespace": "warehouse",
            },
        ),
    ],
)
def test_one_level_down(pair: Mesh, by: str, names: dict[str, str]) -> None:
    (row,) = read_json("top", "--once", "--by", by, pair["west"].admin_url)["rows"]
    assert names.items() <= row.items()


def test_a_table_for_people(pair: Mesh) -> None:
    ran = run("top", "--once", "--by", "workload", pair["east"].admin_url)
    assert ran.returncode == 0, ran
    head, _, row = ran.stdout.splitlines()
    titles = "source_cluster destination_cluster source_workload destination_workload reporter requests"
    assert head.split()[:6] == titles.split()
    cells = f"east west retail/shop-v2 warehouse/stock-v1 source {OK + MISSING + BROKEN}"
    assert row.split()[:6] == cells.split()
    assert "88.89%" in row


def test_into_a_pipe_it_prints_rates(pair: Mesh) -> None:
    port = pair["east"].port("east")
    arguments = [str(command()), "top", "--interval", "0.5", pair["east"].admin_url]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as top, clients.http1(port) as caller:
        assert top.stdout
        tables = _tables(top.stdout)
        assert "requests" in next(tables)[0]
        caller.get("/")
        busy = next(lines for lines in tables if re.search(r"source +[0-9.]*[1-9]", lines[2]))
        assert "req/s" in busy[0]
        top.stdout.close()
    # It ended because nobody read any more.
    assert top.returncode == 0


def _tables(lines: IO[str]) -> Iterator[list[str]]:
    """Tables of a stream, each a list of its lines."""
    table = []
    for line in lines:
        if line.strip():
            table.append(line.rstrip())
        else:
            yield table
            table = []


@pytest.mark.skipif(not shutil.which("tmux") and os.environ.get("CI") != "true", reason="needs tmux: apt install tmux")
def test_on_a_terminal_it_is_live(pair: Mesh, tmp_path: Path) -> None:
    arguments: list[str | Path] = [command(), "top", "--interval", "0.5", pair["east"].admin_url]
    with terminal.running(arguments, columns=160, rows=30, directory=tmp_path) as shown:

        def await_text(text: str) -> None:
            wait_until(lambda: text in shown.text(), f"{text!r} on the screen")

        await_text("req/s")
        shown.press("b")
        await_text("logistics/stock-api")
        shown.press("b", "b", "r")
        await_text("by cluster, reporter source")
        shown.press("s")
        await_text("order errors")
        shown.press("Enter")
        await_text("destination_cluster west")
        await_text("requests per second: ")
        shown.press("Escape")
        wait_until(lambda: "requests per second: " not in shown.text(), "no details")


@pytest.mark.parametrize("end", [b"q", b"\x03"], ids=["q", "ctrl_c"])
def test_a_key_ends_it(pair: Mesh, end: bytes) -> None:
    with _live(pair["east"].admin_url) as (ours, top):
        _read_until(ours, b"istio-stats")
        os.write(ours, end)
        # Back on the screen that was there before.
        _read_until(ours, b"\x1b[?1049l")
        assert top.wait(PATIENCE_SECONDS) == 0


def test_labels_do_not_steer_the_terminal() -> None:
    label = "\x1b]0;title\x07\x1b[31m\x9b2J\u202eend"
    page = f'istio_requests_total{{source_cluster="{label}",reporter="source"}} 1\n'.encode()
    with _serving(page) as url, _live(url) as (ours, top):
        shown = _read_until(ours, b"u202eend")
        assert rb"\u001b]0;title\u0007\u001b[31m\u009b2J\u202eend" in shown
        assert not any(part in shown for part in (b"]0;title\x07", b"\x1b[31m", "\x9b".encode(), "\u202e".encode()))
        os.write(ours, b"q")
        _read_until(ours, b"\x1b[?1049l")
        assert top.wait(PATIENCE_SECONDS) == 0


@contextmanager
def _live(url: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """top on a terminal of its own, which is afterwards as it was before."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 160, 0, 0))
    before = termios.tcgetattr(theirs)
    arguments = [str(command()), "top", "--interval", "0.5", url]
    top = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        wait_until(lambda: termios.tcgetattr(theirs) != before, "raw mode")
        yield ours, top
    finally:
        top.kill()
        top.wait()
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


@contextmanager
def _serving(page: bytes) -> Iterator[str]:
    """A server that answers everything with this page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _read_until(ours: int, text: bytes) -> bytes:
    shown = b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while text not in shown:
        ready, _, _ = select.select([ours], [], [], 1)
        assert time.monotonic() < deadline, f"{text!r} did not come: {shown!r}"
        shown += os.read(ours, 65536) if ready else b""
    return shown


def test_an_endpoint_that_does_not_answer_is_told_and_the_others_are_shown(pair: Mesh) -> None:
    with clients.refusing_port() as port:
        ran = run("top", "--once", pair["east"].admin_url, f"127.0.0.1:{port}")
    assert ran.returncode == 1
    assert "\neast " in ran.stdout
    assert f"cannot read http://127.0.0.1:{port}/stats/prometheus?filter=istio_" in ran.stderr


def test_metrics_with_another_prefix(pair: Mesh, mesh: Mesh) -> None:
    envoy = serve(mesh, west(1, name="mesh", routes=[bootstrap.direct_response("/", 200)], stats=MESH))
    mesh.await_total("mesh", "mesh_request_duration_milliseconds", 3)
    ran = run("top", "--once", envoy.admin_url)
    advice = "no metric begins with istio_, but there is mesh_requests_total: try --metric-prefix mesh_"
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", f"{envoy.admin_url}: {advice}\n")

    (row,) = read_json("top", "--once", "--metric-prefix", "mesh_", envoy.admin_url)["rows"]
    assert (row["source_cluster"], row["destination_cluster"], row["requests"]) == ("east", "west", 3)
    assert row["p50_ms"] is not None

    # Beside others it is told, and the others are shown.
    ran = run("top", "--once", envoy.admin_url, pair["east"].admin_url)
    assert ran.stderr == f"{envoy.admin_url}: {advice}\n"
    assert "\neast " in ran.stdout


def test_without_metrics_it_says_who_knows_why(mesh: Mesh, backend: int) -> None:
    mesh.start(west(backend))
    ran = run("top", "--once", mesh["west"].admin_url)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "istio-stats doctor" in ran.stderr
