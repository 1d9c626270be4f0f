"""gRPC that another filter makes of something else, or makes something else of: what the plugin reads of it.

It reads when all is over, so that is what the upstream got, wherever it stands. docs/install.md has a table of it.
"""

from dataclasses import dataclass

import grpc
import pytest

from lab.tree import Json
from tests.e2e.harness import forms
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.translated import (
    Call,
    bridged_call,
    grpc_web,
    json_call,
    json_transcoder,
    reverse_bridge,
    web_call,
)
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH

LABELS = ("request_protocol", "response_code", "grpc_response_status")
PROTO, NO_GRPC = "application/grpc+proto", "application/x-protobuf"


@dataclass
class Translation:
    """A filter, and calls with the labels that they get."""

    filter: Json
    calls: list[tuple[Call, tuple[str, str, str]]]
    # Whether the upstream does.
    speaks_grpc: bool = True
    # By clients and by servers, where `grpc_stats` sees gRPC.
    messages: tuple[int, int] | None = None


TRANSLATIONS = {
    # Without a message the status is in the headers; else it is in the body, for the client alone.
    "grpc_web": Translation(
        grpc_web(),
        [
            (web_call("Return"), ("grpc", "200", "")),
            (web_call("BreakOff"), ("grpc", "200", "")),
            (web_call("Refuse"), ("grpc", "200", "5")),
        ],
        messages=(3, 2),
    ),
    "grpc_json_transcoder": Translation(
        json_transcoder(),
        [(json_call("Return", 200), ("grpc", "200", "0")), (json_call("Refuse", 404), ("grpc", "404", "5"))],
        messages=(2, 1),
    ),
    # The status is in the body; of the 404 Envoy makes a 12, which nobody sent.
    "converting": Translation(
        json_transcoder(convert_status=True),
        [(json_call("Return", 200), ("grpc", "200", "0")), (json_call("Refuse", 404), ("grpc", "404", ""))],
        messages=(2, 1),
    ),
    "bridge": Translation(
        reverse_bridge(PROTO),
        [
            (bridged_call("/", PROTO, grpc.StatusCode.OK), ("grpc", "200", "0")),
            (bridged_call("/status/503", PROTO, grpc.StatusCode.UNAVAILABLE), ("grpc", "200", "14")),
        ],
        speaks_grpc=False,
        messages=(2, 2),
    ),
    # What the upstream gets is no gRPC any more.
    "bridge_to_protobuf": Translation(
        reverse_bridge(NO_GRPC),
        [
            (bridged_call("/", NO_GRPC, grpc.StatusCode.OK), ("http", "200", "")),
            (bridged_call("/status/503", NO_GRPC, grpc.StatusCode.UNAVAILABLE), ("http", "200", "")),
        ],
        speaks_grpc=False,
    ),
}


@pytest.mark.parametrize(
    "place, logger", [("in front", False), ("behind", False), ("in front", True)], ids=["in front", "behind", "logger"]
)
@pytest.mark.parametrize("name", list(TRANSLATIONS))
def test_what_is_read_of_a_translated_call(
    mesh: Mesh, backend: int, grpc_backend_port: int, name: str, place: str, logger: bool
) -> None:
    """`place` is that of the translating filter, as the client sees the plugin."""
    translation = TRANSLATIONS[name]

    def insert(whole: Json) -> None:
        filters = http_manager(whole)["http_filters"]
        filters.insert(len(filters) - 1 if place == "behind" else 0, translation.filter)

    if translation.speaks_grpc:
        proxy = west(grpc_backend_port, protocol="http2", logger=logger, exchange=ABSENT)
    else:
        proxy = west(backend, logger=logger, exchange=ABSENT)
    port = mesh.start(Altered(proxy, insert))
    expected: dict[tuple[str, ...], float] = {}
    for count, (call, labels) in enumerate(translation.calls, start=1):
        call(port)
        mesh.await_total("west", "istio_requests_total", count)
        expected[labels] = expected.get(labels, 0) + 1
        assert mesh.requests("west", LABELS) == expected
    if translation.messages and place == ("in front" if translation.speaks_grpc else "behind"):
        for metric, count in zip(("request", "response"), translation.messages, strict=True):
            mesh.await_total("west", f"istio_{metric}_messages_total", count)
