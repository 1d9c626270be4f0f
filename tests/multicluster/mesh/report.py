"""What the run leaves on the screen: the Kubernetes clusters' traffic, as the federating Prometheus tells it."""

import math

from lab import table
from tests.multicluster.mesh.prometheus import Prometheus

PAIR = ("source_cluster", "destination_cluster")


def show(federated: Prometheus, seconds: float) -> None:
    """Averages over so many seconds until now."""

    def counted(metric: str, condition: str = "") -> dict[tuple[str, ...], float]:
        # Not rate(): it does not see the first count of a series, and errors are few.
        return federated.counted(f'{metric}{{reporter="source"{condition}}}', seconds, *PAIR)

    def quantile(q: float) -> dict[tuple[str, ...], float]:
        buckets = f'rate(istio_request_duration_milliseconds_bucket{{reporter="source"}}[{math.ceil(seconds)}s])'
        return federated.by(f"histogram_quantile({q}, sum by (le, {', '.join(PAIR)}) ({buckets}))", *PAIR)

    requests = counted("istio_requests_total")
    failed = counted("istio_requests_total", ', response_code=~"5..|0"')
    received, sent = counted("istio_tcp_received_bytes_total"), counted("istio_tcp_sent_bytes_total")
    p50, p99 = quantile(0.5), quantile(0.99)
    pairs = sorted(requests | received, key=lambda pair: ("unknown" in pair, "overflow" in pair, pair))
    table.show(
        f"From Kubernetes cluster to Kubernetes cluster in {seconds:.0f} s, reporter=source, by {federated.url}",
        [*PAIR, "requests/s", "success %", "p50 ms", "p99 ms", "TCP in B/s", "TCP out B/s"],
        [
            [
                *pair,
                requests[pair] / seconds,
                100 * (1 - failed[pair] / requests[pair]) if requests[pair] else math.nan,
                p50.get(pair, math.nan),
                p99.get(pair, math.nan),
                received[pair] / seconds,
                sent[pair] / seconds,
            ]
            for pair in pairs
        ],
    )
    print()
