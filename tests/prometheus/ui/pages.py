"""Pages that are read instead of an Envoy's or a Prometheus'."""

from __future__ import annotations

import http.server
import platform
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes]
Handler = type[http.server.BaseHTTPRequestHandler]
# On which the real node-exporter is.
NODE = platform.node()


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """Its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def answering(answer: Callable[[str], Answer]) -> Handler:
    """Answers each path in that way."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in (headers | {"content-length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests say themselves what they asked for."""

    return Page


@contextmanager
def served(texts: Mapping[str, str | Callable[[], str]]) -> Iterator[str]:
    """Texts by their paths; one that is called is made anew each time."""

    def answer(path: str) -> Answer:
        found = texts.get(urlsplit(path).path)
        if found is None:
            return 404, {}, b""
        return 200, {}, (found if isinstance(found, str) else found()).encode()

    with serving(answering(answer)) as url:
        yield url


class Between:
    """Passes questions on to a Prometheus, but those that `instead` answers."""

    def __init__(self, prometheus: str) -> None:
        self._prometheus = prometheus
        self.url = ""
        self.instead: Callable[[str], Answer | None] = lambda _: None

    def handler(self) -> Handler:
        return answering(self._answer)

    def _answer(self, path: str) -> Answer:
        (query,) = parse_qs(urlsplit(path).query).get("query", [""])
        instead = self.instead(query)
        if instead is not None:
            return instead
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self._prometheus + path) as response:
                return 200, {"content-type": "application/json"}, response.read()
        except urllib.error.HTTPError as error:
            return error.code, {}, error.read()


def failure(text: str) -> Answer:
    """How Prometheus says that it cannot answer."""
    return 503, {}, f'{{"status":"error","errorType":"timeout","error":"{text}"}}'.encode()


def exporters() -> str:
    """What kube-state-metrics and cAdvisor say of the pods under test."""
    lines = []
    for pod in ("frontend-v1-0", "reviews-v2-0"):
        labels = f'namespace="shop",pod="{pod}"'
        lines += [
            f'kube_pod_info{{{labels},node="{NODE}"}} 1',
            f'kube_pod_status_ready{{{labels},condition="true"}} 1',
            f'kube_pod_container_status_restarts_total{{{labels},container="app"}} 3',
            f'container_memory_working_set_bytes{{{labels},container="app"}} 73400320',
            f'container_cpu_usage_seconds_total{{{labels},container="app"}} 100',
        ]
    return "\n".join(lines) + "\n"
