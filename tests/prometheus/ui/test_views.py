"""What Backyards' users had, and more, over real Envoys and a real Prometheus."""

import os
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from lab import browser
from tests.prometheus.checks import server
from tests.prometheus.checks.mesh import CLUSTER_IDS
from tests.prometheus.conftest import Observed
from tests.prometheus.ui import pages
from tests.prometheus.ui.conftest import Show
from tests.prometheus.ui.screen import Screen

EAST, WEST = CLUSTER_IDS["east"], CLUSTER_IDS["west"]
REVIEWS = {"cluster": WEST, "namespace": "shop", "name": "reviews"}


@pytest.fixture(params=["prometheus", "envoys"])
def screen(request: pytest.FixtureRequest, show: Show, observed: Observed, watched: server.Prometheus) -> Screen:
    """The page over a Prometheus, and over the Envoys themselves; it has rates."""
    if request.param == "prometheus":
        screen = show("--prometheus", watched.url)
        screen.open("/", range="1m")
    else:
        screen = show("--interval", "1", *(envoy.admin_url for envoy in observed.mesh.envoys.values()))
    screen.await_on(lambda: _is_complete(screen.strands()), "rates and latency on all strands")
    return screen


def _is_complete(strands: dict[tuple[str, str, str], str]) -> bool:
    """TCP is reported every few seconds only, a histogram after a flush."""
    said = {(to, protocol): title for (_, to, protocol), title in strands.items()}
    return all(text in said.get(end, "") for end, text in ((("reviews", "http"), "p99"), (("ledger", "tcp"), "B/s")))


def test_topology(screen: Screen) -> None:
    frames = [one.text for one in screen.all(".frame .name")]
    assert {EAST, WEST} <= set(frames)
    assert {f"shop/frontend in {EAST}", f"shop/reviews in {WEST}"} <= screen.boxes().keys()
    said = screen.strands()["frontend", "reviews", "http"]
    assert re.search(r"http: [\d.]+/s, [\d.]+% errors, p50 \S+\sms, p99 \S+\sms", said), said
    assert not screen.all(".problems")


def test_several_protocols_on_an_edge(screen: Screen) -> None:
    protocols = {protocol for source, to, protocol in screen.strands() if (source, to) == ("frontend", "reviews")}
    assert protocols >= {"http", "grpc"}
    ways = [
        one.get_dom_attribute("d")
        for one in screen.all('.strand[data-from="frontend"][data-to="reviews"] path:is(.http, .grpc, .tcp)')
    ]
    assert len(set(ways)) == len(ways) == len(protocols)


def test_main_metrics_in_lists(screen: Screen) -> None:
    screen.go("3")
    assert screen.location.startswith("/services")
    (row,) = [
        row for row in screen.rows("services") if (row["Service"], row["Kubernetes cluster"]) == ("reviews", WEST)
    ]
    assert re.fullmatch(r"[\d.]+/s", row["Requests"]) and re.fullmatch(r"[\d.]+%", row["Errors"])
    assert row["p50"].endswith("ms") and row["p99"].endswith("ms")
    screen.go("4")
    assert {"frontend-v1", "reviews-v2"} <= {row["Workload"] for row in screen.rows("workloads")}
    screen.go("2")
    assert {(row["From"], row["To"]) for row in screen.rows("pairs")} >= {(EAST, WEST)}
    assert "p99" in screen.text(".matrix")


def test_tcp_throughput_in_lists(screen: Screen) -> None:
    screen.go("3")
    ledgers = [row for row in screen.rows("services") if "tcp" in row["Protocols"]]
    assert any(re.search(r"[1-9].*B/s", row["TCP from client"]) for row in ledgers), ledgers
    assert any(re.search(r"[1-9].*B/s", row["TCP to client"]) for row in ledgers), ledgers


def test_lists_are_sorted_and_filtered_by_the_address(screen: Screen) -> None:
    screen.go("3")
    for clicks, is_descending in ((1, True), (2, False)):
        [head] = [one for one in screen.all("#services th a") if one.text.startswith("p99")]
        screen.follow(head)
        found = [_milliseconds(row["p99"]) for row in screen.rows("services")]
        known = [value for value in found if value is not None]
        assert all((a >= b) if is_descending else (a <= b) for a, b in pairwise(known)), (clicks, known)
        assert len(known) > 1
    screen.open("/services", cluster=WEST, namespace="shop", q="REVIEW")
    assert {row["Service"] for row in screen.rows("services")} == {"reviews"}


def test_drill_down(screen: Screen) -> None:
    screen.open("/services", range="1m")
    [link] = [
        one
        for one in screen.all("#services a")
        if one.text == "reviews" and parse_qs(urlsplit(one.get_attribute("href") or "").query)["cluster"] == [WEST]
    ]
    screen.follow(link)
    assert screen.location.startswith("/service?")
    (failed,) = [row for row in screen.rows("outcomes-table") if row["Code"] == "500"]
    assert failed["What happened"] == "the server failed"
    assert "frontend" in {row["Service"] for row in screen.rows("callers-table")}
    [link] = [one for one in screen.all("#workloads-table a") if one.text == "reviews-v2"]
    screen.follow(link)
    assert screen.location.startswith("/workload?")
    assert screen.text("h1") == "reviews-v2"
    assert "frontend-v1" in {row["Workload"] for row in screen.rows("callers-table")}
    assert screen.rows("pods-table")
    assert not screen.all(".problem")


def test_a_flag_in_words(screen: Screen) -> None:
    screen.open("/services", q="details")
    screen.follow(screen.all("#services td a")[0])
    (row,) = [row for row in screen.rows("outcomes-table") if row["Code"] == "503"]
    assert row["Flags"].startswith("UF")
    assert row["What happened"].startswith("unavailable: no connection to the upstream")


def test_pods(show: Show, watched: server.Prometheus) -> None:
    screen = show("--prometheus", watched.url)
    screen.open("/service", **REVIEWS, range="1m")
    (pod,) = screen.await_on(lambda: [row for row in screen.rows("pods-table") if row["CPU"] != "–"], "CPU of a pod")
    assert pod["Pod"] == "reviews-v2-0"
    assert pod["Status"] == "ready 3 restarts"
    assert pod["Memory"] == "73.4\u00a0MB"
    assert pod["Node"] == pages.NODE
    screen.await_on(lambda: screen.all("#latency polyline.p99"), "latency over time")


def test_the_node_of_a_pod(show: Show, watched: server.Prometheus, node_exporter: str) -> None:
    """As node-exporter, which runs for real, knows this machine."""
    if not node_exporter and os.environ.get("CI") != "true":
        pytest.skip("needs node-exporter: apt install prometheus-node-exporter")
    screen = show("--prometheus", watched.url)
    screen.open("/service", **REVIEWS, range="1m")
    (pod,) = screen.await_on(lambda: [row for row in screen.rows("pods-table") if row["its CPU"] != "–"], "its CPU")
    assert 0 <= float(pod["its CPU"].removesuffix("%")) <= 100
    assert abs(float(pod["its memory"].removesuffix("%")) - _memory_in_use()) < 20
    assert "lacks" not in screen.text("#pods")


def _memory_in_use() -> float:
    """Of this machine, in percent."""
    kilobytes = dict(re.findall(r"(\w+): +(\d+) kB", Path("/proc/meminfo").read_text()))
    return 100 * (1 - int(kilobytes["MemAvailable"]) / int(kilobytes["MemTotal"]))


def test_what_is_missing_is_named(show: Show, observed: Observed) -> None:
    screen = show("--prometheus", observed.prometheus.url)
    screen.open("/service", **REVIEWS, range="1m")
    said = screen.await_on(lambda: screen.text("#pods .missing"), "a line on what is missing")
    for name in ("kube-state-metrics", "cAdvisor", "node-exporter"):
        assert name in said


def test_recorded_series(show: Show, observed: Observed) -> None:
    """Under their own names, as where workloads are recorded and not federated."""
    screen = show("--prometheus", observed.prometheus.url, "--metric-prefix", "workload:istio_")
    screen.open("/", range="1m")
    screen.await_on(
        lambda: "/s" in screen.strands().get(("frontend", "reviews", "http"), ""), "rates of recorded series"
    )


def test_the_address_holds_the_view(screen: Screen) -> None:
    screen.open("/", by="workload", cluster=WEST, q="reviews", paused="true")
    boxes = screen.boxes()
    assert f"shop/reviews-v2 in {WEST}" in boxes
    screen.go("3")
    asked = parse_qs(urlsplit(screen.location).query)
    assert (asked["cluster"], asked["q"], asked["paused"]) == ([WEST], ["reviews"], ["true"])
    screen.go("1")
    assert screen.boxes() == boxes
    assert screen.run("document.querySelector('select[name=by]').value") == "workload"


def test_everything_is_reached_by_keys(screen: Screen) -> None:
    screen.press("/")
    assert screen.run("document.activeElement.id") == "q"
    screen.go("reviews" + Keys.ENTER)
    assert "q=reviews" in screen.location
    reached = set()
    for _ in range(60):
        screen.tab()
        reached.add(screen.run("document.activeElement.getAttribute('class') ?? document.activeElement.localName"))
    assert any(str(one).startswith("box") for one in reached) and any(str(one).startswith("strand") for one in reached)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 4000])
def test_readable_at_any_width(screen: Screen, chrome: webdriver.Chrome, width: int, theme: str) -> None:
    browser.look(chrome, width, theme=theme)
    for path in ("/", "/services", "/clusters"):
        screen.open(path)
        assert screen.run("document.documentElement.scrollWidth <= innerWidth"), path
    ground = str(screen.run("getComputedStyle(document.body).backgroundColor"))
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 400) == (theme == "light")
    screen.open("/")
    smallest = screen.run(
        "Math.min(...[...document.querySelectorAll('.topology text')].map((one) => one.getBoundingClientRect().height))"
    )
    assert isinstance(smallest, float | int) and smallest > 7


def _milliseconds(text: str) -> float | None:
    found = re.fullmatch(r"([\d.]+)\s(m?s)", text)
    return float(found[1]) * (1 if found[2] == "ms" else 1000) if found else None
