"""An overload manager that refuses a part of the load: requests answered are requests counted."""

import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import bootstrap
from lab.tree import Json
from lab.waiting import PATIENCE_SECONDS, wait_until
from tests.e2e.harness import forms
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.altered import Altered
from tests.e2e.harness.doctor import diagnose
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import headers
from tests.e2e.harness.requests import encode, read_status
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.workloads import SHOP

pytestmark = forms.BOTH

ANSWER = [bootstrap.direct_response("/", 200)]
PRESSURE = "envoy.resource_monitors.injected_resource"
MONITOR = "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig"
REQUEST = encode(headers(SHOP))
CLIENTS = 8
# Answered before the pressure changes.
REQUESTS = 500


class Pressure:
    """What the overload manager believes, from 0 to 1."""

    def __init__(self, directory: Path, key: str, name: str) -> None:
        self._file, self._draft = directory / "pressure", directory / "pressure.draft"
        self._trigger = {key: [{"name": name, "triggers": [{"name": PRESSURE, "threshold": {"value": 0.9}}]}]}
        self.set(0)

    def set(self, value: int) -> None:
        self._draft.write_text(str(value))
        # Envoy looks again only when a file is moved into place.
        self._draft.replace(self._file)

    def overload_manager(self) -> Json:
        config = {"@type": bootstrap.TYPE + MONITOR, "filename": str(self._file)}
        return {
            "refresh_interval": "0.05s",
            "resource_monitors": [{"name": PRESSURE, "typed_config": config}],
            **self._trigger,
        }


def _start(mesh: Mesh, pressure: Pressure, sidecar: Runnable) -> int:
    return mesh.start(Altered(sidecar, lambda whole: whole.update(overload_manager=pressure.overload_manager())))


REFUSALS = [
    ("actions", "envoy.overload_actions.stop_accepting_requests"),
    ("loadshed_points", "envoy.load_shed_points.http_connection_manager_decode_headers"),
]


@pytest.mark.parametrize("key, name", REFUSALS, ids=["action", "load_shed_point"])
@pytest.mark.parametrize("logger", [False, True], ids=["filter", "logger"])
def test_under_load_what_was_answered_was_counted(
    mesh: Mesh, tmp_path: Path, key: str, name: str, logger: bool
) -> None:
    """What the overload manager refuses reaches no filter, only access loggers."""
    pressure = Pressure(tmp_path, key, name)
    port = _start(mesh, pressure, west(1, routes=ANSWER, logger=logger))
    envoy = mesh["west"]
    counters: list[Counter[int]] = [Counter() for _ in range(CLIENTS)]
    over = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(_load, port, counter, over) for counter in counters]
        try:
            for value, status in ((1, 503), (0, 200)) * 2:
                enough = _answered(counters, status) + REQUESTS
                pressure.set(value)
                _await_answers(counters, status, enough)
        finally:
            over.set()
        for client in clients:
            client.result()
    answers: Counter[int] = sum(counters, Counter())
    print(f"{name}: {answers[200]} served, {answers[503]} refused")
    assert set(answers) == {200, 503}
    closed = "http.west.downstream_rq_overload_close"
    assert envoy.stats(f"^{closed}$")[closed] == answers[503]
    mesh.await_total("west", "istio_requests_total", answers.total() if logger else answers[200])
    counted: Counter[int] = Counter()
    for labels, requests in envoy.families()["istio_requests_total"].series.items():
        counted[int(dict(labels)["response_code"])] += int(requests)
    assert counted == (answers if logger else Counter({200: answers[200]}))
    # Nor does doctor take the refused ones for lost.
    diagnose(envoy)


def _load(port: int, answers: Counter[int], over: threading.Event) -> None:
    """Counts answers by status. After a refusal Envoy closes the connection."""
    while not over.is_set():
        with traffic.connect(port) as connection:
            received = connection.makefile("rb")
            status = 200
            while status == 200 and not over.is_set():
                connection.sendall(REQUEST)
                status = read_status(received)
                answers[status] += 1


def _await_answers(counters: list[Counter[int]], status: int, enough: int) -> None:
    wait_until(lambda: _answered(counters, status) >= enough, f"{enough} answers with {status}")


def _answered(counters: list[Counter[int]], status: int) -> int:
    return sum(counter[status] for counter in counters)


def test_connections_that_are_not_accepted_are_no_loss(mesh: Mesh, tmp_path: Path) -> None:
    pressure = Pressure(tmp_path, "actions", "envoy.overload_actions.stop_accepting_connections")
    port = _start(mesh, pressure, west(1, routes=ANSWER))
    active = "overload.envoy.overload_actions.stop_accepting_connections.active"
    pressure.set(1)
    mesh["west"].await_stat(active, 1)
    connection, accepted = _one_that_waits(port)
    with connection:
        pressure.set(0)
        assert read_status(connection.makefile("rb")) == 200
    mesh.await_total("west", "istio_requests_total", accepted + 1)


def _one_that_waits(port: int) -> tuple[socket.socket, int]:
    """A connection that the kernel accepted and Envoy did not, and how many Envoy did accept before: its workers hear
    of the pressure a little later than it tells."""
    for accepted in range(100):
        connection = traffic.connect(port)
        connection.sendall(REQUEST)
        connection.settimeout(0.5)
        try:
            connection.recv(1)
        except TimeoutError:
            connection.settimeout(PATIENCE_SECONDS)
            return connection, accepted
        connection.close()
    raise AssertionError("Envoy goes on accepting connections")
