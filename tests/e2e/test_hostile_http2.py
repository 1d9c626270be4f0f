"""What no proper HTTP/2 client sends, and how many at once."""

import struct
from collections.abc import Iterable
from typing import Any

import hpack
import pytest

from lab import bootstrap
from tests.e2e.harness import forms, unharmed
from tests.e2e.harness.clients import send_raw
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, NODE_ID, encode, headers
from tests.e2e.harness.requests import send
from tests.e2e.harness.sidecar import BACKEND, SERVICE, east, west
from tests.e2e.harness.unharmed import Target
from tests.e2e.harness.workloads import SHOP, WAYPOINT

pytestmark = forms.BOTH

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GO_AWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
CANCEL = b"\0\0\0\x08"
STREAMS = range(1, 200, 2)


def _frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS)
CLAIM = list(headers(WAYPOINT).items())


def _block(
    *fields: tuple[bytes | str, bytes | str],
    pseudo: Iterable[tuple[str, bytes | str]] = (
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a.example"),
    ),
) -> bytes:
    """Fields as literals, which need no state of their own."""
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*field) for field in (*pseudo, *fields)])


def _request(
    stream: int, *fields: tuple[bytes | str, bytes | str], flags: int = END_STREAM | END_HEADERS, **options: Any
) -> bytes:
    return _frame(HEADERS, flags, stream, _block(*fields, **options))


def _with(name: str, value: bytes | str) -> tuple[tuple[str, bytes | str], ...]:
    """The usual pseudo-header fields, one of them with another value."""
    usual = {":method": "GET", ":scheme": "http", ":path": "/", ":authority": "a.example"}
    return tuple({**usual, name: value}.items())


FORGERY = ";.;reporter=.=x;.;"
# One field in the dynamic table, then names of it: a few bytes make megabytes of headers.
BOMB = hpack.Encoder().encode([("x", "y" * 4000)]) + b"\xbe" * 16_000
SENT = {
    "nothing_more": b"",
    "no_frame": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a_frame_too_long": _frame(DATA, 0, 1, bytes(20_000)),
    "an_unknown_frame": _frame(0xEE, 0xFF, 1, bytes(100)),
    "data_without_a_request": _frame(DATA, END_STREAM, 1, b"x"),
    "a_request_of_the_server": _request(2),
    "a_request_of_nobody": _request(0),
    "the_same_request_twice": _request(1, flags=END_HEADERS) + _request(1),
    "an_earlier_number": _request(7) + _request(5),
    "no_hpack": _frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    "cut_hpack": _frame(HEADERS, END_STREAM | END_HEADERS, 1, _block(*CLAIM)[:200]),
    "a_bomb": _frame(HEADERS, END_STREAM | END_HEADERS, 1, _block() + BOMB[:16_000]),
    "headers_without_end": _request(1, flags=END_STREAM)
    + b"".join(_frame(CONTINUATION, 0, 1, _block(("x", "y" * 4000), pseudo=())) for _ in range(100)),
    "empty_continuations": _request(1, flags=END_STREAM) + _frame(CONTINUATION, 0, 1) * 2000,
    "settings": _frame(SETTINGS) * 2000,
    "wrong_settings": _frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"),
    "pings": _frame(PING, 0, 0, bytes(8)) * 2000,
    "resets_of_nothing": _frame(RESET, 0, 1, bytes(4)) * 100,
    "priorities": _frame(PRIORITY, 0, 1, struct.pack(">IB", 3, 9)) * 2000,
    "a_push": _frame(PUSH, END_HEADERS, 1, struct.pack(">I", 2) + _block()),
    "a_window_too_wide": _frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"),
    "no_path": _request(1, pseudo=((":method", "GET"), (":scheme", "http"), (":authority", "a"))),
    "two_paths": _request(1, pseudo=(*_with(":path", "/"), (":path", "/x"))),
    "a_status": _request(1, pseudo=(*_with(":path", "/"), (":status", "200"))),
    "separators_in_the_path": _request(1, pseudo=_with(":path", "/" + FORGERY)),
    "separators_in_the_host": _request(1, pseudo=_with(":authority", FORGERY)),
    "separators_in_the_method": _request(1, pseudo=_with(":method", FORGERY)),
    "a_nul_in_the_path": _request(1, pseudo=_with(":path", "/\0")),
    "bytes_in_the_path": _request(1, pseudo=_with(":path", b"/\xff\xfe")),
    "a_name_in_capitals": _request(1, (METADATA.upper(), "AAAA")),
    "a_line_in_a_claim": _request(1, (METADATA, "AAAA\r\nx: y")),
    "a_nul_in_a_claim": _request(1, (METADATA, "AA\0AA")),
    "bytes_in_a_claim": _request(1, (METADATA, b"\xff\xfe"), (NODE_ID, b"\xff")),
    "nine_claims": _request(1, *CLAIM * 9),
    "a_claim_in_trailers": _request(1, flags=END_HEADERS) + _request(1, *CLAIM, pseudo=()),
    "hop_by_hop": _request(1, ("connection", METADATA), ("transfer-encoding", "chunked"), *CLAIM),
    "grpc_without_messages": _request(1, ("content-type", "application/grpc"), *CLAIM),
    "grpc_with_half_a_message": _request(1, ("content-type", "application/grpc"), flags=END_HEADERS)
    + _frame(DATA, END_STREAM, 1, b"\0\xff\xff\xff\xffx"),
    "websocket": _request(1, (":protocol", "websocket"), pseudo=_with(":method", "CONNECT")),
    "go_away": _request(1, *CLAIM) + _frame(GO_AWAY, 0, 0, bytes(8) + b"x" * 1000),
}


# Those that Envoy counts as requests, and refuses before any filter hears of them.
REFUSED = {
    *("no_hpack", "cut_hpack", "a_bomb", "headers_without_end", "empty_continuations"),
    *("no_path", "two_paths", "a_status", "separators_in_the_method", "a_nul_in_the_path"),
    *("a_name_in_capitals", "a_line_in_a_claim", "a_nul_in_a_claim", "hop_by_hop", "websocket"),
}


@pytest.fixture
def inbound(mesh: Mesh, backend: int) -> tuple[Target, int]:
    """The target and its port."""
    port = mesh.start(west(backend))
    return unharmed.http(mesh["west"], lambda: send(port, [headers(SHOP)]), "west"), port


def test_whatever_a_client_sends(inbound: tuple[Target, int]) -> None:
    target, port = inbound
    with unharmed.unharmed(target, headless=len(REFUSED)):
        for data in SENT.values():
            send_raw(port, START + data, ends=True)


def test_requests_that_are_reset_at_once(inbound: tuple[Target, int]) -> None:
    target, port = inbound
    with unharmed.unharmed(target):
        for _ in range(4):
            pairs = (_request(one, *CLAIM) + _frame(RESET, 0, one, CANCEL) for one in STREAMS)
            send_raw(port, START + b"".join(pairs), ends=True)


CONNECTIONS, MAX_SERIES = 10, 20


def _to_a_host(stream: int, name: str) -> bytes:
    pseudo = ((":method", "GET"), (":scheme", "http"), (":path", "/flood"), (":authority", name))
    return _request(stream, pseudo=pseudo)


def _from_a_peer(stream: int, name: str) -> bytes:
    claim = (METADATA, encode({"WORKLOAD_NAME": name, "CLUSTER_ID": name}))
    return _request(stream, claim, pseudo=_with(":path", "/flood"))


# At the source it is the host that strangers choose, at the destination the peer.
FLOODS = {"east": (_to_a_host, "destination_service"), "west": (_from_a_peer, "source_workload")}


@pytest.mark.parametrize("side", FLOODS)
def test_a_flood_of_new_label_sets(mesh: Mesh, backend: int, side: str) -> None:
    """A hundred at once over each connection."""
    stats = {"attachment": "http", "max_series": MAX_SERIES}
    flooded = bootstrap.direct_response("/flood", 200)
    west_port = mesh.start(west(backend, stats=stats, routes=[flooded, bootstrap.route("/", BACKEND)]))
    port = mesh.start(east(west_port, stats=stats, routes=[flooded, bootstrap.route("/", SERVICE)]))
    target = unharmed.http(mesh[side], lambda: send(port, [{}]), side)
    request, label = FLOODS[side]
    with unharmed.unharmed(target, most_label_sets=MAX_SERIES + 1):
        for connection in range(CONNECTIONS):
            requests = (request(stream, f"{connection}-{stream}.example") for stream in STREAMS)
            send_raw(mesh[side].port(side), START + b"".join(requests), ends=True)
    series = mesh[side].families()["istio_requests_total"].series
    assert len(series) == MAX_SERIES + 1
    assert sum(series.values()) == CONNECTIONS * len(STREAMS) + 1 + unharmed.LEGITIMATE
    assert "overflow" in {dict(labels)[label] for labels in series}
