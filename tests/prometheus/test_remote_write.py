"""Workloads' series in a store that a Prometheus writes to, also when it cannot be reached for a while."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.prometheus import ask
from lab.waiting import leftovers, wait_until
from tests.prometheus.checks import rules, server
from tests.prometheus.conftest import FORMS, Observed, scraping

# While the store is away.
CUT_SECONDS = 4
RECORDED = 'istio_requests_total{reporter="source", response_code="200", request_protocol="http"}'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[server.Prometheus]:
    config = {"global": {}, "rule_files": ["rules/cross-cluster.yaml"]}
    with server.Prometheus(config, tmp_path / "store", [server.RECEIVER]) as prometheus:
        yield prometheus


@pytest.fixture
def sender(observed: Observed, store: server.Prometheus, tmp_path: Path) -> Iterator[server.Prometheus]:
    """That of a Kubernetes cluster, in which one of two proxies has native histograms."""
    config = server.with_remote_write(scraping(observed.mesh, *FORMS["mixed"]))
    config["remote_write"][0]["url"] = f"{store.url}/api/v1/write"
    config["rule_files"] = ["rules/workload.yaml", "rules/proxies.yaml"]
    with server.Prometheus(config, tmp_path / "sender", [server.NATIVE]) as prometheus:
        yield prometheus


@pytest.mark.usefixtures("sender")
def test_the_store_has_every_workload_and_no_pod(store: server.Prometheus) -> None:
    found = leftovers(lambda: rules.without_data(store.query, ["cross-cluster.yaml"]))
    assert not found, "\n".join(found)
    assert {one["metric"]["cluster"] for one in store.query("istio_requests_total")} == {"east"}
    assert not store.query('{__name__=~"workload.+"}')
    assert not store.query("{__name__=~'istio_(request|response|tcp).+', pod!=''}")


def test_nothing_is_lost_while_the_store_cannot_be_reached(store: server.Prometheus, sender: server.Prometheus) -> None:
    """What is recorded meanwhile waits in the sender's log, and comes when the store is there again."""
    wait_until(lambda: store.query(RECORDED), "series in the store")
    store.__exit__()
    begin = _times(sender, f"workload:{RECORDED}")[-1]
    wait_until(lambda: _times(sender, f"workload:{RECORDED}")[-1] > begin + CUT_SECONDS, "samples of the cut")
    store.__enter__()
    recorded = [time for time in _times(sender, f"workload:{RECORDED}") if begin <= time <= begin + CUT_SECONDS]
    assert len(recorded) > CUT_SECONDS / 2
    wait_until(lambda: set(recorded) <= set(_times(store, RECORDED)), "every sample of the cut in the store")


def _times(prometheus: server.Prometheus, selector: str) -> list[float]:
    """When each sample of the last minutes was taken."""
    data = ask(prometheus.url, "query", query=f"{selector}[5m]")
    return sorted({time for one in data["result"] for time, _ in one["values"]})
