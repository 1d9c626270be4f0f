"""The alert on a VM that died, in a real Prometheus that scrapes a real Envoy."""

from pathlib import Path

from lab import bootstrap
from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness.altered import Altered, use_module
from tests.e2e.harness.command import trapping_module
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.requests import send
from tests.e2e.harness.sidecar import west
from tests.prometheus.checks import rules, server

ALERT = "IstioStatsRequestsUncounted"
# The VM lives for so many requests, and a round has as many.
LIFE = 200


def test_the_alert_fires_when_a_vm_dies_and_not_before(tmp_path: Path) -> None:
    trap = trapping_module("proxy_on_log", tmp_path, LIFE)
    sidecar = west(1, routes=[bootstrap.direct_response("/", 200)], permitted_log=".")
    with Mesh(tmp_path) as mesh:
        port = mesh.start(Altered(sidecar, lambda whole: use_module(whole, trap)))
        with server.Prometheus(_scraping(mesh["west"]), tmp_path / "prometheus") as prometheus:

            def fires() -> bool:
                return ALERT in rules.firing(prometheus.query, ["proxies.yaml"])

            def counted(count: int) -> bool:
                names = ("instance:envoy_http_downstream_rq_completed:sum", "instance:istio_requests:sum")
                return [one["value"] for name in names for one in prometheus.query(name)] == [count, count]

            wait_until(lambda: counted(0), "the first scrape")
            send(port, [{}] * LIFE)
            wait_until(lambda: counted(LIFE), f"{LIFE} requests, counted")
            assert not fires()
            send(port, [{}] * LIFE)
            wait_until(fires, ALERT)


def _scraping(envoy: Envoy) -> Json:
    job = {
        "job_name": "envoy",
        "metrics_path": "/stats/prometheus",
        "static_configs": [{"targets": [envoy.admin_url.removeprefix("http://").strip("/")]}],
    }
    return {"global": {}, "rule_files": ["rules/proxies.yaml"], "scrape_configs": [job]}
