"""New series are defined off the workers, and every request is counted all the same."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import bootstrap
from lab.waiting import await_equal, wait_until
from tests.e2e.harness import forms
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.forms import Lacks
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.requests import send
from tests.e2e.harness.sidecar import east

pytestmark = forms.BOTH

# Each makes a counter and three histograms: more than wait for their definition at once.
HOSTS = 400
ROUNDS = 3
CLIENTS = 4
FAMILIES = ("istio_requests_total", "istio_request_duration_milliseconds")

# Until whoever defines series comes to rest, and how often it ticks then.
QUIET_SECONDS = 30
TICKS_PER_SECOND = 2
WATCHED_SECONDS = 3


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


@forms.wasm_only(Lacks.VM)
def test_a_proxy_at_rest_ticks_rarely_and_awakes(mesh: Mesh) -> None:
    """The main thread's VM, and those of workers that have not seen a request: none knows which it is."""
    workers = 4
    port = mesh.start(east(1, routes=[bootstrap.direct_response("/", 200)], workers=workers))
    envoy = mesh["east"]
    time.sleep(QUIET_SECONDS)
    envoy.trace_wasm()
    most = (workers + 1) * (WATCHED_SECONDS * TICKS_PER_SECOND + 1)
    wait_until(lambda: 0 < _ticks(envoy, WATCHED_SECONDS) <= most, f"at most {most} ticks in {WATCHED_SECONDS} s")
    send(port, [{"host": "shop.example"}])
    for name in FAMILIES:
        _await_hosts(envoy, name, {"shop.example": 1})


def _ticks(envoy: Envoy, seconds: float) -> int:
    begin = len(envoy.log())
    time.sleep(seconds)
    return envoy.log().count("[host->vm] proxy_on_tick(", begin)


def _by_host(envoy: Envoy, name: str) -> dict[str, float]:
    family = envoy.families(name).get(name)
    return {dict(labels)["destination_service"]: value for labels, value in family.series.items()} if family else {}


def _await_hosts(envoy: Envoy, name: str, wanted: dict[str, int]) -> None:
    await_equal(lambda: _by_host(envoy, name), wanted, name)
