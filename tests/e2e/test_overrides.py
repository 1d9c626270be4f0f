"""`definitions` and `metrics` of a configuration in real Envoys: exactly the families that Istio's rules predict."""

import re
from typing import Any

import pytest

from lab.tree import Json
from tests.e2e.harness import clients, forms, golden, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.customised import Customised, all_changed, changed, without_build
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.grpc_stream import Stream
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.scrape import Families, Family, label_set
from tests.e2e.harness.sidecar import Sidecar, east, west
from tests.e2e.harness.tcp import TcpSidecar
from tests.e2e.harness.tcp_families import Counts, families

pytestmark = forms.BOTH

# Everything that Istio's own end-to-end tests and its documentation do to metrics, for any protocol.
CUSTOMISED: Json = {
    # Accepted for the sake of old configurations, without effect.
    "debug": "false",
    "max_peer_cache_size": 20,
    "field_separator": ";.;",
    "tcp_reporting_duration": "1s",
    "definitions": [
        {"name": "requests_total", "value": "10", "type": "COUNTER"},
        {"name": "custom_total", "value": "1", "type": "COUNTER"},
        {"name": "custom_level", "value": "3", "type": "GAUGE"},
        {"name": "custom_sizes", "value": "2", "type": "HISTOGRAM"},
        {"name": "unparsable_total", "value": "cannot _ parse | 1", "type": "COUNTER"},
    ],
    "metrics": [
        {"name": "custom_total", "dimensions": {"reporter": "'proxy'"}},
        {"tags_to_remove": ["response_flags", "source_principal", "source_app", "no_such_label"]},
        {
            "name": "requests_total",
            "dimensions": {
                "configurable_metric_a": "'gateway'",
                "source_workload": "'_' + node.metadata['WORKLOAD_NAME']",
                "source_workload_namespace": "'_' + node.metadata['NAMESPACE']",
                "source_version": "'_' + node.metadata['LABELS']['service.istio.io/canonical-name']",
                "source_canonical_service": "'_' + node.metadata['LABELS']['service.istio.io/canonical-name']",
                "request_protocol": "request.protocol",
                "destination_version": "'_' + (has(node.metadata.LABELS.version) ? node.metadata.LABELS.version : '')",
                "destination_service_namespace": "'_' + upstream_peer.labels['version'].value",
                "destination_app": "cannot _ parse | 1",
                "unparsable": "cannot _ parse | 2",
                "destination_workload": "cannot_evaluate",
                "route_name": "route_name",
            },
            "tags_to_remove": ["grpc_response_status", "source_workload"],
        },
        {"name": "request_bytes", "dimensions": {"configurable_metric_b": "'test'"}, "tags_to_remove": ["reporter"]},
        {"name": "response_bytes", "drop": True},
        # What was dropped stays so.
        {"name": "response_bytes", "dimensions": {"configurable_metric_b": "'again'"}},
        # A label that was removed comes back; metrics that never had it get it.
        {"dimensions": {"source_principal": "'malicious'"}},
        {"name": "request_duration_milliseconds", "dimensions": {"configurable_metric_a": "'first'"}},
        {"name": "request_duration_milliseconds", "tags_to_remove": ["configurable_metric_a"]},
        {"name": "request_duration_milliseconds", "dimensions": {"configurable_metric_a": "'second'"}},
    ],
}
COMMON = {"response_flags": None, "source_app": None, "source_principal": "malicious"}
# At the destination: what its own node says of the "source", and no upstream peer.
ON_REQUESTS = {
    "east": {
        "source_workload": "_shop-v2",
        "source_workload_namespace": "_retail",
        "source_version": "_shop",
        "source_canonical_service": "_shop",
        "destination_version": "_2.1",
        "destination_service_namespace": "_1.4",
    },
    "west": {
        "source_workload": "_stock-v1",
        "source_workload_namespace": "_warehouse",
        "source_version": "_stock",
        "source_canonical_service": "_stock",
        "destination_version": "_1.4-short",
        "destination_service_namespace": "unknown",
    },
}


def _predicted(golden_file: str, protocol: str) -> dict[str, Families]:
    """What the configuration makes of an HTTP or gRPC golden file."""
    return {name: _predicted_of(name, plain, protocol) for name, plain in golden.load(golden_file).items()}


def _predicted_of(envoy: str, plain: Families, protocol: str) -> Families:
    predicted = {name: changed(family, **COMMON) for name, family in without_build(plain).items()}
    predicted["istio_requests_total"] = changed(
        predicted["istio_requests_total"],
        **ON_REQUESTS[envoy],
        configurable_metric_a="gateway",
        destination_app=None,
        destination_workload="unknown",
        grpc_response_status=None,
        request_protocol=protocol,
        route_name="default",
    )
    predicted["istio_request_bytes"] = changed(
        predicted["istio_request_bytes"], configurable_metric_b="test", reporter=None
    )
    duration = "istio_request_duration_milliseconds"
    predicted[duration] = changed(predicted[duration], configurable_metric_a="second")
    del predicted["istio_response_bytes"]
    (requests,) = plain["istio_requests_total"].series.values()
    return {**predicted, "istio_build": plain["istio_build"], **_defined(requests)}


def _defined(times: float) -> Families:
    """The metrics that the configuration defines; they have only the labels that it gives them."""
    own = label_set({"source_principal": "malicious"})
    return {
        "istio_custom_total": Family(
            "istio_custom_total",
            "counter",
            {label_set({"reporter": "proxy", "source_principal": "malicious"}): times},
        ),
        "istio_custom_level": Family("istio_custom_level", "gauge", {own: 3}),
        "istio_custom_sizes": Family("istio_custom_sizes", "histogram", {own: times}),
    }


def _camel_case(value: Any) -> Any:
    """The same configuration with its keys as protobuf's JSON has them."""
    if isinstance(value, list):
        return [_camel_case(one) for one in value]
    if not isinstance(value, dict):
        return value
    camel = {key: re.sub(r"_(\w)", lambda found: found[1].upper(), key) for key in value}
    kept = {key: (one if key == "dimensions" else _camel_case(one)) for key, one in value.items()}
    return {camel[key]: one for key, one in kept.items()}


def _permitted() -> str:
    """The definition that is standard, and three expressions that Envoy does not understand."""
    return (
        r"definitions\[0\]\.name: \"requests_total\" is a standard metric and cannot be redefined"
        r"|(metrics: dimension|definitions: value): \"cannot _ parse \| [12]\": the host does not understand"
        # Envoy's own words about them.
        r"|expr_create error"
    )


# How the caller's and the called proxy are told their configuration.
JSON: dict[str, bool] = {}
CAMEL_CASE, STRUCT = {"camel_case": True}, {"as_struct": True}


def _customised(
    sidecar: Sidecar | TcpSidecar, attachment: str, camel_case: bool = False, as_struct: bool = False
) -> Customised:
    stats = {"attachment": attachment, **CUSTOMISED}
    sidecar.stats = _camel_case(stats) if camel_case else stats
    sidecar.permitted_log = _permitted()
    return Customised(sidecar, as_struct=as_struct)


@pytest.mark.parametrize("caller_form, called_form", [(JSON, JSON), (CAMEL_CASE, STRUCT)], ids=["json", "other_forms"])
def test_the_customised_configuration_over_http(
    mesh: Mesh, backend: int, caller_form: dict[str, bool], called_form: dict[str, bool]
) -> None:
    west_port = mesh.start(_customised(west(backend), "http", **called_form))
    with clients.http1(mesh.start(_customised(east(west_port), "http", **caller_form))) as caller:
        for _ in range(3):
            assert caller.get("/").status_code == 200
    mesh.expect_families(_predicted("http.yaml", "HTTP/1.1"), "http.yaml, customised")
    for name in ("east", "west"):
        _expect_complaints(mesh[name])


def test_the_customised_configuration_over_grpc(mesh: Mesh, grpc_backend_port: int) -> None:
    west_port = mesh.start(_customised(west(grpc_backend_port, protocol="http2"), "http"))
    with clients.grpc_client(mesh.start(_customised(east(west_port), "http"))) as caller:
        stream = Stream(caller)
        stream.exchange(3)
        # Messages have no flags that could be removed.
        change = {"source_principal": "malicious", "source_app": None}
        opened = {name: all_changed(plain, **change) for name, plain in golden.load("grpc_stream_open.yaml").items()}
        mesh.expect_families(opened, "grpc_stream_open.yaml, customised")
        stream.exchange(2)
        stream.end()
    mesh.expect_families(_predicted("grpc_stream_closed.yaml", "HTTP/2"), "grpc_stream_closed.yaml, customised")


TCP = {
    "attachment": "tcp",
    "tcp_reporting_duration": "1s",
    "definitions": CUSTOMISED["definitions"],
    "metrics": [
        *CUSTOMISED["metrics"][:2],
        {
            "dimensions": {
                "source_workload": "'_' + node.metadata['WORKLOAD_NAME']",
                "destination_app": "cannot _ parse | 1",
                "unparsable": "cannot _ parse | 2",
                "destination_workload": "cannot_evaluate",
                "destination_version": "downstream_peer.version",
                "configurable_metric_a": "'gateway'",
                "route_name": "cluster_name",
            }
        },
        {"name": "tcp_sent_bytes_total", "drop": True},
        {"name": "tcp_received_bytes_total", "tags_to_remove": ["configurable_metric_a"]},
        {"name": "tcp_connections_opened_total", "dimensions": {"response_code": "'none'"}},
        # No metric of TCP has this one, and none gets it but what is defined; an empty text is an empty label.
        {"dimensions": {"source_principal": "'malicious'", "grpc_response_status": "''"}},
    ],
}


def _predicted_tcp(counts: Counts) -> Families:
    on_all = {
        **COMMON,
        "source_workload": "_stock-v1",
        "destination_app": None,
        "destination_workload": "unknown",
        "destination_version": "unknown",
        "configurable_metric_a": "gateway",
        "route_name": tcp.backend_name(),
    }
    predicted = all_changed(families("west", {"west_alone": counts}), **on_all)
    del predicted["istio_tcp_sent_bytes_total"]
    received, opened = "istio_tcp_received_bytes_total", "istio_tcp_connections_opened_total"
    predicted[received] = changed(predicted[received], configurable_metric_a=None)
    predicted[opened] = changed(predicted[opened], response_code="none")
    if counts.closed:
        defined = _defined(counts.closed)
        # An entry without a name reaches definitions, too; what was never there is not removed.
        labels = {label: on_all[label] for label in ("configurable_metric_a", "route_name")}
        labels |= {
            "grpc_response_status": "",
            "source_workload": "_stock-v1",
            "destination_workload": "unknown",
            "destination_version": "unknown",
        }
        predicted |= all_changed(defined, **labels)
    return predicted


def test_the_customised_configuration_over_tcp(mesh: Mesh, doubler: int) -> None:
    sidecar = tcp.west(doubler, stats=TCP, permitted_log=_permitted())
    port = mesh.start(Customised(sidecar))
    traffic.converse(port)
    mesh.expect_families({"west": _predicted_tcp(Counts(opened=1, closed=1, received=6, sent=12))}, "TCP, at its end")
    with traffic.connect(port) as connection:
        traffic.exchange_words(connection, b"world\n")
        open_too = _predicted_tcp(Counts(opened=2, closed=1, received=12, sent=24))
        mesh.expect_families({"west": open_too}, "TCP, with an open connection")
        traffic.exchange_words(connection, b"world\n")
    mesh.expect_families({"west": _predicted_tcp(Counts(opened=2, closed=2, received=18, sent=36))}, "TCP, closed")


def _expect_complaints(envoy: Envoy) -> None:
    """Each mistake is told once, and counted."""
    log = envoy.log()
    for line in (
        'definitions[0].name: "requests_total" is a standard metric and cannot be redefined; ignored',
        'definitions: value: "cannot _ parse | 1": the host does not understand this expression; ignored',
        'metrics: dimension: "cannot _ parse | 1": the host does not understand this expression; ignored',
        'metrics: dimension: "cannot _ parse | 2": the host does not understand this expression; ignored',
    ):
        assert log.count(line) == 1, line
    (errors,) = envoy.families()["istio_stats_config_errors"].series.values()
    assert errors == 4


# Configurations with what becomes of plain_client.yaml: label changes by metric, None for a metric that is gone.
EVERY = ("requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes")
ONLY = ("reporter", "source_cluster", "destination_cluster", "response_code")
SMALL = {
    "drop_without_a_name": (
        {"metrics": [{"drop": True}, {"name": "requests_total", "dimensions": {"extra": "'x'"}}]},
        dict.fromkeys(EVERY),
    ),
    "drop_beats_the_rest_of_its_entry": (
        {"metrics": [{"name": "request_bytes", "drop": True, "dimensions": {"extra": "'x'"}}]},
        {"request_bytes": None},
    ),
    "drop_false_drops_nothing": (
        {"metrics": [{"name": "request_bytes", "drop": False, "tags_to_remove": ["reporter"]}]},
        {"request_bytes": {"reporter": None}},
    ),
    "removed_and_set_in_one_entry": (
        {"metrics": [{"tags_to_remove": ["reporter", "source_app"], "dimensions": {"reporter": "'me'"}}]},
        {name: {"reporter": "me", "source_app": None} for name in EVERY},
    ),
    "a_bad_expression_after_a_good_one": (
        {
            "metrics": [
                {"dimensions": {"extra": "'x'", "reporter": "'me'"}},
                {"name": "requests_total", "dimensions": {"extra": "(", "reporter": ")"}},
            ]
        },
        {**{name: {"extra": "x", "reporter": "me"} for name in EVERY}, "requests_total": {"reporter": None}},
    ),
    "an_expression_that_would_close_ours": (
        {"metrics": [{"dimensions": {"extra": "'a') + string('b'", "more": "'kept'"}}]},
        {name: {"more": "kept"} for name in EVERY},
    ),
    "the_labels_that_are_listed": (
        {
            "labels": list(ONLY),
            "metrics": [
                {"name": "requests_total", "dimensions": {"source_app": "'back'", "extra": "'x'"}},
                {"name": "request_bytes", "tags_to_remove": ["response_code"]},
            ],
        },
        {
            **dict.fromkeys(EVERY, "listed"),
            "requests_total": ("listed", {"source_app": "back", "extra": "x"}),
            "request_bytes": ("listed", {"response_code": None}),
        },
    ),
    "metrics_that_do_not_exist": (
        {"metrics": [{"name": "istio_requests_total", "drop": True}, {"name": "nothing", "drop": True}]},
        {},
    ),
    "malformed_entries": (
        {
            "metrics": [
                7,
                {"name": "requests_total", "dimensions": {"extra": 7, "more": "'kept'", "no-label": "'x'"}},
                {"name": "request_bytes", "tags_to_remove": [7, "reporter"]},
                {"name": "response_bytes", "tags_to_remove": "reporter"},
            ],
            "definitions": [{"name": "nameless_value"}, {"value": "1"}, {"name": "a-b", "value": "1"}, "x"],
        },
        {"requests_total": {"more": "kept"}, "request_bytes": {"reporter": None}},
    ),
}


@pytest.mark.parametrize("stats, effect", SMALL.values(), ids=SMALL.keys())
def test_rules_of_overrides(mesh: Mesh, backend: int, stats: Json, effect: Json) -> None:
    # What is wrong with some of them is told; how, others test.
    permitted = "istio-stats: configuration|expr_create"
    sidecar = west(backend, stats={"attachment": "http", **stats}, permitted_log=permitted)
    with clients.http1(mesh.start(Customised(sidecar))) as caller:
        assert caller.get("/").status_code == 200
    plain = golden.load("plain_client.yaml")["west"]
    wanted = {"istio_build": plain["istio_build"]}
    for name, family in without_build(plain).items():
        change = effect.get(name.removeprefix("istio_"), {})
        if change is not None:
            wanted[name] = _apply(change, family)
    mesh.expect_families({"west": wanted}, "plain_client.yaml, changed")


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
@pytest.mark.parametrize("as_struct", [False, True], ids=["json", "struct"])
def test_numbers_may_be_texts_and_choices_numbers(mesh: Mesh, backend: int, as_struct: bool, logger: bool) -> None:
    """As protobuf's JSON has them: of an enumeration the number, of a number the text."""
    kinds = {"own_total": "counter", "own_level": "gauge", "own_sizes": "histogram"}
    definitions = [{"name": name, "value": "1", "type": number} for number, name in enumerate(kinds)]
    stats = {"attachment": "http", "reporter": 1, "max_series": "500", "definitions": definitions}
    proxy = west(backend, name="waypoint", stats=stats, logger=logger)
    with clients.http1(mesh.start(Customised(proxy, as_struct=as_struct))) as caller:
        assert caller.get("/").status_code == 200
    for name, kind in kinds.items():
        mesh.await_total("waypoint", f"istio_{name}", 1)
        assert mesh["waypoint"].families()[f"istio_{name}"].kind == kind
    assert mesh.requests("waypoint", ["reporter"]) == {("waypoint",): 1}
    assert "istio_stats_config_errors" not in mesh["waypoint"].families()


def _apply(change: Json | str | tuple[str, Json], family: Family) -> Family:
    """`listed` leaves the labels in ONLY, which may be changed as well."""
    if isinstance(change, dict):
        return changed(family, **change)
    _, labels = change if isinstance(change, tuple) else (change, {})
    (series,) = family.series
    return changed(changed(family, **{label: None for label, _ in series if label not in ONLY}), **labels)
