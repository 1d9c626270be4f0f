"""A mesh that nobody runs: the pages its Envoys would show, as if calls had gone on at a steady pace.

For what no machine of a developer holds (hundreds of services), for labels that no mesh should have, and for pictures
of a shop that looks like one.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

BUCKETS_MS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
# An Envoy has been up for this long when it is first read.
AGE_SECONDS = 600.0


@dataclass(frozen=True)
class Workload:
    cluster_id: str
    namespace: str
    service: str
    version: str = "v1"

    @property
    def name(self) -> str:
        return self.service if self.service == "unknown" else f"{self.service}-{self.version}"


UNKNOWN = Workload("unknown", "unknown", "unknown")


@dataclass(frozen=True)
class Call:
    """What one workload asks another, per second."""

    source: Workload
    destination: Workload
    rate: float
    protocol: str = "http"
    # Of all calls, by code (a gRPC status, if it is gRPC) and flags; the rest succeeds.
    failures: Mapping[tuple[str, str], float] = field(default_factory=dict)
    # About what the median takes.
    milliseconds: float = 8.0
    # Of a TCP connection, from and to the client.
    received: float = 200.0
    sent: float = 2000.0
    mutual_tls: bool = True
    # What was called, if nobody answered.
    service: str = ""

    def lines(self, seconds: float) -> Iterator[str]:
        for reporter, workload in (("source", self.source), ("destination", self.destination)):
            if workload.name != "unknown":
                labels = self._labels(reporter)
                yield from self._tcp(labels, seconds) if self.protocol == "tcp" else self._requests(labels, seconds)

    def _requests(self, labels: dict[str, str], seconds: float) -> Iterator[str]:
        count = self.rate * seconds
        succeeded = ("0" if self.protocol == "grpc" else "200", "-")
        outcomes = {succeeded: 1 - sum(self.failures.values()), **self.failures}
        for (code, flags), share in outcomes.items():
            grpc = self.protocol == "grpc"
            more = {"response_code": "200" if grpc else code, "response_flags": flags}
            more["grpc_response_status"] = code if grpc else ""
            yield _line("istio_requests_total", labels | more, round(count * share))
        for bound in (*BUCKETS_MS, float("inf")):
            # Half is faster than the median, and 99 of 100 than eight times that.
            share = 1 - 0.5 ** ((bound / self.milliseconds) ** 0.91)
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield _line("istio_request_duration_milliseconds_bucket", labels | {"le": le}, round(count * share))

    def _tcp(self, labels: dict[str, str], seconds: float) -> Iterator[str]:
        opened = round(self.rate * seconds)
        closed = {"-": 1 - sum(self.failures.values()), **{flags: share for (_, flags), share in self.failures.items()}}
        for flags, share in closed.items():
            by_flags = labels | {"response_flags": flags}
            yield _line("istio_tcp_connections_opened_total", by_flags, round(opened * share))
            yield _line("istio_tcp_connections_closed_total", by_flags, max(0, round(opened * share) - 2))
        by_flags = labels | {"response_flags": "-"}
        yield _line("istio_tcp_received_bytes_total", by_flags, round(self.received * self.rate * seconds))
        yield _line("istio_tcp_sent_bytes_total", by_flags, round(self.sent * self.rate * seconds))

    def _labels(self, reporter: str) -> dict[str, str]:
        service = self.service or self.destination.service
        namespace = self.destination.namespace
        secure = "mutual_tls" if self.mutual_tls else "none"
        return {
            "reporter": reporter,
            **_side("source", self.source),
            **_side("destination", self.destination),
            "destination_service": f"{service}.{namespace}.svc.cluster.local",
            "destination_service_name": service,
            "destination_service_namespace": namespace,
            "request_protocol": self.protocol,
            "connection_security_policy": secure if reporter == "destination" else "unknown",
        }


@contextmanager
def served(calls: Sequence[Call]) -> Iterator[list[str]]:
    """URLs of a page for each Kubernetes cluster, which grow as time goes by."""
    began = time.monotonic() - AGE_SECONDS
    cluster_ids = sorted({call.source.cluster_id for call in calls})

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index = int(self.path.strip("/") or 0)
            seconds = time.monotonic() - began
            own = (call for call in calls if call.source.cluster_id == cluster_ids[index])
            body = "".join(line for call in own for line in call.lines(seconds)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """It is read every few seconds."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield [f"http://127.0.0.1:{server.server_port}/{index}" for index in range(len(cluster_ids))]
        finally:
            server.shutdown()
            thread.join()


def shop() -> list[Call]:
    """A shop in two Kubernetes clusters, one of whose services fails in one of them."""
    east, west = (
        {
            name: Workload(cluster_id, namespace, name)
            for namespace, names in (
                ("istio-system", ("ingress",)),
                ("shop", ("frontend", "catalog", "cart", "checkout", "recommendations", "reviews", "ratings")),
                ("payments", ("payments", "ledger")),
                ("data", ("postgres", "redis")),
            )
            for name in names
        }
        for cluster_id in ("east", "west")
    )
    reviews_v2 = Workload("west", "shop", "reviews", "v2")
    external = Workload("unknown", "unknown", "unknown")
    failing = {("503", "UF,URX"): 0.04, ("504", "UT"): 0.02}
    return [
        Call(UNKNOWN, east["ingress"], 210, milliseconds=21, mutual_tls=False),
        Call(UNKNOWN, west["ingress"], 96, milliseconds=18, mutual_tls=False),
        Call(east["ingress"], east["frontend"], 210, milliseconds=20),
        Call(west["ingress"], west["frontend"], 96, milliseconds=17),
        Call(east["frontend"], east["catalog"], 180, milliseconds=6),
        Call(east["frontend"], east["cart"], 64, milliseconds=4),
        Call(east["frontend"], east["checkout"], 12, "grpc", {("14", "-"): 0.012}, 31),
        Call(east["frontend"], east["recommendations"], 88, "grpc", milliseconds=12),
        Call(east["catalog"], west["reviews"], 71, "http", failing, 34),
        Call(east["catalog"], west["reviews"], 23, "grpc", {("4", "-"): 0.01}, 19),
        Call(east["catalog"], reviews_v2, 18, "http", {}, 14),
        Call(east["catalog"], east["postgres"], 3, "tcp", received=4_100, sent=88_000),
        Call(east["cart"], east["redis"], 9, "tcp", received=900, sent=2_400, mutual_tls=False),
        Call(east["checkout"], west["payments"], 12, "grpc", {("14", "-"): 0.021}, 42),
        Call(east["checkout"], west["payments"], 2, "tcp", received=320, sent=7_600),
        Call(west["frontend"], west["catalog"], 81, milliseconds=6),
        Call(west["frontend"], west["cart"], 30, milliseconds=4),
        Call(west["catalog"], west["reviews"], 37, milliseconds=13),
        Call(west["catalog"], west["postgres"], 1.5, "tcp", received=3_000, sent=61_000),
        Call(west["cart"], west["redis"], 4, "tcp", received=800, sent=2_000),
        Call(west["reviews"], west["ratings"], 90, milliseconds=3),
        Call(west["payments"], west["ledger"], 14, "tcp", {("", "UF"): 0.08}, received=510, sent=140),
        Call(west["payments"], external, 6, milliseconds=180, mutual_tls=False, service="api.bank.example"),
    ]


def many(services: int, cluster_ids: Sequence[str] = ("east", "west", "north")) -> list[Call]:
    """Each service calls three others, some in another Kubernetes cluster."""
    everyone = [
        Workload(cluster_ids[number % len(cluster_ids)], f"team-{number % 12:02}", f"service-{number:03}")
        for number in range(services)
    ]
    return [
        Call(one, everyone[number * 2 + step], 1 + number % 7, milliseconds=3 + number % 40)
        for number, one in enumerate(everyone)
        for step in (1, 2, 5)
        if number * 2 + step < services
    ]


def _side(side: str, workload: Workload) -> dict[str, str]:
    return {
        f"{side}_workload": workload.name,
        f"{side}_workload_namespace": workload.namespace,
        f"{side}_principal": "unknown",
        f"{side}_app": workload.service,
        f"{side}_version": workload.version,
        f"{side}_canonical_service": workload.service,
        f"{side}_canonical_revision": workload.version,
        f"{side}_cluster": workload.cluster_id,
    }


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
