"""CEL in a plugin's configuration: dimensions, values and conditions, evaluated by a real Envoy."""

from itertools import product
from typing import Any

import pytest

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from lab.waiting import await_equal
from tests.e2e.harness import clients, envoy_log, forms, golden, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.customised import Customised, all_changed, times, together, without_build
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.grpc_stream import Stream
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.scrape import Families, Family, LabelSet
from tests.e2e.harness.sidecar import SERVICE, east, west
from tests.e2e.harness.tcp_families import Counts, families, label_sets
from tests.e2e.harness.workloads import SHOP, STOCK, Workload

pytestmark = forms.BOTH

PERIOD_SECONDS = 1

FORMS = pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])

# What an expression makes of a request that is answered with 200, by label.
PRINTED = {
    "text": ("request.headers['x-colour']", "blue"),
    "text_of_utf8": ("'zürich-東京'", "zürich-東京"),
    "integer": ("response.code", "200"),
    "negative": ("-7", "-7"),
    "unsigned": ("7u", "7"),
    "double": ("1.5", "1.5"),
    "truth": ("response.code == 200", "true"),
    "falsehood": ("connection.mtls", "false"),
    "duration": ("duration('90s')", "90s"),
    "timestamp": ("timestamp('2026-01-02T03:04:05Z')", "2026-01-02T03:04:05Z"),
    "raw_bytes": ("b'abc'", "abc"),
    "conditional": ("response.code > 299 ? 'bad' : 'good'", "good"),
    "commented": ("'kept' // the rest is a comment", "kept"),
    "spaced": (" ( 'a' +\n 'b' ) ", "ab"),
    # What has no value, and what no label can hold.
    "absent_header": ("request.headers['x-none']", "unknown"),
    "absent_attribute": ("request.referer", "unknown"),
    "no_such_attribute": ("no_such_thing", "unknown"),
    "no_such_field": ("request.no_such_field", "unknown"),
    "failure": ("1 / 0", "unknown"),
    "mistyped": ("'a' + 1", "unknown"),
    "nothing": ("null", "unknown"),
    "empty": ("''", ""),
    "sequence": ("[1, 2]", "unknown"),
    "mapping": ("{'a': 1}", "unknown"),
}
# What the native form refuses.
TIMES = ("duration", "timestamp")


def _configured(**stats: object) -> Json:
    return {"attachment": "http", **stats}


def _dimensions(dimensions: dict[str, str], **more: object) -> Json:
    return {"dimensions": dimensions, **more}


def test_results_of_every_type_are_printed(mesh: Mesh, backend: int) -> None:
    cases = {label: case for label, case in PRINTED.items() if not (forms.is_native() and label in TIMES)}
    expressions = {label: expression for label, (expression, _) in cases.items()}
    stats = _configured(metrics=[_dimensions(expressions)])
    with clients.http1(mesh.start(Customised(west(backend, stats=stats)))) as caller:
        assert caller.get("/", headers={"x-colour": "blue"}).status_code == 200
    printed = {label: text for label, (_, text) in cases.items()}
    plain = golden.load("plain_client.yaml")["west"]
    mesh.expect_families({"west": all_changed(plain, **printed)}, "plain_client.yaml with PRINTED")


def test_values_of_definitions(mesh: Mesh, backend: int) -> None:
    """A counter without a value is left alone; a gauge or histogram of it is zero."""
    definitions = {
        "whole_total": ("7", "COUNTER"),
        "unsigned_total": ("7u", "COUNTER"),
        "cut_total": ("7.9", "COUNTER"),
        "of_text_total": ("request.headers['x-cost']", "COUNTER"),
        "zero_total": ("0", "COUNTER"),
        "negative_total": ("-7", "COUNTER"),
        "absent_total": ("request.headers['x-none']", "COUNTER"),
        "no_number_total": ("'much'", "COUNTER"),
        "failing_total": ("1 / 0", "COUNTER"),
        "level": ("response.code", "GAUGE"),
        "absent_level": ("request.headers['x-none']", "GAUGE"),
        "sizes": ("request.total_size", "HISTOGRAM"),
        "absent_sizes": ("request.headers['x-none']", "HISTOGRAM"),
    }
    entries = [{"name": name, "value": value, "type": kind} for name, (value, kind) in definitions.items()]
    stats = _configured(definitions=entries, metrics=[{"name": name, "drop": True} for name in HTTP_METRICS])
    with clients.http1(mesh.start(west(backend, stats=stats))) as caller:
        for cost in ("2", "3"):
            assert caller.get("/", headers={"x-cost": cost}).status_code == 200
    values = {
        "istio_whole_total": 14,
        "istio_unsigned_total": 14,
        "istio_cut_total": 14,
        "istio_of_text_total": 5,
        "istio_level": 200,
        "istio_absent_level": 0,
        "istio_sizes": 2,
        "istio_absent_sizes": 2,
    }
    if forms.is_native():
        # Envoy makes a metric without labels when it is defined.
        counters = (f"istio_{name}" for name, (_, kind) in definitions.items() if kind == "COUNTER")
        values = dict.fromkeys(counters, 0) | values
    wanted = {"istio_build": golden.load("plain_client.yaml")["west"]["istio_build"]}
    for name, value in values.items():
        _, kind = definitions[name.removeprefix("istio_")]
        wanted[name] = Family(name, kind.lower(), {(): value})
    mesh.expect_families({"west": wanted}, "the definitions")


HTTP_METRICS = ("requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes")


# Expressions as they were published for Istio, what replaces the old names, and the value at the source.
LEGACY = {
    "own_cluster": ("node.metadata['CLUSTER_ID']", [("node", "xds.node")], "east"),
    "own_id": ("'id: ' + node.id", [("node", "xds.node")], "id: " + SHOP.node_id),
    "own_app": ("node.metadata.LABELS['app']", [("node", "xds.node")], "shop-app"),
    "upstream": ("cluster_name", [("cluster_name", "xds.cluster_name")], SERVICE),
    "route": ("route_name", [("route_name", "xds.route_name")], "default"),
    "direction": ("listener_direction", [("listener_direction", "xds.listener_direction")], "2"),
    "service": (
        "cluster_metadata.filter_metadata.istio.services[0].name",
        [("cluster_metadata", "xds.cluster_metadata")],
        "stock-api",
    ),
    "endpoint": (
        "upstream_host_metadata.filter_metadata.istio.workload",
        [("upstream_host_metadata", "xds.upstream_host_metadata")],
        # What ends a label in a stat name cannot stay.
        STOCK.endpoint_metadata().replace(";", "_"),
    ),
    # Peers are this plugin's to know, by the names that they have had.
    "peers_cluster": ("upstream_peer.cluster_id", [], "west"),
    "peers_label": ("upstream_peer.labels['version'].value", [], "1.4"),
    "todays_peer": ("filter_state.upstream_peer.cluster", [], "west"),
    "todays_label": ("filter_state.upstream_peer.labels['version']", [], "1.4"),
    "prefixed": ("filter_state['wasm.upstream_peer'].namespace", [], "warehouse"),
    "composite": ("upstream_peer.workload + '.' + upstream_peer.namespace", [], "stock-v1.warehouse"),
    "composed_with_a_stream": ("upstream_peer.app + ':' + string(response.code)", [], "stock-app:200"),
    "both": ("node.metadata['NAMESPACE'] + '>' + upstream_peer.namespace", [("node", "xds.node")], "retail>warehouse"),
    "is_there": ("has(upstream_peer.app) && 'version' in filter_state.upstream_peer.labels", [], "true"),
    "is_not_there": ("has(upstream_peer.labels['role'].value) ? 'a' : 'b'", [], "b"),
    "guarded": ("has(filter_state.upstream_peer) ? filter_state.upstream_peer.workload : '-'", [], "stock-v1"),
    # The other side's peer: the source knows none.
    "nobody": ("downstream_peer.labels['app'].value", [], "unknown"),
    "guarded_nobody": ("has(filter_state.downstream_peer) ? 'a' : 'b'", [], "b"),
    # Neither old nor to be touched.
    "todays": ("xds.cluster_name", [], SERVICE),
    "quoted": ("'node.id'", [], "node.id"),
    "in_the_peer": ("request.headers['node']", [], "unknown"),
}


@FORMS
def test_old_and_new_names_are_understood_and_changes_told(mesh: Mesh, backend: int, logger: bool) -> None:
    expressions = {label: expression for label, (expression, _, _) in LEGACY.items()}
    # At the destination the two peers change places.
    mirrored = {"callers": "downstream_peer.labels['app'].value", "callers_id": "downstream_peer.cluster_id + '!'"}
    metrics = [
        _dimensions(mirrored),
        _dimensions({"matched": "'yes'"}, match="downstream_peer.namespace.startsWith('re')"),
        _dimensions({"unmatched": "'yes'"}, match="downstream_peer.namespace == 'other'"),
    ]
    west_stats = _configured(metrics=metrics)
    west_port = mesh.start(Customised(west(backend, stats=west_stats, logger=logger)))
    sidecar = east(west_port, stats=_configured(metrics=[_dimensions(expressions)]), logger=logger)
    with clients.http1(mesh.start(Customised(sidecar))) as caller:
        assert caller.get("/").status_code == 200
    plain = golden.load("one_request.yaml")
    added = {
        "east": {label: value for label, (_, _, value) in LEGACY.items()},
        "west": {"callers": "shop-app", "callers_id": "east!", "matched": "yes"},
    }
    wanted = {envoy: all_changed(plain[envoy], **labels) for envoy, labels in added.items()}
    mesh.expect_families(wanted, "one_request.yaml with LEGACY")
    told = [entry for entry in envoy_log.entries(mesh["east"].log()) if " reads " in entry.message]
    for expression, changes, _ in LEGACY.values():
        quoted = '"' + expression + '"'
        lines = [str(entry) for entry in told if quoted in entry.message]
        assert len(lines) == len(changes), f"{expression}: {lines}"
        for line, (old, new) in zip(lines, changes, strict=True):
            assert f"{quoted}: {old} reads {new} " in line
            assert "[info]" in line


# Two conditions on headers that are not always there, and what each entry does where it applies.
CONDITIONAL = [
    _dimensions({"first": "'set by the first'", "shared": "'first'"}, match="request.headers['x-a'] == 'yes'"),
    _dimensions({"shared": "'second'"}, match="request.headers['x-b'] == 'yes'", tags_to_remove=["source_app"]),
    {"name": "request_bytes", "match": "request.headers['x-b'] == 'yes'", "drop": True},
    {"name": "response_bytes", "match": "request.headers['x-a']", "drop": True},
]


def _where(a: str | None, b: str | None) -> Json:
    """The labels that the entries change, by the headers of the request."""
    labels: Json = {}
    if a == "yes":
        labels |= {"first": "set by the first", "shared": "first"}
    if b == "yes":
        labels |= {"shared": "second", "source_app": None}
    return labels


def test_an_entry_applies_only_where_its_condition_is_true(mesh: Mesh, backend: int) -> None:
    """A condition that is false, cannot be evaluated or is no truth value changes nothing."""
    stats = _configured(metrics=CONDITIONAL)
    cases = list(product(("yes", "no", None), repeat=2))
    with clients.http1(mesh.start(Customised(west(backend, stats=stats)))) as caller:
        for count, (a, b) in enumerate(cases, start=1):
            sent = {name: value for name, value in (("x-a", a), ("x-b", b)) if value is not None}
            for _ in range(count):
                assert caller.get("/", headers=sent).status_code == 200
    plain = golden.load("plain_client.yaml")["west"]
    parts = [{"istio_build": plain["istio_build"]}]
    for count, (a, b) in enumerate(cases, start=1):
        part = without_build(all_changed(plain, **_where(a, b)))
        if b == "yes":
            del part["istio_request_bytes"]
        parts.append({name: times(family, count) for name, family in part.items()})
    wanted = together(*parts)
    # Each of the four combinations has a series; where it is dropped, two are left.
    counts = {name: len(family.series) for name, family in wanted.items()}
    assert counts == {**dict.fromkeys(plain, 4), "istio_build": 1, "istio_request_bytes": 2}
    mesh.expect_families({"west": wanted}, "plain_client.yaml by conditions")


MESSAGES = ("istio_request_messages_total", "istio_response_messages_total")
# Attributes, one of the TLS handshake, a constant, several in one, and what only the end of a stream can tell.
OPEN = {
    "backend": "upstream.address",
    "encrypted": "connection.mtls",
    "zone": "'zone-1'",
    "verb": "request.method",
    "joined": "upstream.address + '!'",
    "port": "string(upstream.port)",
    "sum": "string(upstream.port + 1) + (has(upstream.nothing) ? 'a' : 'b')",
    "service": "xds.cluster_metadata.filter_metadata.istio.services[0].name + '.' + node.metadata['CLUSTER_ID']",
    "peer": "has(upstream_peer.workload) ? upstream_peer.workload + '.' + upstream_peer.namespace"
    " : downstream_peer.workload + '.' + downstream_peer.namespace",
}
PEERS = {"east": "stock-v1.warehouse", "west": "shop-v2.retail"}


def _of_port(port: int) -> dict[str, str]:
    """Labels of OPEN that tell of the upstream host."""
    address = f"127.0.0.1:{port}"
    return {"backend": address, "joined": address + "!", "port": str(port), "sum": f"{port + 1}b"}


def test_messages_of_a_stream_have_one_label_set(
    mesh: Mesh, grpc_backend_port: int, shop_identity: Identity, stock_identity: Identity
) -> None:
    stats = _configured(metrics=[_dimensions(OPEN)], tcp_reporting_duration=f"{PERIOD_SECONDS}s")
    tls = bootstrap.downstream_tls(stock_identity)
    answering = west(grpc_backend_port, protocol="http2", stats=stats, tls=tls)
    west_port = mesh.start(Customised(answering))
    tls = bootstrap.upstream_tls(shop_identity, peer_spiffe_id=STOCK.spiffe_id())
    port = mesh.start(Customised(east(west_port, stats=stats, tls=tls)))
    ports = {"east": west_port, "west": grpc_backend_port}
    encrypted = {"east": "false", "west": "true"}
    known = {
        name: {
            **_of_port(ports[name]),
            "encrypted": encrypted[name],
            "zone": "zone-1",
            "service": f"stock-api.{name}",
            "peer": PEERS[name],
            # Wasm cannot read the headers while the stream is open, and later it would be another series.
            "verb": "POST" if forms.is_native() else "unknown",
        }
        for name in ports
    }
    with clients.grpc_client(port) as caller:
        stream = Stream(caller)
        for sent, count in ((3, 3), (2, 5)):
            stream.exchange(sent)
            for name, labels in known.items():
                _expect_messages(mesh[name], [(labels, count)])
        stream.exchange(1)
        stream.end()
        for name, labels in known.items():
            _expect_messages(mesh[name], [(labels, 6)])
            mesh.await_total(name, "istio_requests_total", 1)
            [requests] = mesh[name].families()["istio_requests_total"].series
            assert dict(requests)["verb"] == "POST"


def _expect_messages(envoy: Envoy, series: list[tuple[dict[str, str], int]]) -> None:
    wanted = {name: {_key(labels): count for labels, count in series} for name in MESSAGES}
    await_equal(lambda: _messages(envoy), wanted, f"{envoy.name}: messages")


def _messages(envoy: Envoy) -> dict[str, dict[Any, float]]:
    """Series of the message metrics, by the labels of OPEN alone."""
    exported = envoy.families()

    def told(series: dict[LabelSet, float]) -> dict[Any, float]:
        return {_key({label: dict(labels)[label] for label in OPEN}): count for labels, count in series.items()}

    return {name: told(exported[name].series) for name in MESSAGES if name in exported}


def _key(labels: dict[str, str]) -> LabelSet:
    return tuple(sorted(labels.items()))


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "short"])
def test_a_tcp_connection_has_one_label_set(mesh: Mesh, doubler: int, is_open: bool) -> None:
    """Reported while it is open, and of one that is closed before the first report."""
    labels = {label: OPEN[label] for label in OPEN if label != "verb"}
    metrics = [
        _dimensions(labels),
        {"match": "connection.mtls == false && upstream.port > 0", "tags_to_remove": ["source_app"]},
        {"match": "downstream_peer.namespace == 'retail'", "tags_to_remove": ["source_version"]},
        {"name": "tcp_sent_bytes_total", "match": "connection.mtls", "drop": True},
    ]
    period = f"{PERIOD_SECONDS}s" if is_open else "0s"
    stats = {"attachment": "tcp", "tcp_reporting_duration": period, "metrics": metrics}
    west_port = mesh.start(Customised(tcp.west(doubler, stats=stats)))
    port = mesh.start(tcp.east(west_port))
    told = {
        **_of_port(doubler),
        "encrypted": "false",
        "zone": "zone-1",
        "service": f"{label_sets()['west']['destination_service_name']}.west",
        "peer": PEERS["west"],
        "source_app": None,
        "source_version": None,
    }
    with traffic.connect(port) as connection:
        for step in (1, 2):
            traffic.exchange_words(connection, b"x" * 1000)
            if is_open:
                counts = Counts(opened=1, received=1000 * step, sent=2000 * step)
                mesh.expect_families({"west": _tcp(counts, told)}, "an open connection")
        traffic.exchange_words(connection, b"last")
    counts = Counts(opened=1, closed=1, received=2004, sent=4008)
    mesh.expect_families({"west": _tcp(counts, told)}, "a closed connection")


def _tcp(counts: Counts, labels: Json) -> Families:
    return all_changed(families("west", {"west": counts}), **labels)


# What the metadata exchange tells beyond the labels of the metrics, by names of then and now.
FURTHER = {
    "hash_then": "SIDE_peer.labels['pod-template-hash'].value",
    "hash_now": "'#' + filter_state.SIDE_peer.labels['pod-template-hash']",
    "has_hash": "has(SIDE_peer.labels.other) ? 'other' : 'pod-template-hash' in SIDE_peer.labels ? 'hash' : '-'",
    "pod": "SIDE_peer.name",
    "mesh": "filter_state.SIDE_peer.mesh + '/' + SIDE_peer.mesh_id",
    "place": "SIDE_peer.region + '/' + filter_state.SIDE_peer.availability_zone",
}
TELLING = {"additional_labels": ["pod-template-hash", "absent"]}
PLACE = {"region": "eu", "zone": "eu-1"}
SIDES = {"east": ("upstream", STOCK), "west": ("downstream", SHOP)}


def _asking(side: str, **stats: Any) -> Json:
    expressions = {label: text.replace("SIDE", side) for label, text in FURTHER.items()}
    return {**stats, "metrics": [_dimensions(expressions)]}


def _further(peer: Workload) -> dict[str, str]:
    hashed = peer.labels["pod-template-hash"]
    told = {"hash_then": hashed, "hash_now": "#" + hashed, "has_hash": "hash"}
    return {**told, "pod": peer.pod, "mesh": "mesh-1/mesh-1", "place": "eu/eu-1"}


def _expect_further(mesh: Mesh, family: str) -> None:
    for name, (_, peer) in SIDES.items():
        mesh.await_total(name, family, 1)
        [labels] = mesh[name].families()[family].series
        assert {label: dict(labels)[label] for label in FURTHER} == _further(peer)


@FORMS
def test_additional_labels_and_all_facts_of_a_peer_over_http(mesh: Mesh, backend: int, logger: bool) -> None:
    def changes(envoy: str, workload: Workload) -> Json:
        stats = _asking(SIDES[envoy][0], attachment="http")
        node = {**workload.node(), "locality": PLACE}
        return {"stats": stats, "exchange": TELLING, "logger": logger, "node": node}

    west_port = mesh.start(Customised(west(backend, **changes("west", STOCK))))
    with clients.http1(mesh.start(Customised(east(west_port, **changes("east", SHOP))))) as caller:
        assert caller.get("/").status_code == 200
    _expect_further(mesh, "istio_requests_total")


@FORMS
def test_additional_labels_and_all_facts_of_a_peer_over_tcp(mesh: Mesh, doubler: int, logger: bool) -> None:
    def changes(envoy: str) -> Json:
        stats = _asking(SIDES[envoy][0], attachment="tcp", tcp_reporting_duration=f"{PERIOD_SECONDS}s")
        return {"stats": stats, "exchange": {**TELLING, "attachment": "tcp"}, "logger": logger}

    west_port = mesh.start(Customised(tcp.west(doubler, workload=Placed(**vars(STOCK)), **changes("west"))))
    port = mesh.start(Customised(tcp.east(west_port, workload=Placed(**vars(SHOP)), **changes("east"))))
    with traffic.connect(port) as connection:
        traffic.exchange_words(connection, b"x" * 100)
    _expect_further(mesh, "istio_tcp_connections_opened_total")


class Placed(Workload):
    """A workload whose node says where it is."""

    def node(self) -> Json:
        return {**super().node(), "locality": PLACE}
