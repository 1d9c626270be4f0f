"""Latency, whichever form of histograms the proxies have."""

import bisect
import re

from lab.waiting import leftovers
from scripts.rules.native import BOUNDS
from tests.prometheus.checks import server
from tests.prometheus.checks.mesh import CLUSTER_IDS
from tests.prometheus.conftest import Observed
from tests.prometheus.ui.conftest import Show

SELECTOR = '{reporter="source", destination_service_name="reviews", request_protocol="http"}'
CLASSIC = f"sum by (le) (rate(istio_request_duration_milliseconds_bucket{SELECTOR}[1m]))"
REVIEWS = {"cluster": CLUSTER_IDS["west"], "namespace": "shop", "name": "reviews"}


def test_latency_in_any_form(show: Show, observed: Observed, any_form: server.Prometheus) -> None:
    """Within a bucket of what the Prometheus of classic histograms says of the same requests."""
    screen = show("--prometheus", any_form.url)

    def differences() -> list[str]:
        screen.open("/", range="1m")
        said = screen.strands().get(("frontend", "reviews", "http"), "")
        return [line for name, q in (("p50", 0.5), ("p99", 0.99)) if (line := _difference(observed, said, name, q))]

    assert not (found := leftovers(differences, every=0.5)), found
    screen.open("/service", **REVIEWS, range="1m")
    (pod,) = screen.await_on(lambda: screen.rows("pods-table"), "a pod")
    assert pod["Pod"] == "reviews-v2-0"
    assert re.fullmatch(r"[\d.]+\sm?s", pod["p99"]), pod
    screen.await_on(lambda: screen.all("#latency polyline.p99"), "latency over time")


def _difference(observed: Observed, said: str, name: str, q: float) -> str | None:
    shown = re.search(rf"{name} ([\d.]+)\s(m?s)", said)
    expected = observed.prometheus.query(f"histogram_quantile({q}, {CLASSIC})")
    if not (shown and expected):
        return f"{name}: {said!r}, expected {expected}"
    bounds = [float(bound) for bound in BOUNDS]
    milliseconds = float(shown[1]) * (1 if shown[2] == "ms" else 1000)
    places = [bisect.bisect_left(bounds, value) for value in (milliseconds, expected[0]["value"])]
    return f"{name}: {shown[0]}, expected {expected}" if abs(places[0] - places[1]) > 1 else None
