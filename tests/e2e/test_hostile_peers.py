"""Peer metadata from someone who means harm: requests are served, labels stay clean, headers stop here."""

import base64
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from lab import bootstrap
from lab.tree import Json
from tests.e2e.harness import clients, forms, unharmed
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, NODE_ID, armour, encode, found_in, headers, serialize
from tests.e2e.harness.requests import send
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.tags import istio_stats_tags
from tests.e2e.harness.workloads import SHOP

pytestmark = forms.BOTH

BREAKOUT = ";.;reporter=.=x;.;destination_cluster=.=y"


def _nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = {"x": value}
    return value


def _with_invalid_utf8() -> str:
    serialized = serialize({"WORKLOAD_NAME": "bad-QQ-name"})
    assert serialized.count(b"QQ") == 1
    return armour(serialized.replace(b"QQ", b"\xff\xc0"))


def _lying_about_lengths() -> str:
    """A field that says it is 2 GiB long."""
    return armour(b"\x0a\xff\xff\xff\xff\x07" + b"x" * 20)


PROPER = encode(SHOP.peer_metadata())
UNUSABLE: dict[str, Any] = {
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
    "wrong_types": encode({"WORKLOAD_NAME": ["a"], "NAMESPACE": ["a"], "CLUSTER_ID": None, "LABELS": "a text"}),
    "empty_struct": encode({"LABELS": {}}),
    "null_bytes": armour(b"\x00" * 500),
}


def test_unusable_metadata_leaves_the_peer_unknown(mesh: Mesh, backend: int) -> None:
    with clients.http1(mesh.start(west(backend))) as caller:
        for name, metadata in UNUSABLE.items():
            response = caller.get("/", headers={METADATA: metadata, NODE_ID: f"id of {name}"})
            assert response.status_code == 200, name
            assert found_in(response.json()) == [], name
    mesh.expect("unusable_peers.yaml")


@pytest.mark.parametrize("tags", [bootstrap.stats_tags, istio_stats_tags])
def test_values_cannot_write_labels(mesh: Mesh, backend: int, tags: Callable[[], list[Json]]) -> None:
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


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of less than 16 kB."""
    length = bytes([len(content) & 0x7F | 0x80, len(content) >> 7])
    return bytes([number << 3 | 2]) + length + content


def _entry(key: str, value: bytes | str) -> bytes:
    """Of a Struct: a text, or a Value as it is."""
    value = _field(3, value.encode()) if isinstance(value, str) else value
    return _field(1, _field(1, key.encode()) + _field(2, value))


FIRST, SECOND = (_entry("WORKLOAD_NAME", name) for name in ("first", "second"))
# Metadata that a library would not write, and the workload that is understood.
ODD = {
    "a_key_twice": ([armour(FIRST + SECOND)], "second"),
    "a_key_hundreds_of_times": ([armour(FIRST * 200 + SECOND)], "second"),
    "two_texts_in_one_value": ([armour(_entry("WORKLOAD_NAME", _field(3, b"a") + _field(3, b"last")))], "last"),
    "labels_twice": ([armour((_entry("LABELS", _field(5, _entry("app", "x"))) * 2) + FIRST)], "first"),
    "labels_in_labels": ([armour(_entry("LABELS", _field(5, _entry("LABELS", _field(5, SECOND)))) + FIRST)], "first"),
    "thousands_of_empty_fields": ([armour(b"\x0a\x00" * 2500 + FIRST)], "first"),
    "unknown_fields": ([armour(b"\xf8\x7f\x01\xf9\x7f" + bytes(8) + b"\xfd\x7f" + bytes(4) + FIRST)], "first"),
    "a_group": ([armour(b"\x0b\x0c" + FIRST)], "unknown"),
    "field_0": ([armour(b"\x02\x00" + FIRST)], "unknown"),
    "a_tag_without_end": ([armour(b"\x8a" + b"\x80" * 20 + FIRST)], "unknown"),
    "a_length_in_ten_bytes": ([armour(b"\x0a" + b"\x80" * 9 + b"\x00" + FIRST)], "first"),
    "a_list_of_keys": ([armour(_entry("WORKLOAD_NAME", _field(6, _field(1, _field(3, b"a")) * 300)))], "unknown"),
    "no_padding": ([armour(FIRST + SECOND + b"\x10\x01").rstrip("=")], "second"),
    "url_alphabet": ([armour(_entry("WORKLOAD_NAME", "???>>>")).replace("+", "-").replace("/", "_")], "unknown"),
    "spaces_within": ([armour(FIRST)[:8] + "  " + armour(FIRST)[8:]], "unknown"),
    "padding_within": ([armour(FIRST) + "=" + armour(SECOND)], "unknown"),
    "commas": ([armour(FIRST) + "," + armour(SECOND)], "unknown"),
    "two_headers": ([armour(FIRST), armour(SECOND)], "first"),
    "two_headers_the_first_unusable": (["%%%", armour(SECOND)], "unknown"),
    "the_plugins_own_marks": (["-", "!too_large"], "unknown"),
    "a_mark_of_istios": (["true"], "unknown"),
}


@pytest.mark.parametrize("version", [clients.http1, clients.http2])
def test_odd_metadata_is_read_in_one_way(mesh: Mesh, backend: int, version: Callable[[int], httpx.Client]) -> None:
    port = mesh.start(west(backend))
    target = unharmed.http(mesh["west"], lambda: send(port, [headers(SHOP)]), "west")
    told: Counter[str] = Counter()
    found: Counter[str] = Counter()
    with unharmed.unharmed(target), version(port) as caller:
        for name, (values, workload) in ODD.items():
            sent = [(METADATA, value) for value in values]
            response = caller.get("/", headers=[*sent, (NODE_ID, SHOP.node_id)])
            assert response.status_code == 200, name
            assert found_in(response.json()) == [], name
            told[workload] += 1
    for labels, value in mesh["west"].families()["istio_requests_total"].series.items():
        found[dict(labels)["source_workload"]] += int(value)
    del found[SHOP.name]
    assert found == told


def test_a_crowd_under_one_id_is_nobody_else(mesh: Mesh, backend: int) -> None:
    """More peers than are remembered; whose id it is finds itself again."""
    bound, requests = 20, 1200
    port = mesh.start(west(backend, stats={"attachment": "http", "max_series": bound}))
    target = unharmed.http(mesh["west"], lambda: send(port, [headers(SHOP)]), "west")
    claims = (encode({**SHOP.peer_metadata(), "WORKLOAD_NAME": f"peer-{number}"}) for number in range(requests))
    with unharmed.unharmed(target, most_label_sets=bound + 1):
        send(port, ({METADATA: claim, NODE_ID: SHOP.node_id} for claim in claims))


def test_a_claimed_id_gives_nobody_the_metadata_of_another(mesh: Mesh, backend: int) -> None:
    other = {"WORKLOAD_NAME": "other-v1", "NAMESPACE": "retail", "CLUSTER_ID": "south"}
    with clients.http1(mesh.start(west(backend))) as caller:
        for metadata in (SHOP.peer_metadata(), other):
            sent = {METADATA: encode(metadata), NODE_ID: SHOP.node_id}
            assert caller.get("/", headers=sent).status_code == 200
    mesh.expect("same_id.yaml")


def test_thousands_of_distinct_unusable_values_are_one_series(mesh: Mesh, backend: int) -> None:
    with clients.http1(mesh.start(west(backend))) as caller:
        for number in range(2000):
            metadata = base64.b64encode(b"no protobuf %d" % number).decode()
            assert caller.get("/", headers={METADATA: metadata, NODE_ID: f"id-{number}"}).status_code == 200
    mesh.expect("many_unusable_peers.yaml")
    counted = mesh["west"].families()["istio_stats_peer_decode_errors_total"]
    assert sum(counted.series.values()) == 2000


def test_thousands_of_distinct_peers_are_a_bounded_number_of_series(mesh: Mesh, backend: int) -> None:
    """Nothing is lost: what has no series of its own is counted in the overflow."""
    bound, requests = 20, 1000
    stats = {"attachment": "http", "max_series": bound}
    port = mesh.start(west(backend, stats=stats))
    with clients.http1(port) as caller:
        for number in range(requests):
            metadata = encode({"WORKLOAD_NAME": f"peer-{number}", "CLUSTER_ID": "east"})
            assert caller.get("/", headers={METADATA: metadata}).status_code == 200
    for name in HTTP_FAMILIES:
        mesh.await_total("west", name, requests)
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
