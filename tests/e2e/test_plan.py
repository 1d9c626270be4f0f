"""`istio-stats plan` of a running proxy, beside the page that this has."""

import pytest

from lab import bootstrap
from tests.e2e.harness.command import read_json
from tests.e2e.harness.doctor import await_counted, call
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import west

CODES = (200, 404, 503)


def test_what_it_measures_is_what_the_page_has(mesh: Mesh) -> None:
    port = mesh.start(west(1, routes=[bootstrap.direct_response(f"/{code}", code) for code in CODES]))
    for code in CODES:
        call(mesh["west"], port, times=2, path=f"/{code}", count=False)
    await_counted(mesh["west"], 2 * len(CODES))
    envoy = mesh["west"]
    page = envoy.admin("/stats/prometheus", params={"filter": "istio_re"}).text
    series = [line for line in page.splitlines() if line.startswith("istio_re")]

    found = read_json("plan", envoy.admin_url, "--workloads", 50, "--pods", 4)
    assert found["label_sets"] == len(CODES)
    assert found["proxies"] == 200
    assert found["totals"]["series_of_a_proxy"] == len(series)
    assert found["totals"]["page_bytes"] == pytest.approx(len(page), rel=0.1)
    native = next(one for one in found["levers"] if one["name"] == "native histograms")
    assert native["totals"]["scraped"]["series"] == 200 * 4 * len(CODES)
