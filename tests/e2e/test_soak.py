"""Hours in small: mixed traffic from ever new peers, a new configuration every few seconds, and nothing grows.

make soak SOAK_MINUTES=60     SOAK_KEEP=1 makes its figures those that benches/README.md shows
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from benches.load import machine
from lab.envoy import version as envoy_version
from lab.waiting import wait_until
from tests.e2e.harness import forms
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.soak import gauges
from tests.e2e.harness.soak.findings import CONFIGURED, findings
from tests.e2e.harness.soak.gauges import Sample
from tests.e2e.harness.soak.proxies import Proxies
from tests.e2e.harness.soak.traffic import Traffic

pytestmark = forms.BOTH

# Unless asked for more: long enough to see that it works, too short for trends.
SHORT_MINUTES = 1 / 3
MINUTES = float(os.environ.get("SOAK_MINUTES", SHORT_MINUTES))
SECONDS = 60 * MINUTES
# From here on trends are judged: before, V8 and allocators take their share.
JUDGED_MINUTES = 5
SAMPLE_SECONDS = min(max(SECONDS / 400, 0.5), 10)
CONFIGURE_SECONDS = min(SECONDS / 16, 5)
PROGRESS_SECONDS = 30


def test_nothing_grows_and_everything_is_counted(
    mesh: Mesh, tmp_path: Path, grpc_backend_port: int, doubler: int
) -> None:
    about = {"envoy": envoy_version(), **machine.describe(), "minutes": round(MINUTES, 1)}
    proxies = Proxies(mesh, tmp_path, grpc_backend_port, doubler)
    with Traffic(proxies.east, proxies.west) as traffic:
        samples = _watch(proxies, traffic)
    for envoy in proxies.both:
        _everything_was_counted(envoy, traffic)
        _nothing_went_wrong(envoy)
    wait_until(proxies.followed, f"{proxies.configurations} configurations")
    assert samples[-1].of("west", "overflown") > 0
    found = findings(samples, {**about, "sent": sum(traffic.sent().values())})
    found.show()
    found.write()
    if os.environ.get("SOAK_KEEP"):
        found.keep()
    missed = [str(verdict) for verdict in found.verdicts if not verdict.reached]
    assert MINUTES < JUDGED_MINUTES or not missed, "\n".join(missed)


def _watch(proxies: Proxies, traffic: Traffic) -> list[Sample]:
    """Samples until the time is over; configures anew in its first part; says how far it got."""
    began = time.monotonic()
    configure, progress = CONFIGURE_SECONDS, PROGRESS_SECONDS
    samples = []
    while (passed := time.monotonic() - began) < SECONDS:
        traffic.check()
        sent = sum(traffic.sent().values())
        samples.append(gauges.Sample(passed, time.process_time(), sent, proxies.configurations, proxies.read()))
        # After the sample, since Envoy tries a configuration in a VM of its own for a moment.
        if configure <= passed < SECONDS * CONFIGURED and proxies.followed():
            configure += CONFIGURE_SECONDS
            proxies.configure_anew()
        if passed >= progress:
            progress += PROGRESS_SECONDS
            print(samples[-1].text(), flush=True)
        time.sleep(SAMPLE_SECONDS)
    return samples


def _everything_was_counted(envoy: Envoy, traffic: Traffic) -> None:
    wanted = traffic.totals(envoy.name)
    with suppress(TimeoutError):
        wait_until(lambda: _totals(envoy, wanted) == wanted, "all")
    assert _totals(envoy, wanted) == wanted, f"{envoy.name}: {traffic.sent()}"


def _totals(envoy: Envoy, names: Iterable[str]) -> dict[str, float]:
    exported = envoy.families()
    return {name: sum(exported[name].series.values()) for name in names if name in exported}


def _nothing_went_wrong(envoy: Envoy) -> None:
    families = envoy.families()
    assert "istio_stats_config_errors" not in families
    assert "istio_stats_peer_decode_errors_total" not in families
