"""One mesh for all tests. They run in the order of their files: what breaks something comes last, and repairs it.

For a test of your own: `federated` is the Prometheus that sees both Kubernetes
clusters, and with `traffic` it has series of every metric: HTTP with and without
errors, gRPC with messages, TCP, the overflow, peers that cannot be decoded.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab import ui
from tests.multicluster.mesh import accounts, report
from tests.multicluster.mesh import running as mesh_running
from tests.multicluster.mesh.paths import OUT
from tests.multicluster.mesh.prometheus import Prometheus
from tests.multicluster.mesh.running import Mesh
from tests.multicluster.mesh.say import say
from tests.multicluster.mesh.traffic import Steady, send_profile

STEADY_SECONDS = 30
KEEP = os.environ.get("MULTICLUSTER_KEEP", "") not in ("", "0")


def pytest_configure() -> None:
    # Whoever ends this run, the containers go, too.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    print()
    with mesh_running.running() as running:
        yield running
        for ended in running.compose.ended():
            say(ended)
        report.show(running.federated, running.age)
        if KEEP:
            keep(running)


@dataclass(frozen=True)
class Window:
    """Unix times between which there was traffic at an even pace, and its metrics arrived."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@pytest.fixture(scope="session")
def traffic(mesh: Mesh) -> Window:
    """Sends something of everything, then at an even pace; returns the Window of that."""
    say("sending HTTP, gRPC and TCP from and to both Kubernetes clusters")
    send_profile(mesh.clients, mesh.outside)
    say(f"the same at an even pace for {STEADY_SECONDS} s")
    with Steady(mesh.clients):
        time.sleep(STEADY_SECONDS)
        # The first seconds begin the series; the last ones may not be federated yet.
        end = time.time() - 5
    say(f"sent {mesh.account.requests.total()} requests and {mesh.account.connections.total()} TCP connections")
    accounts.check(mesh)
    return Window(end - STEADY_SECONDS + 10, end)


@pytest.fixture(scope="session")
def federated(mesh: Mesh) -> Prometheus:
    """The Prometheus that sees both Kubernetes clusters."""
    return mesh.federated


def keep(running: Mesh) -> None:
    print("It stays up, with some traffic, until Ctrl-C:")
    for name, prometheus in running.prometheis.items():
        print(f"  {name:18} {prometheus.url}")
    for one, client in running.clients.items():
        print(f"  requests from {one}: {client.example}")
    try:
        with (
            Steady(running.clients, per_second=1),
            ui.running(OUT, "--prometheus", running.federated.url) as address,
        ):
            print(f"  in a browser       {address}/")
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        print("\nstopped")
