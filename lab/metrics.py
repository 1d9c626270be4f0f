"""Reads one proxy's Istio metrics from its admin interface."""

import math
from collections import defaultdict
from collections.abc import Mapping

from lab import exposition, web

REQUESTS = "istio_requests_total"
DURATION = "istio_request_duration_milliseconds"
REQUEST_MESSAGES = "istio_request_messages_total"
RESPONSE_MESSAGES = "istio_response_messages_total"
TCP_OPENED = "istio_tcp_connections_opened_total"
TCP_CLOSED = "istio_tcp_connections_closed_total"
TCP_RECEIVED = "istio_tcp_received_bytes_total"
TCP_SENT = "istio_tcp_sent_bytes_total"
TCP_DURATION = "istio_tcp_connection_duration_milliseconds"

Labels = dict[str, str]


class Snapshot:
    """All `istio_` samples of one scrape."""

    def __init__(self, text: str) -> None:
        self._samples = exposition.istio_samples(text)

    @classmethod
    def scrape(cls, admin_port: int) -> "Snapshot":
        return cls(web.read(f"http://127.0.0.1:{admin_port}/stats/prometheus?filter=istio_"))

    def series(self, name: str) -> list[tuple[Labels, float]]:
        """Every series of a counter: its labels and value."""
        return [(sample.labels, sample.value) for sample in self._samples if sample.name == name]

    def total(self, name: str, labels: Labels | None = None) -> int:
        """The sum of a counter's series that have these labels, whatever their others are."""
        wanted = (labels or {}).items()
        return int(sum(value for found, value in self.series(name) if wanted <= found.items()))

    def quantile(self, histogram: str, labels: Labels, q: float) -> float:
        """The q-quantile, in ms, over a histogram's series that have these labels."""
        buckets: dict[float, float] = defaultdict(float)
        for found, value in self.series(f"{histogram}_bucket"):
            if labels.items() <= found.items():
                buckets[float(found["le"])] += value
        return quantile(buckets, q)


def quantile(buckets: Mapping[float, float], q: float) -> float:
    """As Prometheus' histogram_quantile: even spread within a bucket."""
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] == 0:
        return math.nan
    rank = q * buckets[bounds[-1]]
    lower = below = 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (rank - below) / (buckets[bound] - below)
        lower, below = bound, buckets[bound]
    return math.nan
