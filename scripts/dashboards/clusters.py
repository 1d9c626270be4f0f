"""Which Kubernetes clusters talk to which, and how well that works."""

from collections.abc import Sequence

from lab.tree import Json
from scripts.dashboards.grafana import (
    GOOD_RATIO,
    chart,
    dashboard,
    link,
    matrix,
    node_graph,
    over_time,
    row,
    stat,
    table,
)
from scripts.dashboards.promql import PAIR, RANGE, STEP, latency, named, requests, success, total
from scripts.dashboards.variables import DESTINATION_CLUSTER, REPORTER, SOURCE_CLUSTER, TRAFFIC

UID = "istio-stats-clusters"
ARROW = "{{source_cluster}} → {{destination_cluster}}"
BYTES = {way: f"istio_tcp_{way}_bytes_total" for way in ("sent", "received")}

# PromQL cannot compare two labels: from all pairs it takes out those that a copy of the source's label makes.
_STAYS = named(requests(TRAFFIC, ("source_cluster",)), "destination_cluster", "source_cluster")
_KNOWN = f'{TRAFFIC}, source_cluster!="unknown", destination_cluster!~"unknown|overflow"'
CROSSING = f"(sum({requests(_KNOWN, PAIR)} unless {_STAYS}) or vector(0)) / ({requests(TRAFFIC)} > 0)"

_ANSWERED = named(requests(TRAFFIC, ("destination_cluster",)), "id", "destination_cluster")
_ASKED = named(requests(TRAFFIC, ("source_cluster",)), "id", "source_cluster")
NODES = named(f"sum by (id) ({_ANSWERED}) or sum by (id) ({_ASKED}) * 0", "title", "id")
_EDGES = named(named(requests(TRAFFIC, PAIR), "source", "source_cluster"), "target", "destination_cluster")
EDGES = f'label_join({_EDGES}, "id", " → ", "source_cluster", "destination_cluster")'


def tcp_bytes(by: Sequence[str], window: str = RANGE) -> str:
    """Both ways together, where there is only one as well."""
    sent, received = (total(BYTES[way], TRAFFIC, by, window) for way in ("sent", "received"))
    return f"({sent} + {received}) or {sent} or {received}"


def build() -> Json:
    services = link(
        "Services there",
        "istio-stats-services",
        "var-source_cluster=${__data.fields.source_cluster}",
        "var-destination_cluster=${__data.fields.destination_cluster}",
    )
    this = [
        stat("Requests", "HTTP and gRPC.", "reqps", requests(TRAFFIC)),
        stat(
            "Success",
            "No 5xx, no gRPC status that stands for one, not broken off by the server.",
            "percentunit",
            success(TRAFFIC),
            GOOD_RATIO,
        ),
        stat("p99", "99% of the requests took at most so long.", "ms", latency(0.99, TRAFFIC)),
        stat("TCP throughput", "Both ways.", "Bps", tcp_bytes(())),
        stat("Leave their cluster", "Requests answered in another Kubernetes cluster.", "percentunit", CROSSING),
        stat("Pairs", "Pairs of Kubernetes clusters with requests.", "none", f"count({requests(TRAFFIC, PAIR)} > 0)"),
        row("From each Kubernetes cluster (row) to each (column)"),
        matrix("Requests", "Per second.", "reqps", requests(TRAFFIC, PAIR)),
        matrix("Success", "Ratio.", "percentunit", success(TRAFFIC, PAIR), GOOD_RATIO),
        matrix("p99", "In milliseconds.", "ms", latency(0.99, TRAFFIC, PAIR)),
        node_graph(
            "Who calls whom", "Requests per second: answered in a node, on the way at an edge.", "req/s", NODES, EDGES
        ),
        table(
            "Pairs",
            "A click goes to the services.",
            {"source_cluster": ("From", services), "destination_cluster": ("To", services)},
            [
                ("Requests", "reqps", requests(TRAFFIC, PAIR)),
                ("Success", "percentunit", success(TRAFFIC, PAIR)),
                ("p50", "ms", latency(0.5, TRAFFIC, PAIR)),
                ("p90", "ms", latency(0.9, TRAFFIC, PAIR)),
                ("p99", "ms", latency(0.99, TRAFFIC, PAIR)),
                ("TCP bytes", "Bps", tcp_bytes(PAIR)),
            ],
            width=12,
            height=14,
        ),
        row("Over time"),
        chart("Requests", "Per second.", "reqps", [over_time(ARROW, requests(TRAFFIC, PAIR, STEP))]),
        chart("Success", "Ratio.", "percentunit", [over_time(ARROW, success(TRAFFIC, PAIR, STEP))], most=1),
        *(
            chart(
                f"Latency p{q * 100:.0f}",
                "In milliseconds.",
                "ms",
                [over_time(ARROW, latency(q, TRAFFIC, PAIR, STEP))],
                width=8,
            )
            for q in (0.5, 0.9, 0.99)
        ),
        *(
            chart(
                f"TCP bytes {way}",
                "To clients." if way == "sent" else "From clients.",
                "Bps",
                [over_time(ARROW, total(BYTES[way], TRAFFIC, PAIR, STEP))],
                width=8,
            )
            for way in BYTES
        ),
        chart(
            "gRPC messages",
            "In streams and calls, while they are open.",
            "cps",
            [
                over_time(f"{ARROW}, {who}", total(f"istio_{what}_messages_total", TRAFFIC, PAIR, STEP))
                for what, who in (("request", "sent by clients"), ("response", "sent by servers"))
            ],
            width=8,
        ),
    ]
    return dashboard(
        UID,
        "Istio: Kubernetes clusters",
        "Traffic from Kubernetes cluster to Kubernetes cluster.",
        [REPORTER, SOURCE_CLUSTER, DESTINATION_CLUSTER],
        this,
    )
