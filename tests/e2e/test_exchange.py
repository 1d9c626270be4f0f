"""The peer metadata headers: who gets them, what is in them, where they end."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import httpx
import pytest

from lab import bootstrap
from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness import clients, forms, usual
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, NODE_ID, decode, encode, found_in, headers
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.workloads import SHOP, STOCK

pytestmark = forms.BOTH

SHOP_METADATA, SHOP_ID = encode(SHOP.peer_metadata()), SHOP.node_id
STOCK_METADATA, STOCK_ID = encode(STOCK.peer_metadata()), STOCK.node_id
# What a receiver makes of them.
SHOP_TOLD, STOCK_TOLD = SHOP.peer_metadata(), STOCK.peer_metadata()

# What a request carries, and what the answer to it must.
ANSWERS = {
    "nothing": ([], {}),
    "both": ([(METADATA, SHOP_METADATA), (NODE_ID, SHOP_ID)], {METADATA: STOCK_TOLD, NODE_ID: STOCK_ID}),
    "only_the_id": ([(NODE_ID, SHOP_ID)], {NODE_ID: STOCK_ID}),
    "only_the_metadata": ([(METADATA, SHOP_METADATA)], {METADATA: STOCK_TOLD}),
    "empty": ([(METADATA, ""), (NODE_ID, "")], {}),
    "unusable": ([(METADATA, "%%%"), (NODE_ID, "x")], {METADATA: STOCK_TOLD, NODE_ID: STOCK_ID}),
    "twice": (
        [(METADATA, SHOP_METADATA), (METADATA, "%%%"), (NODE_ID, SHOP_ID), (NODE_ID, "x")],
        {METADATA: STOCK_TOLD, NODE_ID: STOCK_ID},
    ),
}


@pytest.fixture(scope="module")
def inbound(shared_mesh: Mesh, backend: int) -> Iterator[httpx.Client]:
    """A client of the called workload's proxy."""
    with clients.http1(shared_mesh.start(west(backend, stats=ABSENT))) as caller:
        yield caller


@pytest.fixture(scope="module")
def outbound(shared_mesh: Mesh, backend: int) -> Iterator[httpx.Client]:
    """A client of the caller's proxy."""
    with clients.http1(shared_mesh.start(east(backend, stats=ABSENT))) as caller:
        yield caller


@pytest.mark.parametrize("sent, answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_inbound_the_answer_carries_what_the_request_did(
    mesh: Mesh, backend: int, sent: list[tuple[str, str]], answer: dict[str, Any]
) -> None:
    with clients.http1(mesh.start(west(backend, stats=ABSENT))) as caller:
        response = caller.get("/", headers=[*sent, ("x-other", "kept")])
    assert _understood(response.headers.multi_items()) == _pairs(answer)
    reached = response.json()
    assert found_in(reached) == []
    assert ["x-other", "kept"] in reached


def test_outbound_the_upstream_is_told_who_we_are_whatever_the_client_claims(outbound: httpx.Client) -> None:
    for claimed in ([], [(METADATA, STOCK_METADATA), (NODE_ID, "spoofed"), (METADATA, "%%%")]):
        response = outbound.get("/", headers=claimed)
        assert _understood(response.json()) == _pairs({METADATA: SHOP_TOLD, NODE_ID: SHOP_ID})
        assert found_in(response.headers.multi_items()) == []


@pytest.mark.parametrize(
    "answer", [headers(STOCK), {METADATA: "", NODE_ID: ""}, {METADATA: "%%%"}], ids=["proper", "empty", "unusable"]
)
def test_outbound_the_client_never_sees_the_upstreams_headers(outbound: httpx.Client, answer: dict[str, str]) -> None:
    response = outbound.get("/", headers={"x-answer-with": json.dumps({**answer, "x-other": "kept"})})
    assert response.status_code == 200
    assert found_in(response.headers.multi_items()) == []
    assert response.headers["x-other"] == "kept"


def test_between_two_proxies_neither_end_sees_the_headers(mesh: Mesh, backend: int) -> None:
    with clients.http1(mesh.start(east(mesh.start(west(backend))))) as caller:
        response = caller.get("/")
    assert found_in(response.json()) == []
    assert found_in(response.headers.multi_items()) == []


def test_only_what_a_peer_needs_is_told(outbound: httpx.Client) -> None:
    """No pod addresses, no platform, no other Kubernetes labels: they would leave with every request."""
    told = dict(found_in(outbound.get("/").json()))
    assert decode(told[METADATA]) == {
        "NAME": "shop-v2-7d9f-x2b4c",
        "NAMESPACE": "retail",
        "WORKLOAD_NAME": "shop-v2",
        "CLUSTER_ID": "east",
        "OWNER": "kubernetes://apis/apps/v1/namespaces/retail/deployments/shop-v2",
        "MESH_ID": "mesh-1",
        "LABELS": {
            "app": "shop-app",
            "version": "2.1",
            "service.istio.io/canonical-name": "shop",
            "service.istio.io/canonical-revision": "rev-2",
        },
    }
    assert told[NODE_ID] == "sidecar~10.1.0.7~shop-v2-7d9f-x2b4c.retail~retail.svc.cluster.local"


def test_with_trust_mtls_a_peer_without_a_certificate_is_neither_heard_nor_answered(mesh: Mesh, backend: int) -> None:
    with clients.http1(mesh.start(west(backend, exchange={"trust": "mtls"}))) as caller:
        response = caller.get("/", headers=headers(SHOP))
    assert found_in(response.json()) == []
    assert found_in(response.headers.multi_items()) == []
    mesh.expect("plain_client.yaml")


@pytest.mark.parametrize(
    "name, metadata, skip_external",
    [
        ("PassthroughCluster", {}, True),
        ("outbound|443||example.org", {"external": True}, True),
        # Istio marks those so that are reached by tunnel.
        ("outbound|80||example.org", {"disable_mx": True}, False),
    ],
    ids=["passthrough", "external", "disable_mx"],
)
def test_who_is_outside_or_excluded_is_told_nothing(
    mesh: Mesh, backend: int, name: str, metadata: Json, skip_external: bool
) -> None:
    outside = usual.upstream_cluster(name, [backend])
    outside["metadata"] = {"filter_metadata": {"istio": metadata}}
    proxy = east(
        backend,
        upstream_clusters=[outside],
        routes=[bootstrap.route("/", name)],
        stats=ABSENT,
        exchange={"skip_external": skip_external},
    )
    with clients.http1(mesh.start(proxy)) as caller:
        assert found_in(caller.get("/", headers={METADATA: SHOP_METADATA}).json()) == []


def test_with_skip_external_the_mesh_is_still_told(mesh: Mesh, backend: int) -> None:
    with clients.http1(mesh.start(east(backend, exchange={"skip_external": True}, stats=ABSENT))) as caller:
        assert _understood(caller.get("/").json()) == _pairs({METADATA: SHOP_TOLD, NODE_ID: SHOP_ID})


def test_one_configuration_serves_listeners_of_both_directions(mesh: Mesh, backend: int) -> None:
    """In one VM, too, each listener goes by its own direction, whichever had the first request."""
    inbound = west(backend, name="inbound", root_id="", stats=ABSENT)
    proxy = mesh.run(east(backend, root_id="", stats=ABSENT, joined=[inbound]))
    with clients.http1(proxy.port("inbound")) as called, clients.http1(proxy.port("east")) as calling:
        for _ in range(2):
            assert _understood(calling.get("/").json()) == _pairs({METADATA: SHOP_TOLD, NODE_ID: SHOP_ID})
            response = called.get("/", headers=headers(STOCK))
            assert found_in(response.json()) == []
            assert _understood(response.headers.multi_items()) == _pairs({METADATA: SHOP_TOLD, NODE_ID: SHOP_ID})


def test_sizes_are_those_of_the_applications_messages(mesh: Mesh, backend: int) -> None:
    def size(name: str, what: str) -> float:
        """Of one message, as exactly as Envoy keeps it."""
        page = mesh[name].admin("/stats/prometheus").text
        (total,) = re.findall(rf"^istio_{what}_bytes_sum{{.*}} (\S+)$", page, re.MULTILINE) or ["0"]
        return float(total)

    sizes = []
    for which, exchange in (("with", {}), ("without", ABSENT)):
        names = f"east-{which}", f"west-{which}"
        port = mesh.start(west(backend, name=names[1], exchange=exchange))
        port = mesh.start(east(port, name=names[0], exchange=exchange))
        with clients.http1(port) as caller:
            assert caller.get("/status/200").status_code == 200
        for name in names:
            mesh.await_total(name, "istio_requests_total", 1)
        messages = [(name, what) for name in names for what in ("request", "response")]
        for one in messages:
            wait_until(partial(size, *one), f"sizes of {one}")
        sizes.append([size(*one) for one in messages])
    # Envoy's histograms keep two digits of a value.
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def _understood(pairs: list[tuple[str, str]]) -> list[tuple[str, Any]]:
    """The peer headers among `pairs`, metadata decoded: how its bytes are ordered is up to the sender."""
    found = found_in(pairs)
    return sorted((name, decode(value) if name.lower() == METADATA else value) for name, value in found)


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(values.items())
