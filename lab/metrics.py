"""Reads one proxy's Istio metrics from its admin interface."""

import math
import urllib.request
from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

REQUESTS = "istio_requests_total"
DURATION = "istio_request_duration_milliseconds"
REQUEST_MESSAGES = "istio_request_messages_total"
RESPONSE_MESSAGES = "istio_response_messages_total"
TCP_OPENED = "istio_tcp_connections_opened_total"
TCP_CLOSED = "istio_tcp_connections_closed_total"
TCP_RECEIVED = "istio_tcp_received_bytes_total"
TCP_SENT = "istio_tcp_sent_bytes_total"
TCP_DURATION = "istio_tcp_connection_duration_milliseconds"


class Snapshot:
    """All `istio_` samples of one scrape."""

    def __init__(self, text):
        self.samples = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith("istio_")
        ]

    @classmethod
    def scrape(cls, admin_port):
        # Envoy has some thousand other stats, which take long to parse.
        url = f"http://127.0.0.1:{admin_port}/stats/prometheus?filter=istio_"
        with urllib.request.urlopen(url, timeout=5) as response:
            return cls(response.read().decode())

    def series(self, name):
        """Every series of a counter: its labels and value."""
        return [(sample.labels, sample.value) for sample in self.samples if sample.name == name]

    def total(self, name, labels=None):
        """The sum of a counter's series that have these labels, whatever their others are."""
        wanted = (labels or {}).items()
        return int(sum(value for found, value in self.series(name) if wanted <= found.items()))

    def quantile(self, histogram, labels, q):
        """The q-quantile, in ms, over a histogram's series that have these labels."""
        buckets = defaultdict(float)
        for found, value in self.series(f"{histogram}_bucket"):
            if labels.items() <= found.items():
                buckets[float(found["le"])] += value
        return quantile(buckets, q)


def quantile(buckets, q):
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
