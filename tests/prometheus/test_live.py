"""Every panel, rule and alert against a real Prometheus that scrapes real Envoys."""

import bisect
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable

import pytest

from lab import web
from lab.tree import Json
from lab.waiting import leftovers, wait_until
from scripts.rules.native import BOUNDS
from tests.prometheus.checks import dashboards, rules, server
from tests.prometheus.checks.queries import Query, QueryResult
from tests.prometheus.conftest import EAST_POD, Observed

# What the mesh has on purpose: errors, strangers beyond max_series, unreadable metadata, a mistake.
EXPECTED_ALERTS = {
    "CrossClusterErrors",
    "IstioStatsSeriesOverflow",
    "IstioStatsPeerDecodeErrors",
    "IstioStatsConfigErrors",
}


FORM = "any_form"
HISTOGRAMS = (
    "istio_request_duration_milliseconds",
    "istio_request_bytes",
    "istio_tcp_connection_duration_milliseconds",
)


def test_the_pods_are_scraped_once_each(observed: Observed) -> None:
    """One by its annotations, one by its port; and what discovery found of them."""
    targets = wait_until(lambda: _targets(observed.prometheus), "targets")
    ports = {"frontend-v1-0": observed.mesh.admin_port("east"), "reviews-v2-0": observed.mesh.admin_port("west")}
    assert sorted((one["labels"]["job"], one["labels"]["pod"], one["scrapeUrl"]) for one in targets) == [
        ("istio-proxies", "reviews-v2-0", f"http://127.0.0.1:{ports['reviews-v2-0']}/stats/prometheus"),
        ("kubernetes-pods", "frontend-v1-0", f"http://127.0.0.1:{ports['frontend-v1-0']}/stats/prometheus"),
    ]
    assert {one["labels"]["namespace"] for one in targets} == {"shop"}


@pytest.mark.parametrize("reporter", ["source", "destination"])
def test_every_panel_has_data(any_form: server.Prometheus, reporter: str) -> None:
    _await_nothing(lambda: dashboards.without_data(any_form.query, {"reporter": reporter}))


# Of 18 requests that a round sends from east, 2 get a 500, 1 a 503 for want of a server, and 1 names a host that nobody
# knows. gRPC's NOT_FOUND is no failure.
NUMBERS: dict[str, dict[str, float]] = {
    "istio-stats-clusters": {"Success": 15 / 18, "Leave their cluster": 17 / 18, "Pairs": 2},
    "istio-stats-services": {"Success": 15 / 18, "Called by": 1},
    "istio-stats-tcp": {"Closed in trouble": 0},
    "istio-stats-plugin": {"Proxies": 2, "Mistakes in configurations": 1, "HTTP requests counted": 1},
}


@pytest.mark.parametrize("uid", NUMBERS)
def test_numbers_are_right(any_form: server.Prometheus, uid: str) -> None:
    query = any_form.query
    _await_nothing(lambda: dashboards.without_data(query))
    (dashboard,) = [one for one in dashboards.load() if one["uid"] == uid]
    values, _ = dashboards.variables(dashboard, query)
    first: dict[str, str] = {}
    for panel in dashboards.panels(dashboard):
        first.setdefault(panel.title, panel.expressions[0])

    def wrong() -> list[str]:
        """A scrape amid a round sees a part of it, which weighs less with each further round."""
        return [
            f"{title}: {one['value']}, expected {number}"
            for title, number in NUMBERS[uid].items()
            for one in query(dashboards.substituted(first[title], values))
            if one["value"] != pytest.approx(number, abs=0.02)
        ]

    _await_nothing(wrong)


def test_the_standalone_filter_lets_through_what_kubernetes_keeps(observed: Observed) -> None:
    (standalone,) = server.configuration("standalone.yaml")["scrape_configs"]
    (kept,) = server.configuration("kubernetes.yaml")["scrape_configs"][0]["metric_relabel_configs"]
    names = {
        params: set(re.findall(r"^(\w+)\{", observed.mesh.east.admin("/stats/prometheus" + params).text, re.MULTILINE))
        for params in ("", "?" + urllib.parse.urlencode(standalone["params"], doseq=True))
    }
    everything, filtered = names.values()
    wanted = {name for name in everything if re.fullmatch(kept["regex"], name)}
    assert {"istio_requests_total", "envoy_http_downstream_rq_completed", "envoy_tcp_downstream_cx_total"} <= wanted
    assert wanted <= filtered
    # Else the filter would be of no use.
    assert len(filtered) < len(everything) / 2


def test_every_rule_has_data(observed: Observed) -> None:
    _await_nothing(lambda: rules.without_data(observed.prometheus.query))


# The source, whose reports it is about, is the native one.
CLASSIC_BETWEEN_CLUSTERS = re.compile(r"cross_cluster:istio_request_duration_milliseconds_bucket:rate5m")


@pytest.mark.parametrize(FORM, ["mixed"], indirect=True)
def test_every_rule_has_data_of_both_forms(any_form: server.Prometheus) -> None:
    _await_nothing(lambda: rules.without_data(any_form.query, absent=CLASSIC_BETWEEN_CLUSTERS))


@pytest.mark.parametrize(FORM, ["native", "mixed"], indirect=True)
def test_either_form_counts_for_its_workload(observed: Observed, any_form: server.Prometheus) -> None:
    """As many samples are in the recorded histogram of workloads as its pods counted requests, in every bucket."""
    recorded = "workload:istio_request_duration_milliseconds"
    parts = [f'{recorded}_bucket{{le="+Inf"}}', f'{recorded}_bucket{{le=~"3600000|3.6e[+]06"}}', f"{recorded}_count"]

    def found() -> list[dict[str, float]]:
        return [_by_reporter(any_form.query, f"sum by (reporter) ({part})") for part in parts]

    def equal() -> bool:
        """Or at rest, where a busy machine missed a scrape or an evaluation, and with it what is added up."""
        before, counted = found(), _by_reporter(any_form.query)
        if before == [counted] * len(parts):
            return True
        time.sleep(2)
        at_rest = found() == before == [before[0]] * len(parts) and before[0].keys() == counted.keys()
        failed = any_form.query("min_over_time(up[10m]) == 0")
        return at_rest and bool(failed or any_form.missed_evaluations())

    _await_nothing(lambda: dashboards.without_data(any_form.query))
    observed.paused.set()
    try:
        wait_until(equal, "the same number of requests")
        for reporter, counted in _by_reporter(any_form.query).items():
            assert counted / 2 < found()[0][reporter] <= counted
    finally:
        observed.paused.clear()


@pytest.mark.parametrize(FORM, ["native"], indirect=True)
@pytest.mark.parametrize("histogram", HISTOGRAMS)
def test_quantiles_of_both_forms_differ_by_a_bucket_at_most(
    observed: Observed, any_form: server.Prometheus, histogram: str
) -> None:
    """Over the same traffic; and both have all of it."""
    classic, native = observed.prometheus.query, any_form.query

    def difference() -> list[str]:
        found = (classic(f"sum({histogram}_count)"), native(f"histogram_count(sum({histogram}))"))
        counts = [one["value"] for result in found for one in result]
        return [] if len(counts) == 2 and len(set(counts)) == 1 else [f"samples in both forms: {counts}"]

    def found(q: float) -> list[float]:
        results = (
            classic(f"histogram_quantile({q}, sum by (le) ({histogram}_bucket))"),
            native(f"histogram_quantile({q}, sum({histogram}))"),
        )
        return [one["value"] for result in results for one in result]

    _await_nothing(lambda: dashboards.without_data(native))
    observed.paused.set()
    try:
        _await_nothing(difference)
        found_bounds = {one["metric"]["le"] for one in classic(f"group by (le) ({histogram}_bucket)")}
        assert found_bounds == {*BOUNDS, "+Inf"}
        bounds = sorted(map(float, found_bounds))
        for q in (0.5, 0.9, 0.99):
            one, other = (bisect.bisect_left(bounds, value) for value in found(q))
            assert abs(one - other) <= 1, (q, found(q))
    finally:
        observed.paused.clear()


@pytest.mark.parametrize(FORM, ["native"], indirect=True)
def test_native_histograms_are_a_fraction_of_classic_ones(observed: Observed, any_form: server.Prometheus) -> None:
    """As `make bench BENCH="--only scrape"` shows of 1000 label sets."""
    east, pod = observed.mesh.east, EAST_POD["name"]
    request = urllib.request.Request(
        f"{east.admin_url}/stats/prometheus?filter=istio_re&histogram_buckets=prometheusnative",
        headers={
            "accept": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        },
    )
    with urllib.request.urlopen(request) as response:
        native = len(response.read())
    assert 0 < native <= 0.15 * len(east.admin("/stats/prometheus", params={"filter": "istio_re"}).content)

    def series(query: Query) -> float:
        return sum(one["value"] for one in query(f'count({{__name__=~"istio_re.+", pod="{pod}"}})'))

    _await_nothing(lambda: [] if 0 < series(any_form.query) <= 0.2 * series(observed.prometheus.query) else ["series"])


def test_only_alerts_with_a_cause_fire(observed: Observed) -> None:
    def fires() -> bool:
        return rules.firing(observed.prometheus.query) == EXPECTED_ALERTS

    wait_until(fires, f"alerts are {EXPECTED_ALERTS}")


def test_the_check_names_a_panel_without_data(observed: Observed) -> None:
    def query(expression: str) -> QueryResult:
        return [] if "tcp_connection_duration" in expression else observed.prometheus.query(expression)

    _await_nothing(lambda: dashboards.without_data(observed.prometheus.query))
    lines = dashboards.without_data(query)
    assert {line.partition(": no series")[0] for line in lines} == {
        "Istio: TCP / Callers",
        "Istio: TCP / Duration",
        "Istio: TCP / Duration p99",
        "Istio: TCP / Services",
    }


def test_the_node_graph_has_a_node_at_each_end_of_every_edge(observed: Observed) -> None:
    """Grafana shows no graph at all otherwise."""
    (clusters,) = [one for one in dashboards.load() if one["uid"] == "istio-stats-clusters"]
    (graph,) = [panel for panel in clusters["panels"] if panel["type"] == "nodeGraph"]
    queries = {target["refId"]: target["expr"] for target in graph["targets"]}
    _await_nothing(lambda: dashboards.without_data(observed.prometheus.query))
    values, _ = dashboards.variables(clusters, observed.prometheus.query)
    found = {
        refid: [one["metric"] for one in observed.prometheus.query(dashboards.substituted(expr, values))]
        for refid, expr in queries.items()
    }
    nodes = [one["id"] for one in found["nodes"]]
    assert len(set(nodes)) == len(nodes)
    assert {one["source"] for one in found["edges"]} | {one["target"] for one in found["edges"]} <= set(nodes)
    assert all(one["title"] == one["id"] for one in found["nodes"])


# Where pods are summed away, no panel can show them.
OF_PODS = {
    f"Istio: services, workloads, pods / {title}" for title in ("Pods", "Requests of pods", "Latency p99 of pods")
}


@pytest.mark.parametrize("name, without", [("federation.yaml", ()), ("federation-workload.yaml", OF_PODS)])
def test_dashboards_and_rules_work_over_federation(
    federations: dict[str, server.Prometheus], name: str, without: Iterable[str]
) -> None:
    query = federations[name].query
    _await_nothing(lambda: dashboards.without_data(query, skip=without))
    files = {file.removeprefix("rules/") for file in server.configuration(name)["rule_files"]}
    _await_nothing(lambda: rules.without_data(query, files))
    assert {one["metric"]["cluster"] for one in query("istio_requests_total")} == {"east"}


def test_federated_workloads_count_what_their_pods_counted(
    observed: Observed, federations: dict[str, server.Prometheus]
) -> None:
    """And nobody has the name of a recorded series any more."""
    query = federations["federation-workload.yaml"].query
    _await_nothing(lambda: rules.without_data(query, ["cross-cluster.yaml"]))

    def equal() -> bool:
        return _by_reporter(observed.prometheus.query) == _by_reporter(query)

    observed.paused.set()
    try:
        # At a pace of a second a busy machine misses evaluations, and with each what came since the one before.
        missed = observed.prometheus.missed_evaluations
        wait_until(lambda: equal() or missed(), "the same number of requests")
        for reporter, below in _by_reporter(observed.prometheus.query).items():
            assert below / 2 < _by_reporter(query)[reporter] <= below
    finally:
        observed.paused.clear()
    assert not query('{__name__=~"workload:.+"}')
    assert not query("istio_requests_total{pod!=''}")


def _await_nothing(lines: Callable[[], list[str]]) -> None:
    """Waits until there are none left, and says which otherwise."""
    found = leftovers(lines)
    assert not found, "\n".join(found)


def _by_reporter(query: Query, expression: str = "sum by (reporter) (istio_requests_total)") -> dict[str, float]:
    # What Prometheus extrapolates of native histograms is whole but for the last digits.
    return {one["metric"]["reporter"]: round(one["value"], 6) for one in query(expression)}


def _targets(prometheus: server.Prometheus) -> list[Json]:
    return json.loads(web.read(f"{prometheus.url}/api/v1/targets"))["data"]["activeTargets"]
