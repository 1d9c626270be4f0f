"""The tests' own matchers fail when they should."""

import math
import random
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from lab.waiting import wait_until
from tests.e2e.harness import envoy_log, golden, scrape
from tests.e2e.harness.golden import GOLDEN
from tests.e2e.harness.peer_metadata import METADATA, found_in
from tests.e2e.harness.scrape import Families, Family, label_set
from tests.e2e.harness.soak.trend import slope

EXPOSITION = """\
# TYPE envoy_cluster_upstream_rq counter
envoy_cluster_upstream_rq{envoy_cluster_name="x"} 7
# TYPE istio_requests_total counter
istio_requests_total{reporter="source",response_code="200",grpc_response_status=""} 3
istio_requests_total{reporter="source",response_code="503",grpc_response_status=""} 1
# TYPE istio_request_bytes histogram
istio_request_bytes_bucket{reporter="source",le="500"} 4
istio_request_bytes_bucket{reporter="source",le="+Inf"} 4
istio_request_bytes_sum{reporter="source"} 1200
istio_request_bytes_count{reporter="source"} 4
# TYPE istio_build gauge
istio_build{component="proxy",tag="1.24.2"} 1
"""


def _families(**changes: Any) -> Families:
    """What the exposition says, as a golden file would; a change of None leaves a family out."""
    same = {
        "istio_requests_total": [
            ({"reporter": "source", "response_code": "200", "grpc_response_status": ""}, 3),
            ({"reporter": "source", "response_code": "503", "grpc_response_status": ""}, 1),
        ],
        "istio_request_bytes": [({"reporter": "source"}, 4)],
        "istio_build": [({"component": "proxy", "tag": "1.24.2"}, 1)],
    }
    kinds = {"istio_requests_total": "counter", "istio_request_bytes": "histogram"}
    return {
        name: Family(name, kinds.get(name, "gauge"), {label_set(labels): value for labels, value in series})
        for name, series in {**same, **changes}.items()
        if series is not None
    }


def _differences(**changes: Any) -> str:
    return "\n".join(scrape.differences(scrape.parse(EXPOSITION), _families(**changes)))


def test_equal_families_have_no_differences() -> None:
    assert _differences() == ""


def test_a_missing_family_is_a_difference() -> None:
    assert _differences(istio_more_total=[({}, 1)]) == "istio_more_total: missing family"


def test_an_unexpected_family_is_a_difference() -> None:
    assert _differences(istio_build=None).startswith("istio_build: unexpected family\n  {component='proxy'")


def test_a_label_that_leaked_into_a_name_is_a_difference() -> None:
    leaked = EXPOSITION + "# TYPE zone___a___istio_requests_total counter\nzone___a___istio_requests_total{} 1\n"
    (first, _) = scrape.differences(scrape.parse(leaked), _families())
    assert first == "zone___a___istio_requests_total: unexpected family"


def test_another_value_is_a_difference() -> None:
    found = _differences(istio_build=[({"component": "proxy", "tag": "1.24.2"}, 2)])
    assert found == "istio_build: is 1, expected 2: {component='proxy', tag='1.24.2'}"


def test_another_count_of_a_histogram_is_a_difference() -> None:
    assert _differences(istio_request_bytes=[({"reporter": "source"}, 5)]).startswith(
        "istio_request_bytes: is 4, expected 5"
    )


@pytest.mark.parametrize(
    "wanted, change",
    [
        ({"component": "proxy", "tag": "1.9"}, "tag: is '1.24.2', expected '1.9'"),
        ({"component": "proxy"}, "tag: unexpected, is '1.24.2'"),
        ({"component": "proxy", "tag": "1.24.2", "zone": "a"}, "zone: missing, expected 'a'"),
        ({"component": "proxy", "tag": "1.24.2", "zone": ""}, "zone: missing, expected ''"),
    ],
)
def test_another_label_is_a_difference(wanted: dict[str, str], change: str) -> None:
    found = _differences(istio_build=[(wanted, 1)])
    assert found == f"istio_build: labels differ (1 found, 1 expected):\n  {change}"


def test_a_missing_series_is_a_difference() -> None:
    found = _differences(istio_request_bytes=[({"reporter": "source"}, 4), ({"reporter": "waypoint"}, 1)])
    assert found == "istio_request_bytes: missing series {reporter='waypoint'} = 1"


def test_an_unexpected_series_is_a_difference() -> None:
    ok = {"reporter": "source", "response_code": "200", "grpc_response_status": ""}
    assert _differences(istio_requests_total=[(ok, 3)]).startswith("istio_requests_total: unexpected series")


def test_another_type_is_a_difference() -> None:
    gauge = EXPOSITION.replace("istio_requests_total counter", "istio_requests_total gauge")
    (line,) = scrape.differences(scrape.parse(gauge), _families())
    assert line == "istio_requests_total: is a gauge, expected a counter"


def test_the_same_series_twice_is_an_error() -> None:
    twice = EXPOSITION + 'istio_build{component="proxy",tag="1.24.2"} 1\n'
    with pytest.raises(AssertionError, match="istio_build has two series"):
        scrape.parse(twice)


def test_what_the_plugin_tells_about_itself_is_set_apart() -> None:
    own = EXPOSITION + "# TYPE istio_stats_series gauge\nistio_stats_series{} 2\n"
    families = scrape.parse(own)
    assert families.keys() - scrape.standard(families).keys() == {"istio_stats_series"}


HTTP = [
    "reporter",
    "source_workload",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_canonical_service",
    "source_canonical_revision",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_cluster",
    "request_protocol",
    "response_flags",
    "connection_security_policy",
    "response_code",
    "grpc_response_status",
]
LABELS = {
    "istio_requests_total": HTTP,
    "istio_request_duration_milliseconds": HTTP,
    "istio_request_bytes": HTTP,
    "istio_response_bytes": HTTP,
    "istio_request_messages_total": HTTP[:20],
    "istio_response_messages_total": HTTP[:20],
    "istio_tcp_connections_opened_total": HTTP[:23],
    "istio_tcp_connections_closed_total": HTTP[:23],
    "istio_tcp_sent_bytes_total": HTTP[:23],
    "istio_tcp_received_bytes_total": HTTP[:23],
    "istio_tcp_connection_duration_milliseconds": HTTP[:23],
    "istio_build": ["component", "tag"],
}


# What the expressions of Istio's bootstrap add, where they find `cache.x.` in a value.
ISTIOS_OWN = {"cache"}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_golden_files_spell_out_every_label(path: Path) -> None:
    envoys = golden.load(path.name)
    assert envoys
    for families in envoys.values():
        for name, family in families.items():
            for labels in family.series:
                assert sorted(dict(labels).keys() - ISTIOS_OWN) == sorted(LABELS[name]), name
                assert all(isinstance(value, str) for value in dict(labels).values()), labels


WARNING = "[warning][wasm] wasm log telemetry: reporter: expected one of A, B, found 3; ignored"
QUIET = "[info][main] starting main dispatch loop\n[warning][main] there is no configured limit\n"


def test_a_log_without_trouble_passes() -> None:
    envoy_log.check(QUIET)
    envoy_log.check(QUIET + "[info][wasm] wasm log telemetry: ready\n")


@pytest.mark.parametrize(
    "trouble",
    [
        WARNING,
        "[error][wasm] Function: proxy_on_log failed: unreachable",
        "[critical][wasm] wasm log: panicked at src/lib.rs",
        "[info][main] a thread panicked",
        "[warning][config] Wasm module could not be loaded",
        "Caught Segmentation fault",
        "[info][main] harmless\nProxy-Wasm plugin in-VM backtrace:",
    ],
)
def test_trouble_with_wasm_in_the_log_fails(trouble: str) -> None:
    with pytest.raises(AssertionError, match="unexpected log entry"):
        envoy_log.check(QUIET + trouble + "\n")


def test_an_expected_entry_must_be_there_exactly_once() -> None:
    envoy_log.check(QUIET + WARNING, expected=["reporter.*found 3"])
    for text in (QUIET, QUIET + WARNING + "\n" + WARNING):
        with pytest.raises(AssertionError, match="expected exactly one"):
            envoy_log.check(text, expected=["reporter.*found 3"])
    with pytest.raises(AssertionError, match="unexpected log entry"):
        envoy_log.check(QUIET + WARNING + "\n[error][wasm] more", expected=["reporter.*found 3"])


def test_permitted_entries_may_come_any_number_of_times_and_permit_nothing_else() -> None:
    for times in range(3):
        envoy_log.check(QUIET + (WARNING + "\n") * times, permitted="reporter")
    with pytest.raises(AssertionError, match="unexpected log entry"):
        envoy_log.check(QUIET + WARNING, permitted="attachment")


def test_peer_headers_are_found_in_any_case() -> None:
    assert found_in([("X-Envoy-Peer-Metadata", "a"), ("x-other", "b")]) == [("X-Envoy-Peer-Metadata", "a")]
    assert found_in([(METADATA + "-extra", "a")]) == []


def test_waiting_in_vain_is_an_error() -> None:
    with pytest.raises(TimeoutError, match=r"a miracle: not within 0\.05 s"):
        wait_until(lambda: False, "a miracle", seconds=0.05)


def test_a_slope_is_as_sure_as_its_samples_allow() -> None:
    noise = random.Random(0)
    times = range(200)
    independent = [noise.gauss(0, 5) for _ in times]
    # Each is the sum of those before it: a random walk, which seems to have a direction where there is none.
    walking = list(accumulate(independent))
    for rising in (0, 1, -2):
        found = slope(times, [rising * time + one for time, one in zip(times, independent, strict=True)])
        assert found.lower < rising < found.upper < found.lower + 0.1
        lost = slope(times, [rising * time + one for time, one in zip(times, walking, strict=True)])
        assert lost.lower < rising < lost.upper
        assert lost.upper - lost.lower > 10 * (found.upper - found.lower)
    exact = slope(times, [3 * time for time in times])
    assert exact.lower == exact.value == exact.upper == 3
    assert slope([1, 1, 1], [1, 2, 3]).lower == -math.inf
