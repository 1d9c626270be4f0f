"""Metrics that Envoy pushes instead of being scraped: the names and labels under which they arrive."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from lab import bootstrap
from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness import clients, forms, usual
from tests.e2e.harness.altered import Altered
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import west

pytestmark = forms.BOTH

_COLLECTOR = "collector"


def test_dogstatsd_gets_labels_as_tags(mesh: Mesh, backend: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        address = bootstrap.socket_address(*server.getsockname())
        address["socket_address"]["protocol"] = "UDP"
        _send_one(mesh, backend, "config.metrics.v3.DogStatsdSink", address=address)

        def pushed() -> str | None:
            try:
                lines = server.recv(1 << 16).decode().splitlines()
            except TimeoutError:
                return None
            return next((line for line in lines if "istio_requests_total" in line), None)

        name, kind, tags = wait_until(pushed, "a push with istio_requests_total").split("|")
    assert (name, kind) == (f"envoy.{forms.stat_namespace()}.istio_requests_total:1", "c")
    assert {"reporter:destination", "destination_cluster:west", "response_code:200"} <= set(
        tags.removeprefix("#").split(",")
    )


def test_opentelemetry_gets_labels_as_attributes(mesh: Mesh, backend: int) -> None:
    with _collector() as (port, exports):
        service = {"envoy_grpc": {"cluster_name": _COLLECTOR}}
        upstream = usual.upstream_cluster(_COLLECTOR, [port], protocol="http2")
        _send_one(mesh, backend, "extensions.stat_sinks.open_telemetry.v3.SinkConfig", upstream, grpc_service=service)

        def exported() -> bytes | None:
            return next((export for export in exports if b"istio_requests_total" in export), None)

        export = wait_until(exported, "an export with istio_requests_total")
    assert _text(f"{forms.stat_namespace()}.istio_requests_total") in export
    assert _text("destination_cluster") + b"\x12\x06" + _text("west") in export


def _send_one(mesh: Mesh, backend: int, sink: str, *upstreams: Json, **fields: object) -> None:
    """A request through an Envoy that pushes its metrics there."""

    def add_sink(whole: Json) -> None:
        whole["stats_sinks"] = [{"name": "sink", "typed_config": {"@type": f"{bootstrap.TYPE}envoy.{sink}", **fields}}]
        whole["stats_flush_interval"] = "1s"
        whole["static_resources"]["clusters"] += upstreams

    with clients.http1(mesh.start(Altered(west(backend), add_sink))) as caller:
        assert caller.get("/").status_code == 200


@contextmanager
def _collector() -> Iterator[tuple[int, list[bytes]]]:
    """A gRPC server that keeps whatever it is sent, and where it listens."""
    exports: list[bytes] = []

    class Keep(grpc.GenericRpcHandler):
        def service(self, _: object) -> "grpc.RpcMethodHandler[bytes, bytes]":
            def keep(request: bytes, _: object) -> bytes:
                exports.append(request)
                return b""

            return grpc.unary_unary_rpc_method_handler(keep)

    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    server.add_generic_rpc_handlers((Keep(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port, exports
    finally:
        server.stop(grace=None)


def _text(text: str) -> bytes:
    """As the first field of a message in protobuf."""
    return b"\x0a" + bytes([len(text)]) + text.encode()
