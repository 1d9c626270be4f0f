"""A gRPC stream that only its Host names: a stock filter can keep the Host readable while the stream is open."""

import time

import pytest

from lab import bootstrap
from lab.tree import Json
from tests.e2e.harness import clients, forms, golden
from tests.e2e.harness.grpc_stream import Stream
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, west

pytestmark = forms.BOTH

PERIOD_SECONDS = 1
STATS = {"attachment": "http", "tcp_reporting_duration": f"{PERIOD_SECONDS}s"}
# As the README describes it.
KEEP_HOST = {
    "name": "envoy.filters.http.set_filter_state",
    "typed_config": {
        "@type": bootstrap.EXTENSION + "filters.http.set_filter_state.v3.Config",
        "on_request_headers": [
            {
                "object_key": "istio_stats.request_host",
                "factory_key": "envoy.string",
                "format_string": {"text_format_source": {"inline_string": "%REQ(:AUTHORITY)%"}},
            }
        ],
    },
}


@pytest.mark.parametrize("filters, visible", [([KEEP_HOST], True), ([], False)], ids=["kept", "not_kept"])
def test_a_stream_named_by_its_host_is_visible_while_open(
    mesh: Mesh, grpc_backend_port: int, filters: list[Json], visible: bool
) -> None:
    west_port = mesh.start(west(grpc_backend_port, protocol="http2", stats=STATS, services=()))
    port = mesh.start(east(west_port, stats=STATS, services=(), filters=filters))
    at_end = golden.load("grpc_host_header.yaml")
    with clients.grpc_client(port) as caller:
        stream = Stream(caller)
        stream.exchange(5)
        # The open stream's messages and nothing else, under the names that they have at its end.
        opened = {"istio_build": at_end["east"]["istio_build"]}
        if visible:
            opened |= {name: at_end["east"][name] for name in at_end["east"] if "_messages_" in name}
        time.sleep(2.5 * PERIOD_SECONDS)
        mesh.expect_families({"east": opened}, "grpc_host_header.yaml, open")
        stream.end()
    mesh.expect("grpc_host_header.yaml")
