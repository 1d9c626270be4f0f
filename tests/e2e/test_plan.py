"""`istio-stats plan` of a running proxy, beside the page that this has."""

import pytest
import yaml

from lab import bootstrap
from lab.tree import Json
from tests.e2e.harness.command import read_json
from tests.e2e.harness.doctor import await_counted, call
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.runnable import Runnable, Wrapper
from tests.e2e.harness.sidecar import west

CODES = (200, 404, 503)
# What a proxy has beside its label sets, and Prometheus keeps.
OWN = 7
ROUTES = [bootstrap.direct_response(f"/{code}", code) for code in CODES]


class WithStats(Wrapper):
    """With further settings for stats."""

    def __init__(self, sidecar: Runnable, settings: Json) -> None:
        super().__init__(sidecar)
        self._settings = settings

    def bootstrap(self) -> Json:
        whole = self.sidecar.bootstrap()
        whole["stats_config"] |= self._settings
        return whole


def test_what_it_measures_is_what_the_page_has(mesh: Mesh) -> None:
    series, page = exported(mesh, west(1, routes=ROUTES))

    found = read_json("plan", mesh["west"].admin_url, "--workloads", 50, "--pods", 4)
    assert found["label_sets"] == len(CODES)
    assert found["proxies"] == 200
    assert found["totals"]["series_of_a_proxy"] == series
    assert found["totals"]["page_bytes"] == pytest.approx(page, rel=0.1)
    native = next(one for one in found["levers"] if one["name"] == "native histograms")
    assert native["totals"]["scraped"]["series"] == 200 * (4 * len(CODES) + OWN)


def test_fewer_buckets_are_what_it_says(mesh: Mesh) -> None:
    said = read_json("plan", "--peers", 1, "--outcomes", 1)
    (lever,) = [one for one in said["levers"] if one["name"] == "fewer buckets"]
    series, page = exported(mesh, WithStats(west(1, routes=ROUTES), yaml.safe_load(lever["lines"])))
    # Of two label sets.
    assert series == lever["totals"]["series_of_a_proxy"] / 2 * len(CODES)
    assert page == pytest.approx(lever["totals"]["page_bytes"] / 2 * len(CODES), rel=0.15)


def exported(mesh: Mesh, sidecar: Runnable) -> tuple[int, int]:
    """Series of a proxy that answered with each code, and bytes of its page."""
    port = mesh.start(sidecar)
    for code in CODES:
        call(mesh["west"], port, times=2, path=f"/{code}", count=False)
    await_counted(mesh["west"], 2 * len(CODES))
    page = mesh["west"].admin("/stats/prometheus", params={"filter": "istio_re"}).text
    return len([line for line in page.splitlines() if line.startswith("istio_re")]), len(page)
