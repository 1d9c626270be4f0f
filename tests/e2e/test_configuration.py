"""Plugin configurations that nobody meant: Envoy starts, traffic flows, one log line says what is wrong."""

import json
import re

import pytest

from lab.tree import Json
from tests.e2e.harness import clients, forms
from tests.e2e.harness.forms import Lacks
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import found_in, headers
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.usual import NO_CONFIGURATION
from tests.e2e.harness.workloads import SHOP

pytestmark = forms.BOTH

# Configurations of the stats plugin, with the field and the value its log line must name.
WRONG_STATS = {
    "boolean": ({"disable_host_header_fallback": 7}, "disable_host_header_fallback", "7"),
    "duration": ({"tcp_reporting_duration": "soon"}, "tcp_reporting_duration", "soon"),
    "duration_type": ({"tcp_reporting_duration": 5}, "tcp_reporting_duration", "5"),
    "negative_duration": ({"tcp_reporting_duration": "-5s"}, "tcp_reporting_duration", "-5s"),
    # The host's timer counts whole milliseconds: with none, no new series would ever be counted.
    "duration_of_a_nanosecond": ({"tcp_reporting_duration": "1ns"}, "tcp_reporting_duration", "1ns"),
    "duration_below_the_least": ({"tcp_reporting_duration": "0.4ms"}, "tcp_reporting_duration", "0.4ms"),
    "max_series": ({"max_series": 0}, "max_series", "0"),
    "reporter": ({"reporter": "SIDEWAYS"}, "reporter", "SIDEWAYS"),
    "attachment": ({"attachment": ["udp"]}, "attachment", "udp"),
    "local": ({"local": "west"}, "local", "west"),
    "local_field": ({"local": {"cluster_id": [1, 2]}}, "local.cluster_id", "[1,2]"),
    "unknown_field": ({"colour": "blue"}, "colour", "blue"),
    "unknown_nested_field": ({"local": {"colour": "blue"}}, "local.colour", "blue"),
}
WRONG_EXCHANGE = {
    "trust": ({"trust": "maybe"}, "trust", "maybe"),
    "skip_external": ({"skip_external": "perhaps"}, "skip_external", "perhaps"),
    "local": ({"local": {"namespace": 7}}, "local.namespace", "7"),
    "unknown_field": ({"colour": "blue"}, "colour", "blue"),
}
_MANY = 10_000
# Configurations that ask for too much, with all that the log says of them.
TOO_MUCH = {
    "unknown_fields": (
        {f"x{n:05}": n for n in range(_MANY)},
        [*(rf"configuration: x{n:05}: unknown field with value {n};" for n in range(20)), "configuration: 9980 more;"],
    ),
    "metric_prefix": ({"metric_prefix": "x" * 1_000_000}, [r"metric_prefix: expected .* at most 256, found"]),
    "metrics": (
        {"metrics": [{"tags_to_remove": [f"x{n}"]} for n in range(_MANY)]},
        ["metrics: 10000 entries are more than 256"],
    ),
    # A counter with nothing to add is no series.
    "definitions": pytest.param(
        {"definitions": [{"name": f"x{n}", "value": "0"} for n in range(_MANY)]},
        ["definitions: 10000 entries are more than 64"],
        marks=forms.wasm_only(Lacks.ZEROS),
    ),
    "names_in_use": (
        {
            "definitions": [
                {"name": "stats_config_errors", "value": "1"},
                {"name": "stats_series", "value": "1", "type": "COUNTER"},
                {"name": "request_bytes_count", "value": "1", "type": "HISTOGRAM"},
            ]
        },
        [
            r"definitions\[0\]\.name: .*istio_stats_config_errors is in use",
            r"definitions\[1\]\.name: .*istio_stats_series is in use",
            r"definitions\[2\]\.name: .*istio_request_bytes_count is in use by istio_request_bytes;",
        ],
    ),
}
# Configurations that cannot be read at all, with what the log line must show of them.
UNUSABLE = {
    "not_json": ("reporter: source", "reporter: source"),
    "cut_off": ("{ reporter", "{ reporter"),
    "not_an_object": ("[7,8]", "[7,8]"),
    "a_text": ('"reporter"', '"reporter"'),
    # Under this key the JSON library hands on numbers, as texts.
    "key_of_the_library": ('{"$serde_json::private::Number": 7}', "$serde_json::private::Number"),
    "nested_too_deep": ("[" * 100_000, "[" * 20),
}


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
@pytest.mark.parametrize("wrong, name, value", WRONG_STATS.values(), ids=WRONG_STATS.keys())
def test_a_wrong_field_of_the_stats_plugin_is_skipped(
    mesh: Mesh, backend: int, wrong: Json, name: str, value: str, logger: bool
) -> None:
    _serve(mesh, west(backend, stats=json.dumps(wrong), expected_log=[_naming(name, value)], logger=logger))
    mesh.expect("plain_client.yaml")


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
@pytest.mark.parametrize("stats, said", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_of_what_is_too_much_a_part_counts(
    mesh: Mesh, backend: int, stats: Json, said: list[str], logger: bool
) -> None:
    _serve(mesh, west(backend, stats=json.dumps(stats), expected_log=said, logger=logger))
    mesh.expect("plain_client.yaml")
    errors = sum(mesh["west"].families()["istio_stats_config_errors"].series.values())
    assert errors == (_MANY if len(said) > 20 else len(said))


@pytest.mark.parametrize("wrong, name, value", WRONG_EXCHANGE.values(), ids=WRONG_EXCHANGE.keys())
def test_a_wrong_field_of_the_exchange_is_skipped(mesh: Mesh, backend: int, wrong: Json, name: str, value: str) -> None:
    _serve(mesh, west(backend, exchange=json.dumps(wrong), expected_log=[_naming(name, value)]))
    mesh.expect("plain_client.yaml")


@pytest.mark.parametrize("text, shown", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_stats_configuration_leaves_the_plugin_inert(
    mesh: Mesh, backend: int, text: str, shown: str
) -> None:
    _serve(mesh, west(backend, stats=text, expected_log=[_error_showing(shown)]))
    families = mesh["west"].families()
    assert sum(families["istio_stats_config_errors"].series.values()) >= 1
    assert {name for name in families if name.startswith("istio_re")} == set()


@pytest.mark.parametrize("text, shown", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_exchange_configuration_stops_no_request(mesh: Mesh, backend: int, text: str, shown: str) -> None:
    sidecar = west(backend, exchange=text, expected_log=[_error_showing(shown)])
    with clients.http1(mesh.start(sidecar)) as caller:
        response = caller.get("/", headers=headers(SHOP))
    assert response.status_code == 200
    # It neither learns nor tells anything, but what it is there to keep from others stays here.
    assert found_in(response.json()) == []
    assert found_in(response.headers.multi_items()) == []
    mesh.expect("plain_client.yaml")


@pytest.mark.parametrize("nothing", ["", "{}", NO_CONFIGURATION], ids=["empty", "empty_object", "left_out"])
def test_no_configuration_means_the_defaults(mesh: Mesh, backend: int, nothing: object) -> None:
    _serve(mesh, west(backend, stats=nothing, exchange=nothing))
    mesh.expect("plain_client.yaml")
    assert "istio_stats_config_errors" not in mesh["west"].families()


@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_a_byte_order_mark_is_none_of_the_configuration(mesh: Mesh, backend: int, logger: bool) -> None:
    marked = "\ufeff" + json.dumps({"attachment": "http"})
    _serve(mesh, west(backend, stats=marked, exchange="\ufeff{}", logger=logger))
    mesh.expect("plain_client.yaml")
    assert "istio_stats_config_errors" not in mesh["west"].families()


def _serve(mesh: Mesh, sidecar: Runnable) -> None:
    with clients.http1(mesh.start(sidecar)) as caller:
        assert caller.get("/").status_code == 200


def _naming(name: str, value: str) -> str:
    """One line that names both, the field first."""
    return rf"configuration.*\b{re.escape(name)}\b.*{re.escape(value)}"


def _error_showing(value: str) -> str:
    """One error that shows what it could not read."""
    return r"^\[error\].*configuration.*" + re.escape(value)
