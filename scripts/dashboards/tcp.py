"""TCP: connections, bytes, durations."""

from collections.abc import Sequence

from lab.tree import Json
from scripts.dashboards.clusters import ARROW, BYTES, tcp_bytes
from scripts.dashboards.grafana import NONE_IS_GOOD, chart, dashboard, link, matrix, over_time, row, stat, table
from scripts.dashboards.promql import PAIR, RANGE, STEP, quantile, total
from scripts.dashboards.variables import DESTINATION_CLUSTER, REPORTER, SOURCE_CLUSTER, TRAFFIC

UID = "istio-stats-tcp"
OPENED = "istio_tcp_connections_opened_total"
CLOSED = "istio_tcp_connections_closed_total"
SERVICE = ("destination_service", "destination_service_namespace", "destination_cluster")
CALLER = ("source_workload", "source_workload_namespace", "source_cluster")


def duration(q: float, by: Sequence[str] = (), window: str = RANGE) -> str:
    return quantile(q, "istio_tcp_connection_duration_milliseconds", TRAFFIC, by, window)


def both_ways(by: Sequence[str]) -> list[tuple[str, str, str]]:
    return [
        ("Opened", "cps", total(OPENED, TRAFFIC, by)),
        ("Received", "Bps", total(BYTES["received"], TRAFFIC, by)),
        ("Sent", "Bps", total(BYTES["sent"], TRAFFIC, by)),
        ("Duration p50", "ms", duration(0.5, by)),
        ("Duration p99", "ms", duration(0.99, by)),
    ]


def troubled() -> str:
    """Which part of the closed connections had a response flag."""
    every = total(CLOSED, TRAFFIC)
    flagged = total(CLOSED, f'{TRAFFIC}, response_flags!="-"')
    return f"({flagged} or {every} * 0) / ({every} > 0)"


def build() -> Json:
    panels = [
        stat("Opened", "Connections.", "cps", total(OPENED, TRAFFIC)),
        stat("Closed", "Connections.", "cps", total(CLOSED, TRAFFIC)),
        stat(
            "Closed in trouble",
            "With a response flag: no upstream, reset, timeout.",
            "percentunit",
            troubled(),
            NONE_IS_GOOD,
        ),
        stat("Received", "From clients.", "Bps", total(BYTES["received"], TRAFFIC)),
        stat("Sent", "To clients.", "Bps", total(BYTES["sent"], TRAFFIC)),
        stat("Duration p99", "Of connections that were closed.", "ms", duration(0.99)),
        row("From each Kubernetes cluster (row) to each (column)"),
        matrix("Throughput", "Bytes per second, both ways.", "Bps", tcp_bytes(PAIR), width=12),
        matrix("Connections opened", "Per second.", "cps", total(OPENED, TRAFFIC, PAIR), width=12),
        row("Who"),
        table(
            "Services",
            "What is called over TCP.",
            {
                "destination_service": ("Service", None),
                "destination_service_namespace": ("Namespace", None),
                "destination_cluster": ("Kubernetes cluster", None),
            },
            both_ways(SERVICE),
            width=12,
        ),
        table(
            "Callers",
            "Workloads that open these connections.",
            {
                "source_workload": ("Workload", None),
                "source_workload_namespace": ("Namespace", None),
                "source_cluster": (
                    "Kubernetes cluster",
                    link(
                        "What this Kubernetes cluster calls", UID, "var-source_cluster=${__data.fields.source_cluster}"
                    ),
                ),
            },
            both_ways(CALLER),
            width=12,
        ),
        row("Over time"),
        *(
            chart(
                f"Bytes {way}",
                "To clients." if way == "sent" else "From clients.",
                "Bps",
                [over_time(ARROW, total(BYTES[way], TRAFFIC, PAIR, STEP))],
            )
            for way in ("received", "sent")
        ),
        chart(
            "Connections",
            "Per second.",
            "cps",
            [
                over_time(f"{ARROW} {what}", total(metric, TRAFFIC, PAIR, STEP))
                for what, metric in (("opened", OPENED), ("closed", CLOSED))
            ],
            width=8,
        ),
        chart(
            "Duration",
            "Of connections that were closed, in milliseconds.",
            "ms",
            [over_time(f"{ARROW} p{q * 100:.0f}", duration(q, PAIR, STEP)) for q in (0.5, 0.9, 0.99)],
            width=8,
        ),
        chart(
            "Why connections ended",
            "Envoy's response flags; -: in peace.",
            "cps",
            [
                over_time(
                    "{{destination_service}} {{response_flags}}",
                    total(CLOSED, TRAFFIC, ("destination_service", "response_flags"), STEP),
                )
            ],
            width=8,
        ),
    ]
    return dashboard(
        UID,
        "Istio: TCP",
        "TCP connections between Kubernetes clusters and services.",
        [REPORTER, SOURCE_CLUSTER, DESTINATION_CLUSTER],
        panels,
    )
