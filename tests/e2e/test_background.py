"""New series are defined off the workers, and every request is counted all the same."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import bootstrap
from lab.waiting import await_equal
from tests.e2e.harness import forms
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.requests import send
from tests.e2e.harness.sidecar import east

pytestmark = forms.BOTH

# Each makes a counter and three histograms: more than wait for their definition at once.
HOSTS = 400
ROUNDS = 3
CLIENTS = 4
FAMILIES = ("istio_requests_total", "istio_request_duration_milliseconds")


@pytest.mark.parametrize("in_place", [False, True])
def test_every_request_of_every_new_label_set_is_counted(mesh: Mesh, in_place: bool) -> None:
    stats = {"attachment": "http", "define_in_place": in_place}
    answer = [bootstrap.direct_response("/", 200)]
    port = mesh.start(east(1, stats=stats, routes=answer, workers=2))
    hosts = [f"shop-{number}.example" for number in range(HOSTS)]
    requests = [{"host": host} for _ in range(ROUNDS) for host in hosts]
    with ThreadPoolExecutor(CLIENTS) as clients:
        for done in [clients.submit(send, port, requests) for _ in range(CLIENTS)]:
            done.result()
    wanted = dict.fromkeys(hosts, ROUNDS * CLIENTS)
    for name in FAMILIES:
        _await_hosts(mesh["east"], name, wanted)


def _by_host(envoy: Envoy, name: str) -> dict[str, float]:
    family = envoy.families(name).get(name)
    return {dict(labels)["destination_service"]: value for labels, value in family.series.items()} if family else {}


def _await_hosts(envoy: Envoy, name: str, wanted: dict[str, int]) -> None:
    await_equal(lambda: _by_host(envoy, name), wanted, name)
