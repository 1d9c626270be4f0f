"""CEL in a plugin's configuration: dimensions, values and conditions, evaluated by a real Envoy."""

from itertools import product
from typing import Any

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from lab.waiting import await_equal
from tests.e2e.harness import clients, envoy_log, golden, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.customised import Customised, all_changed, times, together, without_build
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.grpc_stream import Stream
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.scrape import Families, Family, LabelSet
from tests.e2e.harness.sidecar import SERVICE, east, west
from tests.e2e.harness.tcp_families import Counts, families
from tests.e2e.harness.workloads import SHOP, STOCK

PERIOD_SECONDS = 1

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
    "empty": ("''", "unknown"),
    "sequence": ("[1, 2]", "unknown"),
    "mapping": ("{'a': 1}", "unknown"),
}


def _configured(**stats: object) -> Json:
    return {"attachment": "http", **stats}


def _dimensions(dimensions: dict[str, str], **more: object) -> Json:
    return {"dimensions": dimensions, **more}


def test_results_of_every_type_are_printed(mesh: Mesh, backend: int) -> None:
    expressions = {label: expression for label, (expression, _) in PRINTED.items()}
    stats = _configured(metrics=[_dimensions(expressions)])
    with clients.http1(mesh.start(Customised(west(backend, stats=stats)))) as caller:
        assert caller.get("/", headers={"x-colour": "blue"}).status_code == 200
    printed = {label: text for label, (_, text) in PRINTED.items()}
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
    "peers_cluster": (
        "upstream_peer.cluster_id",
        [("upstream_peer.cluster_id", "string(istio_stats_upstream_peer_cluster)")],
        "west",
    ),
    "peers_label": (
        "upstream_peer.labels['version'].value",
        [("upstream_peer.labels['version'].value", "string(istio_stats_upstream_peer_version)")],
        "1.4",
    ),
    "composite": (
        "upstream_peer.app + '-x'",
        [("upstream_peer.app", "string(istio_stats_upstream_peer_app)")],
        "stock-app-x",
    ),
    "both": (
        "node.metadata['NAMESPACE'] + '>' + upstream_peer.namespace",
        [("node", "xds.node"), ("upstream_peer.namespace", "string(istio_stats_upstream_peer_namespace)")],
        "retail>warehouse",
    ),
    # The other side's peer: the source knows none.
    "nobody": (
        "downstream_peer.labels['app'].value",
        [("downstream_peer.labels['app'].value", "string(istio_stats_downstream_peer_app)")],
        "unknown",
    ),
    # Neither old nor to be touched.
    "todays": ("xds.cluster_name", [], SERVICE),
    "quoted": ("'node.id'", [], "node.id"),
    "in_the_peer": ("request.headers['node']", [], "unknown"),
}


def test_names_from_before_envoy_1_33_are_rewritten_and_told(mesh: Mesh, backend: int) -> None:
    expressions = {label: expression for label, (expression, _, _) in LEGACY.items()}
    # At the destination the two peers change places.
    mirrored = {"callers": "downstream_peer.labels['app'].value", "callers_id": "downstream_peer.cluster_id + '!'"}
    west_stats = _configured(metrics=[_dimensions(mirrored)])
    west_port = mesh.start(Customised(west(backend, stats=west_stats)))
    sidecar = east(west_port, stats=_configured(metrics=[_dimensions(expressions)]))
    with clients.http1(mesh.start(Customised(sidecar))) as caller:
        assert caller.get("/").status_code == 200
    plain = golden.load("one_request.yaml")
    added = {
        "east": {label: value for label, (_, _, value) in LEGACY.items()},
        "west": {"callers": "shop-app", "callers_id": "east!"},
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
# An attribute, one of the TLS handshake, a constant, and what only a callback of the stream can tell.
OPEN = {
    "backend": "upstream.address",
    "encrypted": "connection.mtls",
    "zone": "'zone-1'",
    "verb": "request.method",
    "joined": "upstream.address + '!'",
}


def test_messages_of_an_open_stream_have_the_labels_that_can_be_told(
    mesh: Mesh, grpc_backend_port: int, shop_identity: Identity, stock_identity: Identity
) -> None:
    stats = _configured(metrics=[_dimensions(OPEN)], tcp_reporting_duration=f"{PERIOD_SECONDS}s")
    tls = bootstrap.downstream_tls(stock_identity)
    answering = west(grpc_backend_port, protocol="http2", stats=stats, tls=tls)
    west_port = mesh.start(Customised(answering))
    tls = bootstrap.upstream_tls(shop_identity, peer_spiffe_id=STOCK.spiffe_id())
    port = mesh.start(Customised(east(west_port, stats=stats, tls=tls)))
    known = {
        "east": {"backend": f"127.0.0.1:{west_port}", "encrypted": "false", "zone": "zone-1"},
        "west": {"backend": f"127.0.0.1:{grpc_backend_port}", "encrypted": "true", "zone": "zone-1"},
    }
    unknown = {"verb": "unknown", "joined": "unknown"}
    with clients.grpc_client(port) as caller:
        stream = Stream(caller)
        stream.exchange(3)
        for name, facts in known.items():
            _expect_messages(mesh[name], [({**facts, **unknown}, 3)])
        stream.exchange(2)
        stream.end()
        for name, facts in known.items():
            at_end = {**facts, "verb": "POST", "joined": facts["backend"] + "!"}
            # What was reported while it was open stays where it was.
            for metric in MESSAGES:
                mesh.await_total(name, metric, 5)
            reported = _messages(mesh[name])
            for metric in MESSAGES:
                assert reported[metric].keys() == {_key({**facts, **unknown}), _key(at_end)}
                assert sum(reported[metric].values()) == 5


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


def test_an_open_tcp_connection_has_the_labels_that_can_be_told(mesh: Mesh, doubler: int) -> None:
    """Conditions and constants are those of its beginning; attributes are read at each report."""
    dimensions = {**OPEN, "counted": "'at the end'"}
    del dimensions["verb"]
    metrics = [
        _dimensions({label: dimensions[label] for label in ("backend", "encrypted", "zone", "joined")}),
        {"match": "connection.mtls == false", "tags_to_remove": ["source_app"]},
        {"name": "tcp_sent_bytes_total", "match": "connection.mtls", "drop": True},
    ]
    stats = {"attachment": "tcp", "tcp_reporting_duration": f"{PERIOD_SECONDS}s", "metrics": metrics}
    port = mesh.start(Customised(tcp.west(doubler, stats=stats)))
    told = {"backend": f"127.0.0.1:{doubler}", "encrypted": "false", "zone": "zone-1", "source_app": None}
    opened, ended = {**told, "joined": "unknown"}, {**told, "joined": f"127.0.0.1:{doubler}!"}
    with traffic.connect(port) as connection:
        for step in (1, 2):
            traffic.exchange_words(connection, b"x" * 1000)
            counts = Counts(opened=1, received=1000 * step, sent=2000 * step)
            mesh.expect_families({"west": _tcp(counts, opened)}, "an open connection")
        traffic.exchange_words(connection, b"last")
    reported = _tcp(Counts(opened=1, received=2000, sent=4000), opened)
    rest = _tcp(Counts(closed=1, received=4, sent=8), ended)
    mesh.expect_families({"west": together(reported, without_build(rest))}, "a closed connection")


def _tcp(counts: Counts, labels: Json) -> Families:
    return all_changed(families("west", {"west_alone": counts}), **labels)
