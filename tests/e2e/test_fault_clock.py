"""A wall clock that is set, forward and back, under traffic: every report comes, and durations stay what they are."""

import re
import time
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

import httpx
import pytest

from lab import bootstrap
from lab.envoy import binary as envoy_binary
from lab.waiting import wait_until
from tests.e2e.harness import clients, forms, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.usual import ABSENT
from tests.e2e.harness.wall_clock import WallClock

pytestmark = forms.BOTH

HOUR = 3600
DAY = 24 * HOUR
# In milliseconds; a bound of a bucket. No request and no connection of this test is open for so long.
LONG = 60_000


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    # Looked for before, by a script that needs no other clock.
    envoy_binary()
    return WallClock(tmp_path, monkeypatch)


def test_a_clock_that_is_set(mesh: Mesh, clock: WallClock, doubler: int) -> None:
    stats = {"attachment": "tcp", "tcp_reporting_duration": "0.5s"}
    beside = tcp.west(doubler, name="tcp", exchange=ABSENT, stats=stats)
    port = mesh.start(west(1, routes=[bootstrap.direct_response("/", 200)], joined=[beside]))
    envoy = mesh["west"]
    with clients.http1(port) as caller, traffic.connect(envoy.port("tcp")) as connection:
        for times, shift in enumerate([0, HOUR, -HOUR, 10_000 * DAY, 0], 1):
            clock.shift(shift)
            wait_until(partial(_is_set, caller, shift), f"a clock that is {shift} s off")
            traffic.exchange_words(connection, b"x" * 100)
            mesh.await_total("west", "istio_tcp_received_bytes_total", 100 * times)
    sent = envoy.stats("^http.west.downstream_rq_total$")["http.west.downstream_rq_total"]
    mesh.await_total("west", "istio_request_duration_milliseconds", sent)
    mesh.await_total("west", "istio_tcp_connection_duration_milliseconds", 1)
    page = envoy.admin("/stats/prometheus").text
    for name, count in (("request", sent), ("tcp_connection", 1)):
        bucket = rf'^istio_{name}_duration_milliseconds_bucket\{{.*le="{LONG}"\}} (\d+)$'
        (below,) = re.findall(bucket, page, re.MULTILINE)
        assert int(below) == count, f"durations of {name}"


def _is_set(caller: httpx.Client, shift: int) -> bool:
    """Whether Envoy's own clock is off by so much."""
    date = parsedate_to_datetime(caller.get("/").headers["date"]).timestamp()
    return abs(date - time.time() - shift) < 10
