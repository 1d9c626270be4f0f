"""Meshes of hundreds of services: in time, within memory, and still to be followed."""

import time
from pathlib import Path

from selenium import webdriver

from lab import browser, imagined, ui
from lab.memory import resident_bytes
from tests.prometheus.ui.conftest import Show
from tests.prometheus.ui.screen import Screen

# Far above what docs/command.md says, for machines that have much else to do.
FIRST_SECONDS, NEXT_SECONDS, MOST_BYTES = 90, 30, 400_000_000


def test_five_hundred_services_in_time_and_memory(chrome: webdriver.Chrome, tmp_path: Path) -> None:
    with imagined.served(imagined.many(500)) as urls:
        began = time.monotonic()
        with ui.process(tmp_path, *urls) as (process, address):
            browser.look(chrome, 1400)
            screen = Screen(chrome, address)
            screen.open("/")
            assert len(screen.boxes()) == 500
            first = time.monotonic() - began
            screen.await_on(lambda: any("p99" in said for said in screen.strands().values()), "rates and latency")
            took = []
            for path in ("/", "/services", "/clusters", "/"):
                began = time.monotonic()
                screen.open(path)
                took.append(time.monotonic() - began)
            memory = resident_bytes(process.pid)
    said = f"first picture after {first:.1f} s, then {', '.join(f'{one:.1f}' for one in took)} s; {memory / 1e6:.0f} MB"
    print(said)
    assert first < FIRST_SECONDS and max(took) < NEXT_SECONDS and memory < MOST_BYTES, said


def test_more_are_shown_by_their_namespaces(show: Show) -> None:
    """And in full where one looks closer."""
    with imagined.served(imagined.many(700)) as urls:
        screen = show(*urls)
        assert "700 services are more than a picture can hold" in screen.text(".note")
        assert len(screen.boxes()) == 12
        screen.open("/", namespace="team-05")
        assert not screen.all(".note") and 50 < len(screen.boxes()) < 500


def test_strands_can_be_followed(show: Show, chrome: webdriver.Chrome) -> None:
    """What the pointer is at stands out: a box with its strands and their other ends, or one strand."""
    with imagined.served(imagined.many(60)) as urls:
        screen = show(*urls)
        screen.open("/", paused="true")
        [one] = [box for box in screen.all(".box") if box.text.startswith("service-005")]
        webdriver.ActionChains(chrome).move_to_element(one).perform()
        lit = {name.text.partition("\n")[0] for name in screen.all(".box.lit")}
        assert lit == {f"service-{number:03}" for number in (0, 2, 5, 11, 12, 15)}
        ends = screen.run(
            "[...document.querySelectorAll('.strand.lit')].map((one) => [one.dataset.from, one.dataset.to])"
        )
        assert isinstance(ends, list) and len(ends) == 5 and all("service-005" in pair for pair in ends)
        faded = screen.run("getComputedStyle(document.querySelector('.strand:not(.lit)')).opacity")
        assert float(str(faded)) < 0.5
        webdriver.ActionChains(chrome).move_to_element(screen.all("h1")[0]).perform()
        assert not screen.all(".lit, .followed")
