"""gRPC calls: status, and messages counted while a stream is open."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import pytest

from lab.waiting import await_equal
from tests.e2e.harness import clients, forms, usual
from tests.e2e.harness.clients import GrpcClient
from tests.e2e.harness.grpc_backend import SERVICE, UNANSWERED
from tests.e2e.harness.grpc_stream import Stream
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import BACKEND, east, west

pytestmark = forms.BOTH

# Streams are reported several times before a test gives up waiting.
PERIOD_SECONDS = 1
STATS = {"attachment": "http", "tcp_reporting_duration": f"{PERIOD_SECONDS}s"}


@contextmanager
def _calling(mesh: Mesh, backend: int, **changes: Any) -> Iterator[GrpcClient]:
    west_port = mesh.start(west(backend, protocol="http2", stats=STATS, **changes))
    port = mesh.start(east(west_port, stats=STATS, **changes))
    with clients.grpc_client(port) as caller:
        yield caller


def test_unary_calls(mesh: Mesh, grpc_backend_port: int) -> None:
    with _calling(mesh, grpc_backend_port) as caller:
        for item in (b"lamp", b"chair"):
            assert caller.reserve(item) == b"reserved " + item
        mesh.expect("grpc_unary.yaml")


def test_an_error_status_is_reported_next_to_code_200(mesh: Mesh, grpc_backend_port: int) -> None:
    with _calling(mesh, grpc_backend_port) as caller:
        with pytest.raises(grpc.RpcError) as refusal:
            caller.refuse(b"lamp")
        assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
        mesh.expect("grpc_error.yaml")


def test_messages_of_an_open_stream_are_counted_and_exact_at_its_end(mesh: Mesh, grpc_backend_port: int) -> None:
    with _calling(mesh, grpc_backend_port) as caller:
        stream = Stream(caller)
        stream.exchange(3)
        mesh.expect("grpc_stream_open.yaml")
        stream.exchange(2)
        stream.end()
        mesh.expect("grpc_stream_closed.yaml")


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_a_stream_that_the_client_resets_keeps_its_messages(mesh: Mesh, grpc_backend_port: int, logger: bool) -> None:
    with _calling(mesh, grpc_backend_port, logger=logger) as caller:
        stream = Stream(caller)
        stream.exchange(2)
        stream.cancel()
        mesh.expect("grpc_cancelled.yaml")


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_who_breaks_off_leaves_no_status(mesh: Mesh, grpc_backend_port: int, logger: bool) -> None:
    """A client before the answer, a server after it had begun: only the flags tell them apart."""
    with _calling(mesh, grpc_backend_port, logger=logger) as caller:
        unanswered = Stream(caller)
        unanswered.send(UNANSWERED)
        mesh["west"].await_stat(f"cluster.{BACKEND}.upstream_rq_active", 1)
        unanswered.cancel()
        left: dict[tuple[str, ...], float] = {("0", "DR", ""): 1.0}
        for name in ("east", "west"):
            _expect_ends(mesh, name, left)
        answered = Stream(caller)
        answered.exchange(1)
        mesh["west"].terminate()
        _expect_ends(mesh, "east", left | {("200", "UC", ""): 1.0})


def _expect_ends(mesh: Mesh, name: str, expected: dict[tuple[str, ...], float]) -> None:
    labels = ("response_code", "response_flags", "grpc_response_status")
    await_equal(partial(mesh.requests, name, labels), expected, f"how requests ended in {name}")


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_what_a_filter_in_front_refuses_is_grpc_with_its_status(
    mesh: Mesh, grpc_backend_port: int, logger: bool
) -> None:
    refuses = usual.deny(f"/{SERVICE}/Reserve")
    port = mesh.start(west(grpc_backend_port, protocol="http2", filters=[refuses], logger=logger))
    with clients.grpc_client(port) as caller, pytest.raises(grpc.RpcError) as refusal:
        caller.reserve(b"lamp")
    assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED
    mesh.await_total("west", "istio_requests_total", 1)
    labels = ("request_protocol", "response_code", "grpc_response_status")
    assert mesh.requests("west", labels) == {("grpc", "200", "7"): 1}


def test_a_stream_named_by_its_host_header_has_one_series(mesh: Mesh, grpc_backend_port: int) -> None:
    """The messages counted while it is open carry the same service as those counted at its end."""
    with _calling(mesh, grpc_backend_port, services=()) as caller:
        stream = Stream(caller)
        stream.exchange(3)
        time.sleep(2.5 * PERIOD_SECONDS)
        stream.exchange(2)
        stream.end()
        mesh.expect("grpc_host_header.yaml")
