"""Two Envoys under traffic and the Prometheus of their pods, for all tests that look at real data.

.venv/bin/pytest tests/prometheus
"""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from lab.tree import Json
from tests.prometheus.checks import mesh, pods, server

# Between two rounds of traffic; shorter than the pace of scrapes, so that each of them finds more.
PAUSE_SECONDS = 0.4
FEDERATIONS = ("federation.yaml", "federation-workload.yaml")
EAST_POD = {"name": "frontend-v1-0", "namespace": "shop"}
WEST_POD = {"name": "reviews-v2-0", "namespace": "shop"}
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Observed:
    mesh: mesh.Mesh
    # That of both Kubernetes clusters' pods.
    prometheus: server.Prometheus
    # Holds the traffic while it is set.
    paused: threading.Event


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Both Envoys under traffic, and their Prometheus."""
    directory = tmp_path_factory.mktemp("envoys")
    with mesh.running(directory) as envoys:
        prometheus = server.Prometheus(scraping(envoys), directory / "prometheus")
        with prometheus, _traffic(envoys) as paused:
            yield Observed(envoys, prometheus, paused)


# What the pods of the east and of the west are annotated with, by what that makes of histograms.
FORMS: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "classic": (NOTHING, NOTHING),
    "native": (pods.NATIVE, pods.NATIVE),
    "mixed": (pods.NATIVE, NOTHING),
}


@pytest.fixture(scope="session", params=FORMS)
def any_form(
    request: pytest.FixtureRequest, observed: Observed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[server.Prometheus]:
    """A Prometheus of both pods, in whatever form it asks them for histograms; no two of them at a time."""
    if request.param == "classic":
        yield observed.prometheus
        return
    directory = tmp_path_factory.mktemp(request.param) / "prometheus"
    with server.Prometheus(scraping(observed.mesh, *FORMS[request.param]), directory, [server.NATIVE]) as prometheus:
        yield prometheus


def scraping(envoys: mesh.Mesh, east: Mapping[str, str] = NOTHING, west: Mapping[str, str] = NOTHING) -> Json:
    """The configuration of kubernetes.yaml for these pods, with further labels of theirs."""
    found = [
        *pods.annotated(**EAST_POD, port=envoys.admin_port("east"), **east),
        *pods.with_proxy_port(**WEST_POD, port=envoys.admin_port("west"), **west),
        *pods.completed("job-0", "shop", envoys.admin_port("east")),
    ]
    config = pods.put_into(server.configuration("kubernetes.yaml"), found)
    config["rule_files"] = ["rules/*.yaml"]
    return config


@pytest.fixture(scope="session")
def federations(observed: Observed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, server.Prometheus]]:
    """A Prometheus above it by the name of its configuration; the one below stands for the Kubernetes cluster east."""
    with ExitStack() as stack:
        running = {}
        for name in FEDERATIONS:
            config = server.configuration(name)
            (east,) = [job for job in config["scrape_configs"] if job["job_name"] == "federate-east"]
            east["static_configs"][0]["targets"] = [observed.prometheus.address]
            config["scrape_configs"] = [east]
            directory = tmp_path_factory.mktemp("federation") / "prometheus"
            running[name] = stack.enter_context(server.Prometheus(config, directory))
        yield running


@contextmanager
def _traffic(envoys: mesh.Mesh) -> Iterator[threading.Event]:
    """Round after round until the context ends, but not while the event that it yields is set."""
    ending, paused = threading.Event(), threading.Event()

    def run() -> None:
        while not ending.wait(PAUSE_SECONDS):
            if not paused.is_set():
                envoys.send()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield paused
        finally:
            ending.set()
        running.result()
