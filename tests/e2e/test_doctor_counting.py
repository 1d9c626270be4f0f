"""`istio-stats doctor` where a VM died of a trap and traffic goes on."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from lab import bootstrap
from lab.paths import module
from lab.tree import Json
from tests.e2e.harness import clients, tcp, tcp_traffic
from tests.e2e.harness.altered import Altered, deliver_listeners, http_manager, use_module
from tests.e2e.harness.command import trapping_module
from tests.e2e.harness.doctor import call, diagnose, serve
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import headers
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.workloads import SHOP

ANSWER = [bootstrap.direct_response("/", 200)]
ANY_LOG: Json = {"permitted_log": "."}


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stats module, with a trap in `on_log`."""
    return trapping_module("proxy_on_log", tmp_path_factory.mktemp("trap"))


def plugins_of(sidecar: Runnable) -> list[Json]:
    """The filters of the stats plugin."""
    return [one for one in http_manager(sidecar.bootstrap())["http_filters"] if one["name"] == "istio_stats"]


def _trapping(trap: Path, sidecar: Runnable, failure_policy: str = "FAIL_OPEN") -> Altered:
    return Altered(sidecar, lambda whole: use_module(whole, trap, failure_policy))


def test_since_the_start_nothing_was_counted(mesh: Mesh, trap: Path) -> None:
    envoy = serve(mesh, _trapping(trap, west(1, routes=ANSWER, **ANY_LOG)), times=5, count=False)
    finding = diagnose(envoy, "not-counting")["not-counting"]
    assert finding["seen"] == ["since Envoy's start 5 requests ended and 0 were counted"]


def test_what_counts_under_other_names_does_not_stand_in(mesh: Mesh, trap: Path) -> None:
    """A healthy plugin with Istio's names beside a dead one with others."""
    (istio,) = plugins_of(west(1))
    sick = _trapping(trap, west(1, routes=ANSWER, stats={"attachment": "http", "metric_prefix": "mesh_"}, **ANY_LOG))
    envoy = serve(mesh, Altered(sick, lambda whole: http_manager(whole)["http_filters"].insert(0, istio)), times=5)
    finding = diagnose(envoy, "not-counting")["not-counting"]
    assert finding["seen"] == ["since Envoy's start 5 requests ended and 0 were counted as mesh_…"]


def test_while_it_watches_nothing_is_counted(mesh: Mesh, trap: Path) -> None:
    port = mesh.start(_trapping(trap, west(1, routes=ANSWER, **ANY_LOG)))
    with traffic(port):
        finding = diagnose(mesh["west"], "not-counting", seconds=3)["not-counting"]
    assert finding["seen"][0].startswith("within 3 s ")
    assert finding["seen"][0].endswith(" and 0 were counted")


def test_a_part_of_the_traffic_is_not_counted(mesh: Mesh, trap: Path) -> None:
    """As when one of several workers' VMs died; which worker a request meets is not a test's to choose, so here it is
    one of two listeners."""
    sick = west(1, name="sick", routes=ANSWER, upstream_clusters=[])

    def change(whole: Json) -> None:
        use_module(whole["static_resources"]["listeners"][1], trap)

    port = mesh.start(Altered(west(1, routes=ANSWER, joined=[sick], **ANY_LOG), change))
    call(mesh["west"], port)
    # Long enough that a busy machine gets through more than the ten requests that doctor lets be missing.
    with traffic(port), traffic(mesh["west"].port("sick")):
        finding = diagnose(mesh["west"], "not-counting", seconds=3)["not-counting"]
    assert not finding["seen"][0].endswith(" and 0 were counted")


def test_under_traffic_a_healthy_plugin_keeps_up(mesh: Mesh) -> None:
    port = mesh.start(west(1, routes=ANSWER, workers=2))
    call(mesh["west"], port)
    with traffic(port), traffic(port):
        diagnose(mesh["west"], seconds=2)


def test_a_plugin_that_came_later_may_have_missed_what_was_before(mesh: Mesh, trap: Path, tmp_path: Path) -> None:
    def change(whole: Json) -> None:
        use_module(whole, trap)
        deliver_listeners(whole, tmp_path)

    envoy = serve(mesh, Altered(west(1, routes=ANSWER, **ANY_LOG), change), times=5, count=False)
    diagnose(envoy, hints=["fewer-counted"])


def test_connections_are_not_counted(mesh: Mesh, trap: Path, doubler: int) -> None:
    port = mesh.start(_trapping(trap, tcp.west(doubler, **ANY_LOG)))
    for _ in range(4):
        # The connection that is open when the VM dies dies with it.
        with suppress(OSError, AssertionError):
            tcp_traffic.converse(port)
    mesh["west"].await_stat("listener.127.0.0.1_0.downstream_cx_destroy", 4)
    finding = diagnose(mesh["west"], "not-counting")["not-counting"]
    assert finding["seen"] == ["since Envoy's start 4 connections ended and 0 were counted"]


def test_other_failure_policies_are_warned_of(mesh: Mesh) -> None:
    sidecar = Altered(west(1, routes=ANSWER), lambda whole: use_module(whole, module("istio_stats"), "FAIL_CLOSED"))
    finding = diagnose(serve(mesh, sidecar), "failure-policy")["failure-policy"]
    assert finding["seen"] == ["istio_stats of listener west (HTTP): FAIL_CLOSED"]


def test_a_vm_that_was_reloaded(mesh: Mesh, trap: Path) -> None:
    envoy = serve(mesh, _trapping(trap, west(1, routes=ANSWER, **ANY_LOG), "FAIL_RELOAD"), times=5, count=False)
    found = diagnose(envoy, "failure-policy", "vm-failed", "not-counting")
    assert "refused meanwhile" in found["vm-failed"]["seen"][0]


@contextmanager
def traffic(port: int) -> Iterator[None]:
    """Requests, one after the other, for as long as the context lasts."""
    over = Event()

    def send() -> None:
        with clients.http1(port) as caller:
            while not over.is_set():
                caller.get("/", headers=headers(SHOP))

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
