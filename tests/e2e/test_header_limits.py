"""Headers that fit without the exchange's and not with them: who receives them refuses, and everything is counted."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from lab.tree import Json
from tests.e2e.harness import clients, forms, usual
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import headers
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.workloads import SHOP, STOCK, Workload

pytestmark = forms.BOTH

Padded = Callable[[int], dict[str, str]]

LIMIT_KB = 8
# How the bytes of lines or of HPACK's entries are counted, around names and values.
MOST_AROUND = 64
# Envoy says in the response how many milliseconds it took: its digits are headers, too, and of no fixed number.
MOST_DIGITS = 6


def _request(bytes_: int) -> dict[str, str]:
    return {"x-padding": "x" * bytes_}


def _response(bytes_: int) -> dict[str, str]:
    return {"x-answer-with": json.dumps(_request(bytes_))}


# Client, what is padded, who adds its headers to that, and what becomes of what is too long: code and flags at the
# client's proxy, code at the server's.
CASES = {
    "request_http1": (clients.http1, _request, SHOP, ("431", "-"), "431"),
    # Without headers there is no request.
    "request_http2": (clients.http2, _request, SHOP, ("503", "UR"), None),
    "response_http2": (clients.http2, _response, STOCK, ("503", "UR"), "200"),
}


@pytest.mark.parametrize("client, padded, sender, at_the_client, at_the_server", CASES.values(), ids=CASES.keys())
def test_the_exchanges_headers_count_towards_limits(
    tmp_path: Path,
    backend: int,
    client: Callable[[int], httpx.Client],
    padded: Padded,
    sender: Workload,
    at_the_client: tuple[str, str],
    at_the_server: str | None,
) -> None:
    longest = {}
    for name, exchange in (("with", {}), ("without", usual.ABSENT)):
        (tmp_path / name).mkdir()
        with Mesh(tmp_path / name) as mesh:
            server = west(backend, exchange=exchange)
            port = mesh.start(Altered(server, _limit_requests) if padded is _request else server)
            with client(mesh.start(east(port, exchange=exchange))) as caller:
                longest[name], served, refused = _search(caller, padded)
                # Afterwards all is as before.
                assert caller.get("/").status_code == 200
            counted: dict[str, Counter[tuple[str, ...]]] = {
                "east": Counter({("200", "-"): served + 1, at_the_client: refused})
            }
            counted["west"] = Counter({("200",): served + 1})
            if at_the_server is not None:
                counted["west"][(at_the_server,)] += refused
            for proxy, expected in counted.items():
                mesh.await_total(proxy, "istio_requests_total", expected.total())
                labels = ("response_code", "response_flags")[: len(next(iter(expected)))]
                assert mesh.requests(proxy, labels) == expected
    added = sum(len(name) + len(value) for name, value in headers(sender).items())
    assert added < 1000
    around = longest["without"] - longest["with"] - added
    assert -MOST_DIGITS <= around <= MOST_AROUND + MOST_DIGITS


def _limit_requests(whole: Json) -> None:
    http_manager(whole)["max_request_headers_kb"] = LIMIT_KB


def _search(caller: httpx.Client, padded: Padded) -> tuple[int, int, int]:
    """The most padding with which a request is served, and how many were and were not."""
    least, most = 0, 62_000 if padded is _response else 2 * 1024 * LIMIT_KB
    served = refused = 0
    while most - least > 1:
        middle = (least + most) // 2
        if caller.get("/", headers=padded(middle)).status_code == 200:
            least, served = middle, served + 1
        else:
            most, refused = middle, refused + 1
    return least, served, refused
