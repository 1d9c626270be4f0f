"""Peer metadata from someone who means harm: requests are served, labels stay clean, headers stop here."""

import base64

import pytest
from harness import bootstrap, clients
from harness.peer_metadata import METADATA, NODE_ID, armour, encode, found_in, serialize
from harness.sidecar import west
from harness.workloads import SHOP

BREAKOUT = ";.;reporter=.=x;.;destination_cluster=.=y"


def _nested(depth):
    value = "bottom"
    for _ in range(depth):
        value = {"x": value}
    return value


def _with_invalid_utf8():
    serialized = serialize({"WORKLOAD_NAME": "bad-QQ-name"})
    assert serialized.count(b"QQ") == 1
    return armour(serialized.replace(b"QQ", b"\xff\xc0"))


def _lying_about_lengths():
    """A field that says it is 2 GiB long."""
    return armour(b"\x0a\xff\xff\xff\xff\x07" + b"x" * 20)


PROPER = encode(SHOP.peer_metadata())
UNUSABLE = {
    "not_base64": "\u00a7$%&/()=?".encode("latin-1"),
    "not_protobuf": armour(b"this is no protobuf"),
    "truncated": armour(serialize(SHOP.peer_metadata())[:-40]),
    "cut_amid_base64": PROPER[:101],
    # A valid struct: what is wrong is only its size.
    "60_kB": encode({**SHOP.peer_metadata(), "PADDING": "x" * 44_000}),
    "60_kB_of_zeroes": "A" * 60_000,
    # 100 is where protobuf's parsers stop, and each level is three messages deep.
    "nested_deep": encode({"WORKLOAD_NAME": _nested(250), "LABELS": {"app": _nested(30)}}),
    "invalid_utf8": _with_invalid_utf8(),
    "lying_about_lengths": _lying_about_lengths(),
    "wrong_types": encode({"WORKLOAD_NAME": 7, "NAMESPACE": ["a"], "CLUSTER_ID": None, "LABELS": "a text"}),
    "empty_struct": encode({"LABELS": {}}),
    "null_bytes": armour(b"\x00" * 500),
}


def test_unusable_metadata_leaves_the_peer_unknown(mesh, backend):
    with clients.http1(mesh.start(west(backend))) as caller:
        for name, metadata in UNUSABLE.items():
            response = caller.get("/", headers={METADATA: metadata, NODE_ID: f"id of {name}"})
            assert response.status_code == 200, name
            assert found_in(response.json()) == [], name
    mesh.expect("unusable_peers.yaml")


@pytest.mark.parametrize("tags", [bootstrap.stats_tags, bootstrap.istio_stats_tags])
def test_values_cannot_write_labels(mesh, backend, tags):
    labels = {
        "app": "app",
        "version": "2",
        "service.istio.io/canonical-name": "canonical",
        "service.istio.io/canonical-revision": "rev",
    }
    hostile = {
        "WORKLOAD_NAME": "shop" + BREAKOUT,
        "NAMESPACE": "retail" + BREAKOUT,
        "CLUSTER_ID": "east" + BREAKOUT,
        "OWNER": BREAKOUT,
        "NAME": BREAKOUT,
        "LABELS": {key: value + BREAKOUT for key, value in labels.items()},
    }
    with clients.http1(mesh.start(west(backend, stats_tags=tags()))) as caller:
        response = caller.get("/", headers={METADATA: encode(hostile), NODE_ID: BREAKOUT})
    assert response.status_code == 200
    mesh.expect("separators.yaml")


def test_a_claimed_id_gives_nobody_the_metadata_of_another(mesh, backend):
    other = {"WORKLOAD_NAME": "other-v1", "NAMESPACE": "retail", "CLUSTER_ID": "south"}
    with clients.http1(mesh.start(west(backend))) as caller:
        for metadata in (SHOP.peer_metadata(), other):
            sent = {METADATA: encode(metadata), NODE_ID: SHOP.node_id}
            assert caller.get("/", headers=sent).status_code == 200
    mesh.expect("same_id.yaml")


def test_thousands_of_distinct_unusable_values_are_one_series(mesh, backend):
    with clients.http1(mesh.start(west(backend))) as caller:
        for number in range(2000):
            metadata = base64.b64encode(b"no protobuf %d" % number).decode()
            assert caller.get("/", headers={METADATA: metadata, NODE_ID: f"id-{number}"}).status_code == 200
    mesh.expect("many_unusable_peers.yaml")
    counted = mesh["west"].families()["istio_stats_peer_decode_errors_total"]
    assert sum(counted.series.values()) == 2000


def test_thousands_of_distinct_peers_are_a_bounded_number_of_series(mesh, backend):
    """Nothing is lost: what has no series of its own is counted in the overflow."""
    bound, requests = 20, 1000
    stats = {"attachment": "http", "max_series": bound}
    port = mesh.start(west(backend, stats=stats))
    with clients.http1(port) as caller:
        for number in range(requests):
            metadata = encode({"WORKLOAD_NAME": f"peer-{number}", "CLUSTER_ID": "east"})
            assert caller.get("/", headers={METADATA: metadata}).status_code == 200
    mesh.await_total("west", "istio_requests_total", requests)
    for name in HTTP_FAMILIES:
        series = mesh["west"].families()[name].series
        workloads = {dict(labels)["source_workload"] for labels in series}
        named = {f"peer-{number}" for number in range(bound)}
        assert workloads == named | {"overflow"}, name
        assert len(series) == bound + 1, name
        assert sum(series.values()) == requests, name


HTTP_FAMILIES = (
    "istio_requests_total",
    "istio_request_duration_milliseconds",
    "istio_request_bytes",
    "istio_response_bytes",
)
