"""A VM that dies of a trap amid traffic: what that costs, and what tells of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from lab import bootstrap
from lab.tree import Json
from tests.e2e.harness import clients
from tests.e2e.harness.altered import Altered, use_module
from tests.e2e.harness.command import trapping_module
from tests.e2e.harness.doctor import diagnose
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import headers
from tests.e2e.harness.requests import status_of
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.workloads import SHOP

# A VM counts so many requests and traps at the next one.
LIFE = 20
# Nothing waits for its definition, so a VM takes nothing else with it.
STATS = {"attachment": "http", "define_in_place": True}
# Envoy starts a VM again at the first request after so long, since it last did that.
INTERVAL_SECONDS = 1
ANSWER = [bootstrap.direct_response("/", 200)]
ANY_LOG: Json = {"permitted_log": "."}


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trapping_module("proxy_on_log", tmp_path_factory.mktemp("trap"), LIFE)


def _trapping(trap: Path, sidecar: Runnable, failure_policy: str) -> Altered:
    return Altered(sidecar, lambda whole: use_module(whole, trap, failure_policy))


def _calling(port: int) -> httpx.Client:
    """A client whose peer says who it is."""
    caller = clients.http1(port)
    caller.headers.update(headers(SHOP))
    return caller


def test_fail_open_serves_on_and_other_workers_count_on(mesh: Mesh, trap: Path) -> None:
    port = mesh.start(_trapping(trap, west(1, routes=ANSWER, stats=STATS, workers=2, **ANY_LOG), "FAIL_OPEN"))
    # Each connection has a worker of its own.
    with _calling(port) as sick, _calling(port) as well:
        assert well.get("/").status_code == 200
        for _ in range(5 * LIFE):
            assert sick.get("/").status_code == 200
        for _ in range(LIFE - 1):
            assert well.get("/").status_code == 200
    mesh.await_total("west", "istio_requests_total", 2 * LIFE)
    finding = diagnose(mesh["west"], "not-counting")["not-counting"]
    assert finding["seen"] == [f"since Envoy's start {6 * LIFE} requests ended and {2 * LIFE} were counted"]


def test_fail_open_refuses_what_is_in_flight(mesh: Mesh, trap: Path, backend: int) -> None:
    port = mesh.start(_trapping(trap, west(backend, stats=STATS, **ANY_LOG), "FAIL_OPEN"))
    with ThreadPoolExecutor() as pool, _calling(port) as caller:
        in_flight = pool.submit(status_of, port, {":path": "/delay/10"})
        mesh["west"].await_stat("http.west.downstream_rq_active", 1)
        for _ in range(LIFE + 5):
            assert caller.get("/").status_code == 200
        assert in_flight.result() == 503


@pytest.mark.parametrize("lives_for", [0, 1.5 * INTERVAL_SECONDS], ids=["early", "late"])
def test_fail_reload_counts_on(mesh: Mesh, trap: Path, lives_for: float) -> None:
    """Of each VM's requests the one that traps is lost. A VM that traps early has others refused, too."""
    lives, refused = 4, []
    port = mesh.start(_trapping(trap, west(1, routes=ANSWER, stats=STATS, **ANY_LOG), "FAIL_RELOAD"))
    with _calling(port) as caller:
        for _ in range(lives):
            begin = time.monotonic()
            # Until a new VM is there; it counts this one.
            while caller.get("/").status_code == 503:
                refused.append(time.monotonic() - begin)
            time.sleep(lives_for)
            for _ in range(LIFE):
                assert caller.get("/").status_code == 200
    print(f"{len(refused)} requests refused, for at most {max(refused, default=0):.2f} s")
    assert bool(refused) == (lives_for == 0)
    mesh.await_total("west", "istio_requests_total", lives * LIFE)
    reloads = "wasm.istio_stats.vm_reload_success"
    assert mesh["west"].stats(f"^{reloads}$")[reloads] == lives - 1
    diagnose(mesh["west"], "failure-policy", "vm-failed", *([] if lives_for else ["not-counting"]))
