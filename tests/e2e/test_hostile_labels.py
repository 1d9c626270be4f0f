"""Values chosen byte by byte to write labels of their own: each stays inside its label."""

import pytest

from lab import bootstrap
from tests.e2e.harness import forms, golden
from tests.e2e.harness.customised import Customised, all_changed, times, together, without_build
from tests.e2e.harness.forms import Lacks
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, armour, serialize
from tests.e2e.harness.requests import status_of
from tests.e2e.harness.scrape import Families
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.tags import istio_stats_tags
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH

# What clients send, and what a label makes of it.
TRICKS = [
    (b"a;.;x=.=y", "a_._x=_=y"),
    (b";.;reporter=.=forged;.;", "_._reporter=_=forged_._"),
    (b"a;.;istio_requests_total", "a_._istio_requests_total"),
    (b"=.=", "=_="),
    (b"=.=.=.=", "=_=_=_="),
    (b"wasmcustom.reporter=.=x;.;", "wasmcustom.reporter=_=x_._"),
    (b"x=.", "x=_"),
    (b".=y", ".=y"),
    (b";", "_"),
    (b"a,b=c", "a,b=c"),
    (b".", "_"),
    (b"end.", "end_"),
    (b"end..", "end._"),
    (b"a..b", "a..b"),
    (b'"} 7 \\n{x="y', '"} 7 \\n{x="y'),
    (b"\\", "\\"),
    (b"# TYPE a counter", "# TYPE a counter"),
    (b"cache.forged.", "cache.forged_"),
    (b"_rq_503", "_rq_503"),
    (b"a\tb", "a_b"),
    (b"caf\xc3\xa9", "café"),
    (b"\xff\xfe", "__"),
    (b"a\xc3", "a_"),
    (b"\xc0\xaf", "__"),
    (b"\xed\xa0\x80", "___"),
    (b"a\xc2\x85b", "a_b"),
    (b"a\xc2\x9b2Jb", "a_2Jb"),
    (b"a\xe2\x80\xaeb\xe2\x81\xa6c", "a_b_c"),
    (b"y" * 255 + b".;.;x=.=y", "y" * 255 + "_"),
    (b"=" * 254 + b"=.=" + b"z", "=" * 255 + "_"),
    (b"\xc3\xa9" * 300, "é" * 128),
]
# No proxy lets these into a header, but metadata in base64 can hold them.
CONTROLS = [
    (b"a\x00;.;x=.=y", "a__._x=_=y"),
    (b"a\nreporter=.=x", "a_reporter=_=x"),
    (b"\x1b[2J\x7f", "_[2J_"),
    (b"a\x01b", "a_b"),
]
LARGE = b"x" * 60_000
# Bytes that Envoy takes in the name of a host.
IN_A_HOST = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789._-;=,")
FORMS = {"anchored": False, "istio": True}
ANSWER = [bootstrap.direct_response("/", 200)]
# A counter and a histogram are enough: Envoy needs milliseconds to define each series.
FEWER = [{"name": name, "drop": True} for name in ("request_duration_milliseconds", "request_bytes")]


def _plain(golden_file: str, envoy: str, **labels: str) -> tuple[Families, Families]:
    """The families left, as golden files have them but for these labels, and istio_build apart."""
    kept = dict(golden.load(golden_file)[envoy])
    for entry in FEWER:
        del kept[f"istio_{entry['name']}"]
    return all_changed(without_build(kept), **labels), {"istio_build": kept["istio_build"]}


def _series(base: Families, values: list[dict[str, str]]) -> Families:
    """The base families once for each value, in these labels."""
    return together(*(all_changed(base, **labels) for labels in values))


@pytest.mark.parametrize("istio_form", FORMS.values(), ids=FORMS.keys())
def test_a_header_in_a_dimension(mesh: Mesh, istio_form: bool) -> None:
    stats = {"attachment": "http", "metrics": [*FEWER, {"dimensions": {"forged": "request.headers['x-forged']"}}]}
    sidecar = west(1, stats=stats, routes=ANSWER, exchange=ABSENT)
    port = mesh.start(Customised(sidecar, istio_form))
    for value, _ in [*TRICKS, (LARGE, None)]:
        assert status_of(port, {"x-forged": value}) == 200, value
    for value, _ in CONTROLS:
        assert status_of(port, {"x-forged": value}) == 400, value
    # The proxy answers: there is no upstream cluster that names a service.
    base, build = _plain("plain_client.yaml", "west", destination_service="stock", destination_service_name="stock")
    accepted = _series(base, [{"forged": label} for _, label in [*TRICKS, (LARGE, "x" * 256)]])
    refused = all_changed(base, forged="unknown", response_code="400", response_flags="DPE")
    refused = {name: times(family, len(CONTROLS)) for name, family in refused.items()}
    wanted = together(accepted, refused, build)
    mesh.expect_families({"west": wanted}, "TRICKS in a header")


CHOSEN = {"path": "request.path", "url_path": "request.url_path", "query": "request.query", "method": "request.method"}


def test_a_path_or_a_method_in_a_dimension(mesh: Mesh) -> None:
    stats = {"attachment": "http", "metrics": [*FEWER, {"dimensions": CHOSEN}]}
    port = mesh.start(Customised(west(1, stats=stats, routes=ANSWER, exchange=ABSENT), istio_form=True))
    values = {value: label for value, label in TRICKS if len(value) < 200 and not {*b" \t"} & {*value}}
    taken = {value for value in values if status_of(port, {":path": b"/" + value + b"?" + value}) == 200}
    methods = {value for value in values if status_of(port, {":method": value}) == 200}
    # Envoy refuses what is no text, and a method that is none.
    assert taken == {value for value in values if value.isascii() and b'"' not in value}
    assert not methods
    mesh.await_total("west", "istio_requests_total", 2 * len(values))
    told = [dict(labels) for labels in mesh["west"].families()["istio_requests_total"].series]
    paths = {(one["url_path"], one["query"]) for one in told}
    # Of those that Envoy refuses: it has no path for them, or an empty one. (Natively a query is at least empty.)
    of_refused = paths & {("unknown", "unknown"), ("unknown", ""), ("", "")}
    assert len(of_refused) == 1
    assert paths - of_refused == {("/" + values[value], values[value]) for value in taken}
    base, _ = _plain("plain_client.yaml", "west")
    ((labels, _),) = base["istio_requests_total"].series.items()
    assert {frozenset(one) for one in told} == {frozenset({*dict(labels), *CHOSEN})}
    assert {one["reporter"] for one in told} == {"destination"}


@pytest.mark.parametrize("istio_form", FORMS.values(), ids=FORMS.keys())
def test_the_host_outbound(mesh: Mesh, istio_form: bool) -> None:
    sidecar = east(1, stats={"attachment": "http", "metrics": FEWER}, services=(), routes=ANSWER, exchange=ABSENT)
    port = mesh.start(Customised(sidecar, istio_form=istio_form))
    values = [*TRICKS, (LARGE, "x" * 256)]
    passing = [(value, label) for value, label in values if IN_A_HOST.issuperset(value)]
    refused = [value for value, _ in [*values, *CONTROLS] if not IN_A_HOST.issuperset(value)]
    for value, _ in passing:
        assert status_of(port, {"host": value}) == 200, value
    for value in refused:
        assert status_of(port, {"host": value}) == 400, value
    base, build = _plain("direct_response.yaml", "east", response_code="200")

    def named(host: str) -> dict[str, str]:
        return {"destination_service": host, "destination_service_name": host}

    accepted = _series(base, [named(label) for _, label in passing])
    rest = all_changed(base, **named("unknown"), response_code="400", response_flags="DPE")
    rest = {name: times(family, len(refused)) for name, family in rest.items()}
    wanted = together(accepted, rest, build)
    mesh.expect_families({"east": wanted}, "TRICKS in the host")


@pytest.mark.parametrize("istio_form", FORMS.values(), ids=FORMS.keys())
def test_what_a_peer_says_of_itself(mesh: Mesh, istio_form: bool) -> None:
    sidecar = west(1, stats={"attachment": "http", "metrics": FEWER}, routes=ANSWER)
    port = mesh.start(Customised(sidecar, istio_form=istio_form))
    values = [*TRICKS, *CONTROLS]
    for value, _ in values:
        assert status_of(port, {METADATA: _claim(value)}) == 200, value
    base, build = _plain("plain_client.yaml", "west", destination_service="stock", destination_service_name="stock")
    claims = [_claimed(value, label) for value, label in values]
    wanted = together(_series(base, claims), build)
    mesh.expect_families({"west": wanted}, "TRICKS in peer metadata")


def _claimed(value: bytes, label: str) -> dict[str, str]:
    """The labels of such a peer. A text that is no UTF-8 is no protobuf text."""
    told = label if _is_text(value) else "unknown"
    # The canonical service is named after the workload, for want of a better name.
    names = ("source_workload", "source_cluster", "source_app", "source_canonical_service")
    return dict.fromkeys(names, told)


def _is_text(value: bytes) -> bool:
    try:
        return bool(value.decode())
    except UnicodeDecodeError:
        return False


def _claim(value: bytes) -> str:
    """Metadata with these bytes as its texts, which a proper library would refuse to write."""
    place = "Q" * len(value)
    metadata = serialize({"WORKLOAD_NAME": place, "CLUSTER_ID": place, "LABELS": {"app": place}})
    assert metadata.count(place.encode()) == 3
    return armour(metadata.replace(place.encode(), value))


@forms.wasm_only(Lacks.STATS_TAGS)
def test_leftovers_of_istios_bootstrap_add_nothing_but_themselves(mesh: Mesh) -> None:
    """Istio's own bootstrap looks for `cache.…`, `component.…` and `tag.…` anywhere in a name. What they find
    in a value they show as a further label; no label of ours and no name of a metric suffers."""
    leftovers = {"cache": r"(cache\.(.+?)\.)", "component": r"(component\.(.+?)\.)", "tag": r"(tag\.(.+?);\.)"}
    ours = [tag for tag in istio_stats_tags() if tag["tag_name"] not in leftovers]
    tags = [*ours, *({"tag_name": name, "regex": regex} for name, regex in leftovers.items())]
    # The hosts, and what the leftovers find in them.
    hosts = {
        "redis-cache.prod.svc": {"cache": "prod"},
        "component.a.b": {"component": "a"},
        "tag.1": {"tag": "1"},
        "cache.a.component.b.tag.c": {"cache": "a", "component": "b", "tag": "c"},
    }
    port = mesh.start(east(1, services=(), routes=ANSWER, exchange=ABSENT, stats_tags=tags))
    for host in hosts:
        assert status_of(port, {"host": host}) == 200
    plain = golden.load("direct_response.yaml")["east"]
    base = all_changed(without_build(plain), response_code="200")
    named = [{"destination_service": host, "destination_service_name": host, **found} for host, found in hosts.items()]
    wanted = together(_series(base, named), {"istio_build": plain["istio_build"]})
    mesh.expect_families({"east": wanted}, "names with leftovers")
