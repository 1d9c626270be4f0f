"""A thousand listeners in one Envoy, each with a configuration of its own, share one VM per thread."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab import bootstrap
from lab.memory import resident_bytes
from tests.e2e.harness import forms
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.requests import send
from tests.e2e.harness.sidecar import Sidecar, west
from tests.e2e.harness.usual import ABSENT

pytestmark = forms.BOTH

LISTENERS = 1000
# Every so-maniest is called, so many times by its number that no two neighbours are alike.
STEP = 50
ANSWER = [bootstrap.direct_response("/", 200)]
# Over a listener without the plugin, with one worker. It was 40 to 45 kB.
MAX_BYTES_PER_LISTENER = 80_000
IDLE_SECONDS = 3


def test_a_thousand_listeners(mesh: Mesh) -> None:
    plain = mesh.run(_listeners("plain", lambda _: ABSENT))
    resident, idle = resident_bytes(plain.pid), _idle_cpu(plain)
    plain.stop()

    begin = time.monotonic()
    envoy = mesh.run(_listeners("own", lambda number: {"local": {"workload_name": f"workload-{number}"}}))
    ready = time.monotonic() - begin
    per_listener = (resident_bytes(envoy.pid) - resident) / LISTENERS
    print(f"ready after {ready:.1f} s, {per_listener / 1000:.1f} kB for each plugin")
    print(f"idle they take {100 * _idle_cpu(envoy):.1f}% of a core, without the plugin {100 * idle:.1f}%")
    assert per_listener < MAX_BYTES_PER_LISTENER

    called = {number: 1 + number // STEP for number in range(0, LISTENERS, STEP)}
    for number, times in called.items():
        send(envoy.port(f"own-{number}"), [{}] * times)
    for name in ("istio_requests_total", "istio_request_duration_milliseconds"):
        mesh.await_total("own-0", name, sum(called.values()))
        series = envoy.families()[name].series
        counted = {dict(labels)["destination_workload"]: value for labels, value in series.items()}
        assert counted == {f"workload-{number}": times for number, times in called.items()}
    if not forms.is_native():
        # The main thread's, the worker's, and the one that they are copied from.
        active = "wasm.envoy.wasm.runtime.v8.active"
        assert envoy.stats(f"^{active}$")[active] == 3


def _listeners(name: str, stats: Callable[[int], object]) -> Sidecar:
    def listener(number: int, joined: Sequence[Sidecar] = ()) -> Sidecar:
        return west(
            1,
            name=f"{name}-{number}",
            routes=ANSWER,
            upstream_clusters=[],
            stats=stats(number),
            exchange=ABSENT,
            joined=joined,
        )

    return listener(0, [listener(number) for number in range(1, LISTENERS)])


def _idle_cpu(envoy: Envoy) -> float:
    """The part of a core that it takes when nobody calls."""
    before = _cpu_seconds(envoy)
    time.sleep(IDLE_SECONDS)
    return (_cpu_seconds(envoy) - before) / IDLE_SECONDS


def _cpu_seconds(envoy: Envoy) -> float:
    fields = Path(f"/proc/{envoy.pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
