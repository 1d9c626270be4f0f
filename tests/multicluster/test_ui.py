"""What a browser shows of both Kubernetes clusters, from the Prometheus that federates them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from lab import browser, ui
from tests.multicluster.mesh.pods import KUBERNETES_CLUSTERS
from tests.multicluster.mesh.prometheus import Prometheus
from tests.multicluster.mesh.running import Mesh
from tests.multicluster.mesh.say import say
from tests.multicluster.mesh.traffic import Steady
from tests.prometheus.ui.screen import Screen

# Over a minute; and the page does not read itself again while a test looks at it.
VIEW = {"range": "1m", "paused": "true"}
# What the frontends call in each Kubernetes cluster, and a part of what is said of it.
CALLED = {
    ("frontend", "reviews", "http"): "p99",
    ("frontend", "reviews", "grpc"): "p99",
    ("frontend", "ledger", "tcp"): "B/s",
}


@pytest.fixture(scope="module")
def chrome() -> Iterator[webdriver.Chrome]:
    if browser.programs() is None and os.environ.get("CI") != "true":
        pytest.skip("needs Chromium and its driver: apt install chromium chromium-driver")
    with browser.opened() as chrome:
        yield chrome


@pytest.fixture(scope="module")
def screen(
    chrome: webdriver.Chrome, mesh: Mesh, federated: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Screen]:
    """The page, while calls go on."""
    directory: Path = tmp_path_factory.mktemp("ui")
    with Steady(mesh.clients), ui.running(directory, "--prometheus", federated.url) as address:
        screen = Screen(chrome, address)
        screen.open("/", **VIEW)
        screen.await_on(lambda: _has_rates(screen), "rates and latency of all that is called")
        yield screen


def _has_rates(screen: Screen) -> bool:
    said = screen.strands()
    return all(text in said.get(strand, "") for strand, text in CALLED.items())


def test_topology(screen: Screen) -> None:
    screen.open("/", **VIEW)
    assert {*KUBERNETES_CLUSTERS} <= {one.text for one in screen.all(".frame .name")}
    expected = {f"shop/{name} in {one}" for name in ("frontend", "reviews", "ledger") for one in KUBERNETES_CLUSTERS}
    assert expected <= screen.boxes().keys()
    # From each frontend to each Kubernetes cluster.
    assert len(screen.all('.strand[data-from="frontend"][data-to="reviews"][data-protocol="http"]')) == 4
    assert not screen.all(".problems")


def test_several_protocols_on_an_edge(screen: Screen) -> None:
    screen.open("/", cluster="east", **VIEW)
    ways = [
        one.get_dom_attribute("d")
        for one in screen.all('.strand[data-from="frontend"][data-to="reviews"] path:is(.http, .grpc)')
    ]
    assert len(ways) >= 2 and len(set(ways)) == len(ways)


def test_main_metrics_in_lists(screen: Screen) -> None:
    screen.open("/services", q="reviews", **VIEW)
    rows = {row["Kubernetes cluster"]: row for row in screen.rows("services")}
    assert rows.keys() == {*KUBERNETES_CLUSTERS}
    for row in rows.values():
        assert re.fullmatch(r"[\d.]+/s", row["Requests"]) and row["Errors"].endswith("%"), row
        assert row["p50"].endswith("ms") and row["p99"].endswith("ms"), row
    screen.open("/clusters", **VIEW)
    pairs = {(row["From"], row["To"]) for row in screen.rows("pairs")}
    assert pairs >= {(one, other) for one in KUBERNETES_CLUSTERS for other in KUBERNETES_CLUSTERS}


def test_tcp_throughput_in_lists(screen: Screen) -> None:
    screen.open("/services", q="ledger", **VIEW)
    rows = screen.rows("services")
    assert {row["Kubernetes cluster"] for row in rows} == {*KUBERNETES_CLUSTERS}
    for row in rows:
        assert re.search(r"[1-9].*B/s", row["TCP from client"]) and re.search(r"[1-9].*B/s", row["TCP to client"]), row


def test_drill_down(screen: Screen) -> None:
    """From the service to its workloads, and to the pods of one of them."""
    screen.open("/services", q="reviews", cluster="west", **VIEW)
    next(one for one in screen.all("#services a") if one.text == "reviews").click()
    assert {"reviews-v1", "reviews-v2"} <= {row["Workload"] for row in screen.rows("workloads-table")}
    callers = {(row["Service"], row["Kubernetes cluster"]) for row in screen.rows("callers-table")}
    assert callers >= {("frontend", one) for one in KUBERNETES_CLUSTERS}
    next(one for one in screen.all("#workloads-table a") if one.text == "reviews-v2").click()
    assert screen.text("h1") == "reviews-v2"
    assert [row["Pod"] for row in screen.rows("pods-table")] == ["reviews-v2-0"]
    # There is no Kubernetes, and nobody who exports its state.
    assert "kube-state-metrics" in screen.text("#pods .missing")


def test_no_flicker(screen: Screen) -> None:
    """Read again and again everything stands where it stood, and every service keeps its rate."""
    screen.open("/", **VIEW)
    positions = screen.boxes()
    for _ in range(8):
        screen.open("/", **VIEW)
        assert screen.boxes() == positions
        assert _has_rates(screen), screen.strands()


def test_partial_failure(screen: Screen, mesh: Mesh) -> None:
    """Without west's Prometheus east stays to be seen, and what is missing is said; then it is back."""
    said = "no target of its job federate-west in the Kubernetes cluster west"
    say("killing west's Prometheus")
    mesh.compose.kill("west-prometheus")
    try:
        screen.open("/", **VIEW)
        screen.await_on(lambda: said in screen.text(), "what is missing")
        assert {"east", "west"} <= {one.text for one in screen.all(".frame .name")}
        # What east itself reports.
        said_of = [str(one.get_attribute("textContent")) for one in screen.all(".strand[data-protocol] title")]
        own = "shop/frontend in east calls shop/reviews in east, http: "
        (rates,) = [one.removeprefix(own) for one in said_of if one.startswith(own)]
        assert "/s" in rates, rates
        assert not screen.all(".problems")
    finally:
        say("starting it again")
        mesh.compose.start("west-prometheus")
        mesh.wait_until_ready()
    screen.await_on(lambda: said not in screen.text(), "that it is back")
