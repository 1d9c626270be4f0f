"""What the series show when a service or the way between the Kubernetes clusters fails."""

import time
from collections.abc import Iterator

import pytest

from lab.waiting import wait_until
from tests.multicluster.mesh import accounts, expect
from tests.multicluster.mesh.prometheus import Prometheus
from tests.multicluster.mesh.running import Mesh
from tests.multicluster.mesh.say import say

pytestmark = pytest.mark.usefixtures("traffic")

# How long requests go on, so that a rate can be seen, and of how many of these seconds.
PACE_SECONDS, RATE_SECONDS = 14, 8


@pytest.fixture(autouse=True)
def settled(mesh: Mesh) -> Iterator[None]:
    """Begins and ends with every request accounted for, so that none is lost with what fails."""
    accounts.check_now(mesh)
    yield
    accounts.check(mesh)


def test_traffic_fails_over_to_the_other_kubernetes_cluster(mesh: Mesh, federated: Prometheus) -> None:
    east, west = mesh.clients["east"], mesh.clients["west"]
    killed = [container for pod in mesh.inventory.of("reviews", "east") for container in pod.containers]
    say("killing reviews in east")
    mesh.compose.kill(*killed)
    try:
        assert set(east.many(10, east.get)) == {(200, "west")}, "east is served by west"
        assert set(west.many(10, west.get)) == {(200, "west")}, "west goes on as before"
        # Whoever insists on east fails, and the series say where.
        assert set(west.many(4, west.get, "east")) == {(503, None)}
        begin = time.time()
        while time.time() < begin + PACE_SECONDS:
            assert east.get() == (200, "west")
            time.sleep(0.1)
        rate = "sum by (destination_cluster) (rate(istio_requests_total{%s}[%ds]))"
        selected = f'reporter="source", source_cluster="east", response_code="200", {accounts.FRONTENDS}'
        shown = federated.by(rate % (selected, RATE_SECONDS), "destination_cluster", time=time.time() - 4)
        assert shown[("west",)] > 1 and not shown.get(("east",)), shown
    finally:
        say("starting it again")
        mesh.compose.start(*killed)
        mesh.wait_until_ready()
    wait_until(lambda: east.get() == (200, "east"), "east is served by east again", every=0.3)
    wait_until(lambda: west.get("east") == (200, "east"), "and reached from west", every=0.3)


def test_tcp_fails_over_to_the_other_kubernetes_cluster(mesh: Mesh, federated: Prometheus) -> None:
    east = mesh.clients["east"]
    (ledger,) = mesh.inventory.of("ledger", "east")
    say("killing ledger in east")
    mesh.compose.kill(*ledger.containers)
    # Whatever its response_flags: a connection that got through at the second attempt keeps those of the first.
    selector = 'istio_tcp_connections_closed_total{source_cluster="east", destination_cluster="west"}'
    before = federated.counted(selector, mesh.age, "reporter")
    connections = 5
    try:
        wait_until(lambda: not east.is_refused(None), "the first connections may find nobody", every=0.3)
        for _ in range(connections):
            east.connect(None)
        # The one that ended the waiting counts, too.
        wanted = {key: before[key] + connections + 1 for key in (("source",), ("destination",))}
        expect.equal("TCP connections", lambda: federated.counted(selector, mesh.age, "reporter"), wanted)
    finally:
        say("starting it again")
        mesh.compose.start(*ledger.containers)
        mesh.wait_until_ready()
    wait_until(lambda: not east.is_refused("east"), "east's ledger answers again", every=0.3)


def test_a_cut_network_shows_as_failures_of_the_right_kubernetes_cluster(mesh: Mesh, federated: Prometheus) -> None:
    east, west = mesh.clients["east"], mesh.clients["west"]
    gateway = mesh.inventory.one("gateway", "west")
    before = refused(mesh)
    failures = 8
    say("cutting the way from east to west")
    mesh.compose.disconnect(gateway.name, "east")
    try:
        assert set(east.many(failures, east.get, "west")) == {(503, None)}
        assert set(east.many(2, east.call, "west")) == {(UNAVAILABLE, None)}
        assert all(east.many(3, east.is_refused, "west"))
        assert set(east.many(10, east.get)) == {(200, "east")}, "east goes on by itself"
        assert set(west.many(10, west.get, "east")) == {(200, "east")}, "the way back is another"
        found = 'sum by (destination_cluster) (istio_requests_total{source_cluster="east", response_code="503", %s})'
        expect.equal(
            "503 from east",
            lambda: federated.by(found % f'reporter="source", {accounts.FRONTENDS}', "destination_cluster"),
            {("west",): failures},
        )
        expect.equal("TCP connections from east to west that failed", lambda: refused(mesh), {(): before[()] + 3})
    finally:
        say("joining them again")
        mesh.compose.connect(gateway.name, "east", gateway.addresses["east"])
    wait_until(lambda: east.get("west") == (200, "west"), "west is reached from east again", every=0.3)
    wait_until(lambda: east.call("west") == (0, "west"), "by gRPC, too", every=0.3)


UNAVAILABLE = 14


def refused(mesh: Mesh) -> dict[tuple[str, ...], float]:
    failed = 'reporter="source", source_cluster="east", destination_cluster="west", response_flags=~".*UF.*"'
    return mesh.federated.counted(f"istio_tcp_connections_closed_total{{{failed}}}", mesh.age)
