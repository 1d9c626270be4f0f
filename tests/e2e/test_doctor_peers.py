"""`istio-stats doctor` where a Kubernetes cluster is unknown: it says whose fault that is."""

import pytest
import yaml

from lab import bootstrap
from lab.tree import Json, nodes, plugins
from tests.e2e.harness import clients, tcp, tcp_traffic
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.doctor import await_counted, call, diagnose, pasted, serve
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, encode
from tests.e2e.harness.requests import send
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import Sidecar, east, west
from tests.e2e.harness.standalone import REVIEWS, Logger, LoggerPair
from tests.e2e.harness.usual import ABSENT

ANSWER = [bootstrap.direct_response("/", 200)]


def _nameless(whole: Json) -> None:
    del whole["node"]["metadata"]["CLUSTER_ID"]


def _call_through(mesh: Mesh, east_sidecar: Sidecar) -> Envoy:
    return serve(mesh, east_sidecar, peer=None)


def test_the_own_cluster_is_not_in_the_node_metadata(mesh: Mesh) -> None:
    envoy = serve(mesh, Altered(west(1, routes=ANSWER), _nameless))
    finding = diagnose(envoy, "no-cluster-id")["no-cluster-id"]
    assert finding["seen"] == ["metadata_exchange of listener west (HTTP)", "istio_stats of listener west (HTTP)"]
    assert yaml.safe_load(pasted(finding))["node"]["metadata"].keys() == {"CLUSTER_ID"}


def test_the_configuration_can_say_it_instead(mesh: Mesh) -> None:
    local = {"local": {"cluster_id": "north"}}
    envoy = serve(mesh, Altered(west(1, routes=ANSWER, stats=local, exchange=local), _nameless))
    diagnose(envoy)


def test_no_exchange_in_front_of_the_plugin(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(west(backend))
    envoy = _call_through(mesh, east(west_port, exchange=ABSENT, endpoint_metadata=None))
    finding = diagnose(envoy, "no-exchange")["no-exchange"]

    (filter_,) = yaml.safe_load(pasted(finding))
    (ours,) = plugins(east(west_port).bootstrap(), "metadata_exchange")
    (theirs,) = plugins(filter_)
    assert {**theirs["vm_config"], "code": None} == {**ours["vm_config"], "code": None}


def test_endpoint_metadata_is_enough_for_the_source(mesh: Mesh, backend: int) -> None:
    envoy = _call_through(mesh, east(mesh.start(west(backend)), exchange=ABSENT))
    diagnose(envoy)


def test_the_other_side_has_no_exchange(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(west(backend, exchange=ABSENT))
    diagnose(_call_through(mesh, east(west_port, endpoint_metadata=None)), "peer-silent")


def test_callers_without_a_proxy(mesh: Mesh) -> None:
    envoy = serve(mesh, west(1, routes=ANSWER), peer=None)
    finding = diagnose(envoy, "peer-silent")["peer-silent"]
    assert finding["seen"] == ['3 requests with reporter="destination" have source_cluster="unknown", none has another']


def test_the_other_side_does_not_know_its_cluster(mesh: Mesh, backend: int) -> None:
    west_port = mesh.start(Altered(west(backend), _nameless))
    diagnose(_call_through(mesh, east(west_port, endpoint_metadata=None)), "peer-without-cluster-id")


def test_metadata_that_cannot_be_read(mesh: Mesh) -> None:
    port = mesh.start(west(1, routes=ANSWER))
    call(mesh["west"], port, times=1)
    send(port, [{METADATA: "?"}, {METADATA: encode({"NAME": "x" * 9000})}, {METADATA: "?"}])
    mesh.await_total("west", "istio_requests_total", 4)
    finding = diagnose(mesh["west"], "peer-decode-errors")["peer-decode-errors"]
    assert sorted(finding["seen"]) == ["1 × too_large", "2 × base64"]


EXCHANGE_FILTERS = ("envoy.filters.http.header_to_metadata", "envoy.filters.http.header_mutation")


@pytest.mark.parametrize(
    "missing, at_east, at_west",
    [
        ((), set(), set()),
        (EXCHANGE_FILTERS, {"no-exchange"}, {"no-exchange"}),
        (("envoy.filters.http.header_to_metadata",), {"no-exchange"}, {"no-exchange"}),
        # Who does not tell is not told; west learns nothing of a client that does not tell.
        (("envoy.filters.http.header_mutation",), {"no-exchange"}, {"peer-silent"}),
    ],
    ids=["nothing", "exchange", "listening", "telling"],
)
def test_an_exchange_by_stock_filters(
    mesh: Mesh,
    backend: int,
    grpc_backend_port: int,
    doubler: int,
    missing: tuple[str, ...],
    at_east: set[str],
    at_west: set[str],
) -> None:
    def change(whole: Json) -> None:
        _untold_by_endpoints(whole)
        manager = http_manager(whole)
        manager["http_filters"] = [one for one in manager["http_filters"] if _inner(one)["name"] not in missing]

    pair = LoggerPair(mesh, backend, grpc_backend_port, doubler, lambda sidecar: Altered(sidecar, change))
    _call_reviews(pair["east"].port("outbound"))
    for name, codes in (("east", at_east), ("west", at_west)):
        await_counted(mesh[name], 3)
        diagnose(mesh[name], *codes)


def test_an_exchange_by_stock_filters_that_nobody_answers(mesh: Mesh, backend: int) -> None:
    west_port = mesh.run(Logger("west", {18003: backend})).port("inbound")
    east_port = mesh.run(Altered(Logger("east", {18002: backend}), _untold_by_endpoints)).port("outbound")
    for name, port in (("east", east_port), ("west", west_port)):
        _call_reviews(port)
        await_counted(mesh[name], 3)
        diagnose(mesh[name], "peer-silent")


def _call_reviews(port: int) -> None:
    with clients.http1(port) as caller:
        for _ in range(3):
            assert caller.get("/", headers=REVIEWS).status_code == 200


def _untold_by_endpoints(whole: Json) -> None:
    """The endpoints' metadata tell what the exchange is for."""
    for endpoint in nodes(whole["static_resources"]["clusters"]):
        if endpoint.keys() == {"endpoint", "metadata"}:
            del endpoint["metadata"]


def _inner(filter_: Json) -> Json:
    """A filter, without the one that is around it."""
    return filter_["typed_config"].get("extension_config", filter_)


def test_stock_filters_exchange_nothing_over_tcp(
    mesh: Mesh, backend: int, grpc_backend_port: int, doubler: int
) -> None:
    pair = LoggerPair(mesh, backend, grpc_backend_port, doubler)
    tcp_traffic.converse(pair["east"].port("outbound_tcp"))
    for name in ("east", "west"):
        mesh.await_total(name, "istio_tcp_connections_closed_total", 1)
    # There the endpoint's metadata tells the other side.
    diagnose(pair["east"])
    diagnose(pair["west"], hints=["no-tcp-exchange"])


def test_no_exchange_under_another_prefix(mesh: Mesh) -> None:
    stats = {"attachment": "http", "metric_prefix": "mesh_"}
    envoy = serve(mesh, west(1, routes=ANSWER, exchange=ABSENT, stats=stats))
    finding = diagnose(envoy, "no-exchange")["no-exchange"]
    assert finding["seen"][0].startswith("3 requests as mesh_… with reporter=")


@pytest.mark.parametrize(
    "here, there, code",
    [
        ({"exchange": ABSENT}, {}, "no-exchange"),
        ({"opted_in": False}, {}, "tcp-exchange-off"),
        ({}, {"trust": "mtls"}, "peer-silent"),
    ],
    ids=["no_exchange", "not_opted_in", "not_answered"],
)
def test_over_tcp(mesh: Mesh, doubler: int, here: Json, there: Json, code: str) -> None:
    exchange = {"attachment": "tcp", **there}
    tcp_traffic.converse(mesh.start(tcp.east(mesh.start(tcp.west(doubler, exchange=exchange)), **here)))
    mesh.await_total("east", "istio_tcp_connections_closed_total", 1)
    diagnose(mesh["east"], code)


def test_over_tcp_what_it_says_to_paste_cures_it(mesh: Mesh, doubler: int) -> None:
    west_port = mesh.start(tcp.west(doubler))

    def opt_in(whole: Json) -> None:
        lines = pasted(finding)
        (upstream,) = whole["static_resources"]["clusters"]
        upstream["metadata"]["filter_metadata"].update(yaml.safe_load(lines)["metadata"]["filter_metadata"])

    def converse(sidecar: Runnable) -> None:
        tcp_traffic.converse(mesh.start(sidecar))
        mesh.await_total("east", "istio_tcp_connections_closed_total", 1)

    converse(tcp.east(west_port, opted_in=False))
    finding = diagnose(mesh["east"], "tcp-exchange-off")["tcp-exchange-off"]
    converse(Altered(tcp.east(west_port, opted_in=False), opt_in))
    diagnose(mesh["east"])
