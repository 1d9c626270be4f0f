"""Many proxies in one process: each answers a scrape with what a real Envoy answered, under a name of its own.

The pages were taken one after the other while requests went through, so counters move as they did there.
"""

import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benches.load import mesh
from benches.load.hosts import NewHosts
from benches.load.scrape import FORMS, scrape_of
from benches.load.settle import settle
from benches.load.stream import Stream
from lab import plugins
from lab.processes import Processes

# Of one proxy, and how many pages are taken of it.
LABEL_SETS = 2
PAGES = 14
# The workload that all label sets name as theirs. Other names have its length, so that protobuf stays what it is.
WORKLOAD = b"frontend-v1"

# A form's content type, and its pages one after the other.
Recorded = Mapping[str, tuple[str, list[bytes]]]


def record() -> Recorded:
    """From a real Envoy under traffic."""
    plugin = mesh.ours("istio_stats", "stats_outbound")
    variant = mesh.Variant("replayed", "", filters=(plugins.http_filter(plugin),), stream=Stream(named_service=False))
    pages: dict[str, tuple[str, list[bytes]]] = {name: ("", []) for name in FORMS}
    with Processes() as processes:
        envoys = mesh.Mesh(processes, "replay", [variant], flush_seconds=1)
        client = NewHosts("service", envoys.port(variant))
        hosts = [f"service-{number:02}.shop.svc.cluster.local" for number in range(LABEL_SETS)]
        for number in range(PAGES):
            for place, host in enumerate(hosts):
                client.request_often(host, 1 + (number + place) % 3)
            if number == 0:
                settle(envoys.proxy)
            # Histograms are published with a flush.
            time.sleep(1.2)
            for name in FORMS:
                with urllib.request.urlopen(scrape_of(envoys.proxy, name)) as response:
                    pages[name] = (response.headers["content-type"], [*pages[name][1], response.read()])
    return pages


class Replay(ThreadingHTTPServer):
    """`/<form>/<number of a workload>/<pod>` is a page, the next one with each scrape."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, recorded: Recorded) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._recorded = recorded
        self._scrapes: dict[str, int] = {}

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a Prometheus that ends breaks its connections off."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def page(self, path: str) -> tuple[str, bytes]:
        """The last of them for ever, when all were there."""
        form, number, _ = urllib.parse.unquote(path).strip("/").split("/")
        turn = self._scrapes[path] = self._scrapes.get(path, -1) + 1
        content_type, pages = self._recorded[form]
        page = pages[min(turn, len(pages) - 1)]
        return content_type, page.replace(WORKLOAD, f"work{int(number):07}".encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Replay

    def do_GET(self) -> None:
        content_type, page = self.server.page(urllib.parse.urlsplit(self.path).path)
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Nothing: a line for each scrape says nothing."""


@contextmanager
def replaying(recorded: Recorded) -> Iterator[Replay]:
    with Replay(recorded) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
