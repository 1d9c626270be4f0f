"""Bytes that no proper HTTP client sends: whatever Envoy makes of them is counted, and the next client is served."""

import pytest

from lab import bootstrap
from tests.e2e.harness import forms, unharmed
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.clients import send_raw
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, NODE_ID, headers
from tests.e2e.harness.requests import send
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.unharmed import Target
from tests.e2e.harness.workloads import SHOP, WAYPOINT

pytestmark = forms.BOTH

PEER = headers(SHOP)
HEAD = b"Host: stock.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HEAD
# Of another than the legitimate one.
CLAIM = "".join(f"{name}: {value}\r\n" for name, value in headers(WAYPOINT).items()).encode()
# After each of them the client has nothing more to say.
REQUESTS = {
    "no_http": b"\x00\x01\x02 no HTTP\r\n\r\n",
    "tls": bytes.fromhex("16030100370100003303035a") + bytes(64),
    "proxy_protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + GET + b"\r\n",
    "http_0_9": b"GET /\r\n\r\n",
    "http_1_0": b"GET / HTTP/1.0\r\n\r\n",
    "http_3_7": b"GET / HTTP/3.7\r\n" + HEAD + b"\r\n",
    "no_host": b"GET / HTTP/1.1\r\n\r\n",
    "two_hosts": GET + b"Host: other.example\r\n\r\n",
    "an_empty_host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "a_nul_in_the_host": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "separators_in_the_host": b"GET / HTTP/1.1\r\nHost: a;.;reporter=.=x;.;\r\n\r\n",
    "a_url": b"GET http://other.example;.;x=.=y/ HTTP/1.1\r\n" + HEAD + b"\r\n",
    "no_path": b"GET HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a_star": b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "connect": b"CONNECT stock.example:80 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a_nul_in_the_path": b"GET /\x00 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "separators_in_the_path": b"GET /;.;reporter=.=x;.; HTTP/1.1\r\n" + HEAD + b"\r\n",
    "bytes_in_the_path": b"GET /\xff\xfe%00%zz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a_long_path": b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a_long_method": b"M" * 60_000 + b" / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "separators_in_the_method": b"A;.;B=.=C / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "too_large": GET + b"x: " + b"x" * 200_000 + b"\r\n\r\n",
    "too_many_headers": GET + b"".join(b"x-%d: x\r\n" % i for i in range(300)) + b"\r\n",
    "no_colon": GET + b"what is this\r\n\r\n",
    "an_empty_name": GET + b": x\r\n\r\n",
    "a_folded_claim": GET + METADATA.encode() + b": AAAA\r\n BBBB\r\n\r\n",
    "a_nul_in_a_claim": GET + METADATA.encode() + b": AA\x00AA\r\n\r\n",
    "claims_without_end": GET + CLAIM * 40 + b"\r\n",
    "a_claim_in_capitals": GET + CLAIM.upper() + b"\r\n",
    "two_lengths": GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a_length_below_zero": GET + b"Content-Length: -1\r\n\r\n",
    "length_and_chunks": GET + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET + b"\r\n",
    "a_wrong_chunk": GET + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
    "a_claim_in_trailers": GET + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + CLAIM + b"\r\n",
    "upgrade_to_http_2": GET
    + CLAIM
    + b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n",
    "upgrade_to_websocket": GET + CLAIM + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "upgrade_to_nonsense": GET + b"Connection: upgrade\r\nUpgrade: a;.;b=.=c\r\n\r\n",
    "claims_named_by_connection": GET + CLAIM + f"Connection: {METADATA}, {NODE_ID}\r\n\r\n".encode(),
    "expect": GET + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    "grpc_that_is_none": GET + b"Content-Type: application/grpc;.;x=.=y\r\n\r\n",
    "connect_protocol": GET + b"Content-Type: application/connect+proto\r\nConnect-Protocol-Version: 1\r\n\r\n",
    "in_a_row": (GET + CLAIM + b"\r\n") * 50,
    "a_preface_alone": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


# No answer comes to these, or none before they end. Of two of them Envoy counts a request.
UNFINISHED = {
    "nothing": b"",
    "a_line_end": b"\r\n",
    "half_a_head": GET + CLAIM[:500],
    "half_a_body": GET + b"Content-Length: 10\r\n\r\nabc",
}
HEADLESS = 2
LAST = GET + b"Connection: close\r\n\r\n"
PARTS = {"at_once": 1 << 20, "in_parts": 100}


@pytest.mark.parametrize("part_bytes", PARTS.values(), ids=PARTS)
def test_whatever_a_client_sends(mesh: Mesh, backend: int, part_bytes: int) -> None:
    target, port = _start(mesh, west(backend))
    with unharmed.unharmed(target, headless=HEADLESS):
        for name, data in REQUESTS.items():
            answer = send_raw(port, data + LAST, part_bytes)
            # The backend answers with the headers that reached it, as JSON.
            assert f'"{METADATA}'.encode() not in answer.lower(), name
        for data in UNFINISHED.values():
            send_raw(port, data, part_bytes, ends=True)


@pytest.mark.parametrize("part_bytes", PARTS.values(), ids=PARTS)
def test_whatever_a_client_sends_where_the_proxy_itself_answers(mesh: Mesh, part_bytes: int) -> None:
    # One of the first crashes Envoys before 1.38.3 in grpc_stats; of some in a row Envoy drops the third half read.
    answered = REQUESTS.keys() - {"connect_protocol", "in_a_row"}
    target, port = _start(mesh, west(1, routes=[bootstrap.direct_response("/", 200)]))
    with unharmed.unharmed(target, headless=HEADLESS):
        for name in answered:
            send_raw(port, REQUESTS[name] + LAST, part_bytes)
        for data in UNFINISHED.values():
            send_raw(port, data, part_bytes, ends=True)


def _start(mesh: Mesh, sidecar: Runnable) -> tuple[Target, int]:
    """The target, and its port."""
    # Envoy leaves time to read an error, one second for each.
    hasty = Altered(sidecar, lambda whole: http_manager(whole).update(delayed_close_timeout="0.01s"))
    port = mesh.start(hasty)
    return unharmed.http(mesh["west"], lambda: send(port, [PEER]), "west"), port
