"""Workloads' counters where scrapes are still on their way when rules are evaluated."""

import time
from pathlib import Path

from lab.waiting import await_equal
from tests.prometheus.checks import server
from tests.prometheus.ui import pages

# Each is scraped at a time of its own in the second: some just before the rules are evaluated.
TARGETS = [f"/{target}" for target in range(8)]
SLOW_SECONDS = 0.6
GROWING_SECONDS = 8


def test_what_arrives_after_an_evaluation_counts_in_a_later_one(tmp_path: Path) -> None:
    """A sample has the time at which its scrape began."""
    began = time.monotonic()

    def answer(path: str) -> pages.Answer:
        count = min(int(time.monotonic() - began), GROWING_SECONDS)
        time.sleep(SLOW_SECONDS)
        return 200, {}, f'istio_requests_total{{pod="{path}"}} {count}\n'.encode()

    with pages.serving(pages.answering(answer)) as url:
        address = url.removeprefix("http://")
        jobs = [
            {"job_name": path, "metrics_path": path, "static_configs": [{"targets": [address]}]} for path in TARGETS
        ]
        config = {"global": {}, "rule_files": ["rules/workload.yaml"], "scrape_configs": jobs}
        with server.Prometheus(config, tmp_path / "prometheus") as prometheus:

            def counted() -> dict[str, float]:
                # What a busy machine does not evaluate in time is not in there.
                if prometheus.missed_evaluations():
                    return wanted
                found = prometheus.query("workload:istio_requests_total")
                return {one["metric"]["job"]: one["value"] for one in found}

            wanted = dict.fromkeys(TARGETS, float(GROWING_SECONDS))
            await_equal(counted, wanted, "what all targets counted")
