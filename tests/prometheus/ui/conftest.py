"""A browser, and pages of `istio-stats ui` over what the tests of Prometheus run."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium import webdriver

from lab import browser, ui, web
from lab.ports import free_ports
from lab.processes import Process
from tests.prometheus.checks import server
from tests.prometheus.conftest import Observed
from tests.prometheus.ui import pages
from tests.prometheus.ui.screen import Screen

Show = Callable[..., Screen]


@pytest.fixture(scope="session")
def chrome() -> Iterator[webdriver.Chrome]:
    with browser.opened() as chrome:
        yield chrome


@pytest.fixture
def show(chrome: webdriver.Chrome, tmp_path: Path) -> Iterator[Show]:
    """Runs the command with these arguments, and opens its page."""
    with ExitStack() as stack:

        def run(*arguments: str) -> Screen:
            address = stack.enter_context(ui.running(tmp_path, *arguments))
            browser.look(chrome, 1400)
            screen = Screen(chrome, address)
            screen.open("/")
            return screen

        yield run


@pytest.fixture(scope="session")
def node_exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real one for this machine; empty if there is none here."""
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        yield ""
        return
    (port,) = free_ports(1)
    collectors = [f"--collector.{name}" for name in ("cpu", "meminfo", "uname")]
    arguments = ["--collector.disable-defaults", *collectors, f"--web.listen-address=127.0.0.1:{port}"]
    exporter = Process("node-exporter", [program, *arguments], tmp_path_factory.mktemp("node-exporter") / "log")
    try:
        exporter.wait_until(lambda: web.answers_ok(f"http://127.0.0.1:{port}/metrics"))
        yield f"127.0.0.1:{port}"
    finally:
        exporter.stop()


@pytest.fixture(scope="session")
def watched(
    observed: Observed, node_exporter: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[server.Prometheus]:
    """A Prometheus above that of the Envoys, which also knows the machines: what Kubernetes' exporters would say of the
    pods, and what node-exporter says of this machine.
    """
    config = server.configuration("federation.yaml")
    (east,) = [job for job in config["scrape_configs"] if job["job_name"] == "federate-east"]
    east["static_configs"][0]["targets"] = [observed.prometheus.address]
    with pages.served({"/metrics": pages.exporters()}) as url:
        targets = [address for address in (url.removeprefix("http://"), node_exporter) if address]
        machines = {
            "job_name": "machines",
            "honor_labels": True,
            "static_configs": [{"targets": targets, "labels": {"cluster": "east"}}],
        }
        config["scrape_configs"] = [east, machines]
        with server.Prometheus(config, tmp_path_factory.mktemp("watched") / "prometheus") as prometheus:
            yield prometheus


@pytest.fixture
def between(watched: server.Prometheus) -> Iterator[pages.Between]:
    """What stands in front of a Prometheus and may answer in its place."""
    between = pages.Between(watched.url)
    with pages.serving(between.handler()) as url:
        between.url = url
        yield between
