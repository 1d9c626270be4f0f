"""What `make demo` ends with, if it is kept: its page, as the tour shows it."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from lab import browser
from lab.processes import Process
from tests.prometheus.ui.screen import Screen


@pytest.fixture(scope="module", params=[False, True], ids=["wasm", "native"])
def native(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def address(native: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    options = ["--keep", *(["--native"] if native else [])]
    demo = Process("make demo", [sys.executable, "-m", "demo", *options], tmp_path_factory.mktemp("demo") / "log")
    try:
        yield demo.wait_until(lambda: re.findall(r"in a browser: (\S+)/\n", demo.log()), "told its address")[0]
    finally:
        demo.stop()


def test_the_demo_ends_with_a_picture(address: str, chrome: webdriver.Chrome) -> None:
    browser.look(chrome, 1400)
    screen = Screen(chrome, address)
    screen.open("/")
    expected = {
        ("frontend", "reviews", "http"),
        ("frontend", "reviews", "grpc"),
        ("frontend", "ledger", "tcp"),
        ("frontend", "details", "http"),
    }
    screen.await_on(lambda: expected <= screen.strands().keys(), "all that the demo calls")
    assert {"east", "west"} <= {one.text for one in screen.all(".frame .name")}
    # It goes on, so that there are rates to look at.
    screen.await_on(lambda: "100% errors" in screen.strands()["frontend", "details", "http"], "what fails")
    screen.follow(screen.all('.box[href*="details"]')[0])
    assert screen.text("h1") == "details"
    (row,) = screen.rows("outcomes-table")
    assert (row["Code"], row["Flags"]) == ("503", "UF")
    assert row["What happened"] == "unavailable: no connection to the upstream"


@pytest.mark.usefixtures("address")
def test_a_second_one_says_what_is_in_its_way(tmp_path: Path) -> None:
    second = Process("make demo", [sys.executable, "-m", "demo", "--keep"], tmp_path / "log")
    second.wait(60)
    assert second.status == 1
    assert "15080" in second.log() and "istio-stats ui" in second.log()
