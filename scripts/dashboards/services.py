"""From a service to its workloads to their pods."""

from collections.abc import Iterable, Sequence

from lab.tree import Json
from scripts.dashboards.grafana import GOOD_RATIO, chart, dashboard, label_values, link, over_time, row, stat, table
from scripts.dashboards.promql import STEP, latency, mean, requests, success
from scripts.dashboards.variables import DESTINATION_CLUSTER, PAIRS, REPORTER, SOURCE_CLUSTER, TRAFFIC

UID = "istio-stats-services"

_CHOSEN = (
    'destination_service_namespace=~"$destination_service_namespace", '
    'destination_service=~"$destination_service", destination_workload=~"$destination_workload"'
)
SERVED = f"{TRAFFIC}, {_CHOSEN}"
# A pod is a label of the proxy that was scraped. That is the called workload's only where it reports itself.
BY_ITSELF = f'reporter="destination", {PAIRS}, {_CHOSEN}'
SERVICE = ("destination_service", "destination_service_namespace", "destination_cluster")
WORKLOAD = (
    "destination_workload",
    "destination_workload_namespace",
    "destination_canonical_revision",
    "destination_cluster",
)
CALLER = ("source_workload", "source_workload_namespace", "source_cluster")
POD = ("pod", "instance", "destination_workload", "destination_cluster")


def golden_signals(selector: str, by: Sequence[str]) -> list[tuple[str, str, str]]:
    return [
        ("Requests", "reqps", requests(selector, by)),
        ("Success", "percentunit", success(selector, by)),
        ("p50", "ms", latency(0.5, selector, by)),
        ("p90", "ms", latency(0.9, selector, by)),
        ("p99", "ms", latency(0.99, selector, by)),
    ]


def sizes(selector: str, by: Sequence[str]) -> list[tuple[str, str, str]]:
    """Mean bytes of a request and of a response."""
    return [
        (f"{what} bytes", "bytes", mean(f"istio_{name}_bytes", selector, by))
        for what, name in (("Request", "request"), ("Response", "response"))
    ]


def variable(name: str, label: str, chosen: Iterable[str]) -> Json:
    return label_values(name, label, f"istio_requests_total{{{', '.join([TRAFFIC, *chosen])}}}")


def to(title: str, *labels: str) -> Json:
    """Stays here, and narrows what is chosen to the values of the row."""
    kept = {
        "source_cluster",
        "destination_cluster",
        "destination_service_namespace",
        "destination_service",
        "destination_workload",
    }
    narrowed = [f"var-{label}=${{__data.fields.{label}}}" for label in labels]
    return link(title, UID, *narrowed, *(f"${{{label}:queryparam}}" for label in sorted(kept - set(labels))))


def build() -> Json:
    service = to(
        "Workloads of this service", "destination_service", "destination_service_namespace", "destination_cluster"
    )
    workload = to("Pods of this workload", "destination_workload", "destination_cluster")
    caller = to("What this Kubernetes cluster calls", "source_cluster")
    panels = [
        stat("Requests", "HTTP and gRPC.", "reqps", requests(SERVED)),
        stat(
            "Success",
            "No 5xx, no gRPC status that stands for one, not broken off by the server.",
            "percentunit",
            success(SERVED),
            GOOD_RATIO,
        ),
        *(
            stat(f"p{q * 100:.0f}", "So many percent took at most so long.", "ms", latency(q, SERVED))
            for q in (0.5, 0.9, 0.99)
        ),
        stat("Called by", "Workloads.", "none", f"count({requests(SERVED, CALLER)} > 0)"),
        row("1. Services"),
        table(
            "Services",
            "A click shows only this service's workloads and pods below.",
            {
                "destination_service": ("Service", service),
                "destination_service_namespace": ("Namespace", None),
                "destination_cluster": ("Kubernetes cluster", None),
            },
            [*golden_signals(SERVED, SERVICE), *sizes(SERVED, SERVICE)],
        ),
        chart(
            "Requests by code",
            "HTTP status; 0: no response.",
            "reqps",
            [
                over_time(
                    "{{destination_service}} {{response_code}}",
                    requests(SERVED, ("destination_service", "response_code"), STEP),
                )
            ],
        ),
        chart(
            "Why requests failed",
            "Envoy's response flags.",
            "reqps",
            [
                over_time(
                    "{{destination_service}} {{response_flags}}",
                    requests(SERVED, ("destination_service", "response_flags"), STEP),
                )
            ],
        ),
        row("2. Workloads"),
        table(
            "Workloads",
            "A click shows only this workload's pods below.",
            {
                "destination_workload": ("Workload", workload),
                "destination_workload_namespace": ("Namespace", None),
                "destination_canonical_revision": ("Revision", None),
                "destination_cluster": ("Kubernetes cluster", None),
            },
            golden_signals(SERVED, WORKLOAD),
        ),
        table(
            "Called by",
            "Workloads that send these requests.",
            {
                "source_workload": ("Workload", None),
                "source_workload_namespace": ("Namespace", None),
                "source_cluster": ("Kubernetes cluster", caller),
            },
            golden_signals(SERVED, CALLER),
        ),
        chart(
            "Requests",
            "Per second.",
            "reqps",
            [
                over_time(
                    "{{destination_workload}} in {{destination_cluster}}",
                    requests(SERVED, ("destination_workload", "destination_cluster"), STEP),
                )
            ],
        ),
        chart(
            "Latency",
            "In milliseconds.",
            "ms",
            [
                over_time(
                    f"{{{{destination_workload}}}} in {{{{destination_cluster}}}} p{q * 100:.0f}",
                    latency(q, SERVED, ("destination_workload", "destination_cluster"), STEP),
                )
                for q in (0.5, 0.99)
            ],
        ),
        row('3. Pods, as they report themselves (reporter="destination")'),
        table(
            "Pods",
            "Where only workloads are federated, choose the Kubernetes cluster's own Prometheus.",
            {
                "pod": ("Pod", None),
                "instance": ("Scraped at", None),
                "destination_workload": ("Workload", None),
                "destination_cluster": ("Kubernetes cluster", None),
            },
            golden_signals(BY_ITSELF, POD),
        ),
        chart(
            "Requests of pods",
            "Per second.",
            "reqps",
            [over_time("{{pod}} {{instance}}", requests(BY_ITSELF, ("pod", "instance"), STEP))],
        ),
        chart(
            "Latency p99 of pods",
            "In milliseconds.",
            "ms",
            [over_time("{{pod}} {{instance}}", latency(0.99, BY_ITSELF, ("pod", "instance"), STEP))],
        ),
    ]
    return dashboard(
        UID,
        "Istio: services, workloads, pods",
        "How a service does, which of its workloads is to blame, and which of their pods.",
        [
            REPORTER,
            SOURCE_CLUSTER,
            DESTINATION_CLUSTER,
            variable("destination_service_namespace", "Namespace", ()),
            variable("destination_service", "Service", (_CHOSEN.split(", ", maxsplit=1)[0],)),
            variable("destination_workload", "Workload", _CHOSEN.split(", ")[:2]),
        ],
        panels,
    )
