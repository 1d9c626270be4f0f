"""Nothing that was federated is lost when proxies or Prometheis die.

That is: every sample that the federating Prometheus had stored is still there,
unchanged; and what the stored samples add up to, over the counters' resets, is
what was sent since the beginning. A proxy that dies takes with it what it counted
since its last scrape, so nothing is sent in that second; what is sent while a
Prometheus is down is counted, since the proxies go on counting.
"""

import math
import time
from collections.abc import Iterator

import pytest

from lab.waiting import wait_until
from tests.multicluster.mesh import accounts
from tests.multicluster.mesh.pods import KUBERNETES_CLUSTERS
from tests.multicluster.mesh.prometheus import Prometheus, Series, climbed
from tests.multicluster.mesh.running import Mesh
from tests.multicluster.mesh.say import say

pytestmark = pytest.mark.usefixtures("traffic")

# Of every kind, fewer than before: a counter that climbs above its old value before it is scraped hides its reset.
AFTERWARDS = 5

QUIET_SECONDS = 8


@pytest.fixture
def samples(mesh: Mesh, federated: Prometheus) -> Iterator[None]:
    """Fails if a sample that is stored now has changed or is gone after the test."""
    accounts.check_now(mesh)
    until, seconds = time.time(), mesh.age
    # What is scraped until then has been federated, and rates have a beginning.
    time.sleep(QUIET_SECONDS)

    def stored() -> dict[frozenset[tuple[str, str]], list[tuple[float, float]]]:
        return {
            frozenset(one.labels.items()): one.samples
            for one in federated.stored('{__name__=~"istio_.*"}', seconds, until)
        }

    before = stored()
    say(f"{sum(map(len, before.values()))} samples of {len(before)} series are stored")
    yield
    accounts.check(mesh)
    after = stored()
    assert after.keys() == before.keys()
    changed = [dict(labels) for labels in before if after[labels] != before[labels]]
    assert not changed, f"the samples of {len(changed)} series have changed, for example {changed[0]}"


def send(mesh: Mesh) -> None:
    for client in mesh.clients.values():
        for choice in KUBERNETES_CLUSTERS:
            assert set(client.many(AFTERWARDS, client.get, choice)) == {(200, choice)}
            assert set(client.many(AFTERWARDS, client.call, choice)) == {(0, choice)}


@pytest.mark.usefixtures("samples")
def test_killed_envoys_begin_at_zero_and_their_counts_go_on(mesh: Mesh, federated: Prometheus) -> None:
    frontend = mesh.inventory.one("frontend", "east")
    reviews = mesh.inventory.of("reviews", "west")
    killed = [pod.proxy for pod in (frontend, *reviews)]
    begin = time.time() - QUIET_SECONDS
    say(f"killing the Envoys {', '.join(killed)}")
    mesh.compose.kill(*killed)
    mesh.compose.start(*killed)
    mesh.wait_until_ready()
    wait_until(lambda: mesh.clients["west"].get("west") == (200, "west"), "west answers", every=0.3)
    send(mesh)
    accounts.check_now(mesh)
    # As dashboards see it.
    selector = f'istio_requests_total{{reporter="source", source_cluster="east", {accounts.FRONTENDS}}}'
    now = time.time()
    seconds = math.ceil(now - begin)
    reset = [one for one in federated.stored(selector, seconds, now) if climbed(one.samples) > one.samples[-1][1]]
    counted = sum(one.samples[-1][1] for one in reset)
    found = federated.by(f"sum(increase({selector}[{seconds}s]))", time=now)[()]
    assert counted == 2 * 2 * AFTERWARDS
    assert counted <= round(found, 6) <= counted * most_extrapolated(reset)


def most_extrapolated(series: list[Series]) -> float:
    """The factor by which increase() may exceed what these series show.

    At each end of its window it adds what is missing there, up to 1.1 times the mean distance between samples.
    """
    return 1 + 2 * 1.1 / (min(len(one.samples) for one in series) - 1)


@pytest.mark.usefixtures("samples")
def test_killed_prometheis_go_on_where_they_were(mesh: Mesh) -> None:
    say(f"killing {', '.join(mesh.prometheis)}")
    mesh.compose.kill(*mesh.prometheis)
    send(mesh)
    mesh.compose.start(*mesh.prometheis)
    mesh.wait_until_ready()
    send(mesh)
