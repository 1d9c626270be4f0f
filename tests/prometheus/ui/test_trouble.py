"""What a page shows when something is wrong, and what it never does."""

import itertools
import threading
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException

from lab import imagined
from lab.waiting import wait_until
from tests.e2e.harness import clients
from tests.prometheus.checks.mesh import CLUSTER_IDS
from tests.prometheus.conftest import Observed
from tests.prometheus.ui import pages
from tests.prometheus.ui.conftest import Show
from tests.prometheus.ui.screen import Screen

EAST, WEST = CLUSTER_IDS["east"], CLUSTER_IDS["west"]


def test_no_flicker(show: Show) -> None:
    """Every second request fails: read as often as one comes, the share is zero, then one, then zero."""
    ticks = itertools.count(100)
    counts = {"200": 0, "503": 0}

    def page() -> str:
        counts["503" if next(ticks) % 2 else "200"] += 1
        labels = (
            'reporter="source",source_cluster="east",source_workload="web",source_workload_namespace="shop",'
            'destination_cluster="west",destination_workload="db",destination_workload_namespace="shop",'
            'destination_service_name="db",destination_service_namespace="shop",request_protocol="http"'
        )
        return "".join(
            f'istio_requests_total{{{labels},response_code="{code}"}} {count}\n' for code, count in counts.items()
        )

    with pages.served({"/page": page}) as url:
        screen = show("--interval", "0.2", f"{url}/page")
        screen.await_on(lambda: sum(counts.values()) > 8 and screen.strands(), "some readings")
        positions, shares = screen.boxes(), []
        for _ in range(12):
            screen.open("/")
            assert screen.boxes() == positions
            (said,) = screen.strands().values()
            shares.append(float(said.partition("% errors")[0].rpartition(" ")[2]))
        assert len({sum(counts.values())}) == 1 and all(20 < share < 80 for share in shares), shares


def test_partial_failure(show: Show, between: pages.Between) -> None:
    """Without latency the rest is there."""
    between.instead = lambda query: pages.failure("query timed out") if "duration" in query else None
    screen = show("--prometheus", between.url)
    screen.open("/", range="1m")
    said = screen.await_on(lambda: screen.strands().get(("frontend", "reviews", "http")), "the strand")
    assert "/s" in said and "p99" not in said
    assert "Latency cannot be shown: " in screen.text(".problems") and "query timed out" in screen.text(".problems")
    screen.open("/service", cluster=WEST, namespace="shop", name="reviews", range="1m")
    assert "Latency over time cannot be shown" in screen.text("#latency")
    assert screen.rows("outcomes-table") and screen.rows("callers-table")
    assert "Pods cannot be shown" in screen.text("#pods")


def test_partial_failure_of_envoys(show: Show, observed: Observed) -> None:
    """One of two that are read is gone."""
    with clients.refusing_port() as port:
        screen = show("--interval", "1", observed.mesh.east.admin_url, f"http://127.0.0.1:{port}")
        screen.await_on(lambda: "/s" in screen.strands().get(("frontend", "reviews", "http"), ""), "rates")
        assert f"127.0.0.1:{port}" in screen.text(".problems")


def test_a_job_without_any_target_left(show: Show, between: pages.Between) -> None:
    """As another Kubernetes cluster's Prometheus that is gone: the page says what is missing, the rest is there."""
    down = b'{"metric":{"job":"federate-west","cluster":"west"},"value":[0,"0"]}'
    answer = b'{"status":"success","data":{"resultType":"vector","result":[%s]}}' % down
    between.instead = lambda query: (200, {}, answer) if "(up)" in query else None
    screen = show("--prometheus", between.url)
    screen.open("/", range="1m")
    screen.await_on(lambda: "/s" in screen.strands().get(("frontend", "reviews", "http"), ""), "rates")
    said = "Prometheus reaches no target of its job federate-west in the Kubernetes cluster west"
    assert said in screen.text(".note") and not screen.all(".problems")


def test_a_prometheus_that_fails(show: Show, between: pages.Between) -> None:
    screen = show("--prometheus", between.url)
    screen.open("/", range="1m")
    screen.await_on(lambda: screen.boxes().keys() or None, "boxes")
    boxes = screen.boxes()
    between.instead = lambda _: pages.failure("out of memory")
    screen.await_on(lambda: "Shown is what was there" in screen.text(".problems"), "the last picture, with its age")
    assert screen.boxes() == boxes
    assert "out of memory" in screen.text(".problems")
    for path in ("/clusters", "/services", "/workloads", "/service", "/workload"):
        screen.open(path, range="1m")
        assert screen.text("h1") or path in ("/service", "/workload")
        assert "out of memory" in screen.text(".problems")
    between.instead = lambda _: None
    screen.open("/", range="1m")
    screen.await_on(lambda: not screen.all(".problems"), "no problems any more")


def test_one_that_was_never_there(show: Show) -> None:
    with clients.refusing_port() as port:
        screen = show("--prometheus", f"http://127.0.0.1:{port}")
        assert f"cannot read http://127.0.0.1:{port}" in screen.text(".problems")
        assert "Nothing calls anything here." in screen.text()


def test_what_is_no_prometheus(show: Show) -> None:
    with pages.served({"/api/v1/query": "<h1>Hello"}) as url:
        screen = show("--prometheus", url)
        assert "not as a Prometheus" in screen.text(".problems")
        assert not screen.all("main h1 + h1")


def test_no_request_is_led_elsewhere(show: Show) -> None:
    """A redirect is not followed, and the page loads nothing from elsewhere."""
    asked: list[str] = []

    def elsewhere(path: str) -> pages.Answer:
        asked.append(path)
        return 200, {}, b""

    with pages.serving(pages.answering(elsewhere)) as other:
        redirect = pages.answering(lambda path: (302, {"location": other + path}, b""))
        with pages.serving(redirect) as url:
            screen = show("--prometheus", url)
            screen.requested()
            for path in ("/", "/clusters", "/services", "/workloads"):
                screen.open(path)
            assert "302" in screen.text(".problems")
            own = [one for one in screen.requested() if not one.startswith(("data:", "chrome"))]
            assert own and all(one.startswith(screen.address) for one in own)
    assert not asked


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "&lt;b&gt; & %3Cb%3E ?a=b#c",
    "line\nbreak\ttab\x00nul\x1b[31m",
    "\u202etxet desrever\u200b\ufeff",
    "x" * 3000,
    "☃ ünïcode \U0001f600",
]


def test_hostile_labels(show: Show, chrome: webdriver.Chrome) -> None:
    """What strangers put into names is text everywhere, and each of them has its page."""
    east = imagined.Workload("east", "shop", "web")
    calls = [
        imagined.Call(east, imagined.Workload(text if number % 2 else "west", text, text, text), 5.0, service=text)
        for number, text in enumerate(HOSTILE)
    ]
    with imagined.served(calls) as urls:
        screen = show("--interval", "0.5", *urls)
        screen.await_on(lambda: [title for title in screen.strands().values() if "/s" in title], "rates on strands")
        screen.console()
        for path in ("/", "/?by=workload", "/?by=namespace", "/clusters", "/services", "/workloads"):
            screen.open(path)
            _is_only_text(screen, chrome)
        screen.open("/")
        boxes = " ".join(screen.boxes())
        assert "<script>alert(1)</script>" in boxes and "⟨U+0000⟩" in boxes and "⟨U+202E⟩" in boxes
        links = [screen.address + (one.get_dom_attribute("href") or "") for one in screen.all(".box")]
        for link in links:
            assert link.startswith(f"{screen.address}/service?")
            chrome.get(link)
            _is_only_text(screen, chrome)
            assert screen.all(".topology .strand"), link


def _is_only_text(screen: Screen, chrome: webdriver.Chrome) -> None:
    with pytest.raises(NoAlertPresentException):
        _ = chrome.switch_to.alert.text
    assert not screen.all("main :is(script, img, b, iframe, [onerror], [onmouseover], [style])")
    assert screen.run("document.documentElement.scrollWidth <= innerWidth")
    assert not screen.console()


def test_only_reading_and_only_here(show: Show) -> None:
    with imagined.served(imagined.shop()) as urls, httpx.Client(trust_env=False) as client:
        address = show(*urls).address
        for path in ("/", "/services", "/style.css", "/script.js", "/icon.svg", "/nowhere"):
            response = client.get(address + path)
            assert response.status_code == (404 if path == "/nowhere" else 200)
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert response.headers["x-content-type-options"] == "nosniff"
        for method in ("POST", "PUT", "DELETE"):
            assert client.request(method, f"{address}/").status_code == 405
        assert client.get(f"{address}/", headers={"host": "evil.example"}).status_code == 403
        assert client.get(f"{address}/?by=nonsense").status_code == 400


def test_pages_work_without_their_script(show: Show, chrome: webdriver.Chrome) -> None:
    with imagined.served(imagined.shop()) as urls:
        screen = show("--interval", "0.5", *urls)
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        try:
            screen.open("/services")
            assert screen.all(".filters button")[0].is_displayed()
            screen.all("#q")[0].send_keys("ledger")
            screen.follow(screen.all(".filters button")[0])
            assert "q=ledger" in screen.location
            assert [one.text for one in screen.all("#services td.name a")][:1] == ["ledger"]
        finally:
            chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_page_reads_itself_again_and_keeps_its_place(show: Show) -> None:
    with imagined.served(imagined.shop()) as urls:
        screen = show("--interval", "0.5", *urls)
        screen.await_on(lambda: [title for title in screen.strands().values() if "/s" in title], "rates on strands")
        screen.run("document.querySelector('.box[href*=payments]').focus()")
        before = screen.run("document.querySelector('.state').textContent")
        screen.run("document.querySelector('main').dataset.kept = 'yes'")
        wait_until(lambda: screen.run("document.querySelector('.state').textContent") != before, "a newer picture")
        assert screen.run("document.querySelector('main').dataset.kept") == "yes"
        assert "payments" in str(screen.run("document.activeElement.getAttribute('href')"))


def test_many_who_look(show: Show) -> None:
    """All of them get an answer."""
    with imagined.served(imagined.shop()) as urls, httpx.Client(trust_env=False) as client:
        address = show(*urls).address
        seen: list[Any] = []
        look = lambda: seen.append(client.get(f"{address}/services").status_code)  # noqa: E731
        with ExitStack() as stack:
            threads = [threading.Thread(target=look) for _ in range(20)]
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
        assert seen == [200] * 20
