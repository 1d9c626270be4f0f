"""Workloads' series in a store that a Prometheus writes to, also when it cannot be reached for a while."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.prometheus import ask
from lab.waiting import leftovers, wait_until
from tests.prometheus.checks import dashboards, rules, server
from tests.prometheus.checks.victoria_metrics import VictoriaMetrics
from tests.prometheus.conftest import FORMS, Observed, scraping

Store = server.Prometheus | VictoriaMetrics

# While the store is away.
CUT_SECONDS = 4
RECORDED = 'istio_requests_total{reporter="source", response_code="200", request_protocol="http"}'
# VictoriaMetrics 1.79 knows no histogram_sum.
WITH_MEANS = {"Istio: services, workloads, pods / Services"}
DURATION = "istio_request_duration_milliseconds"


def _prometheus(directory: Path) -> Store:
    config = {"global": {}, "rule_files": ["rules/cross-cluster.yaml"]}
    return server.Prometheus(config, directory, [server.RECEIVER, server.NATIVE])


STORES: dict[str, Callable[[Path], Store]] = {"prometheus": _prometheus, "victoria-metrics": VictoriaMetrics}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with STORES[request.param](tmp_path / "store") as store:
        yield store


@pytest.fixture
def sender(observed: Observed, store: Store, tmp_path: Path) -> Iterator[server.Prometheus]:
    """That of a Kubernetes cluster, in which one of two proxies has native histograms."""
    config = server.with_remote_write(scraping(observed.mesh, *FORMS["mixed"]))
    config["remote_write"][0]["url"] = f"{store.url}/api/v1/write"
    config["rule_files"] = ["rules/workload.yaml", "rules/proxies.yaml"]
    with server.Prometheus(config, tmp_path / "sender", [server.NATIVE]) as prometheus:
        yield prometheus


@pytest.mark.usefixtures("sender")
def test_the_store_has_every_workload_and_no_pod(store: Store) -> None:
    found = leftovers(lambda: _without_data(store))
    assert not found, "\n".join(found)
    assert {one["metric"]["cluster"] for one in store.query("istio_requests_total")} == {"east"}
    assert not store.query('{__name__=~"workload.+"}')
    assert not store.query("{__name__=~'istio_(request|response|tcp).+', pod!=''}")


def test_nothing_is_lost_while_the_store_cannot_be_reached(store: Store, sender: server.Prometheus) -> None:
    """What is recorded meanwhile waits in the sender's log, and comes when the store is there again."""
    wait_until(lambda: store.query(RECORDED), "series in the store")
    store.__exit__()
    begin = _times(sender, f"workload:{RECORDED}")[-1]
    wait_until(lambda: _times(sender, f"workload:{RECORDED}")[-1] > begin + CUT_SECONDS, "samples of the cut")
    store.__enter__()
    recorded = [time for time in _times(sender, f"workload:{RECORDED}") if begin <= time <= begin + CUT_SECONDS]
    assert len(recorded) > CUT_SECONDS / 2
    wait_until(lambda: set(recorded) <= set(_times(store, RECORDED)), "every sample of the cut in the store")


def test_native_histograms_do_not_arrive_everywhere(observed: Observed, store: Store, tmp_path: Path) -> None:
    """Pods' own, told to be sent: Prometheus takes them, VictoriaMetrics drops them and nothing else."""
    config = scraping(observed.mesh, *FORMS["native"])
    config["remote_write"] = [{"url": f"{store.url}/api/v1/write", "send_native_histograms": True}]
    config["rule_files"] = []
    with server.Prometheus(config, tmp_path / "sender", [server.NATIVE]) as sender:
        sent = "prometheus_remote_storage_histograms_total"
        wait_until(lambda: sender.query(DURATION) and server.total(sender, sent), "native histograms on their way")
        wait_until(lambda: store.query("istio_requests_total"), "counters in the store")
        if isinstance(store, server.Prometheus):
            wait_until(lambda: store.query(f"histogram_count({DURATION})"), "native histograms in the store")
        else:
            assert not store.query(f'{{__name__=~"{DURATION}.*"}}')


def _without_data(store: Store) -> list[str]:
    """Who evaluates no rules is asked for what the dashboards show."""
    if isinstance(store, server.Prometheus):
        return rules.without_data(store.query, ["cross-cluster.yaml"])
    return dashboards.without_data(store.query, skip=WITH_MEANS)


def _times(store: Store, selector: str) -> list[float]:
    """When each sample of the last minutes was taken."""
    data = ask(store.url, "query", query=f"{selector}[5m]")
    return sorted({time for one in data["result"] for time, _ in one["values"]})
