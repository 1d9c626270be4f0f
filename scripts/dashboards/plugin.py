"""Whether the plugin does its work in every proxy."""

from lab.tree import Json
from scripts.dashboards.grafana import NONE_IS_GOOD, chart, dashboard, over_time, row, stat, table
from scripts.dashboards.promql import STEP, requests

UID = "istio-stats-plugin"
# `cluster` is there only over federation, `pod` and `namespace` only in Kubernetes.
PROXY = ("cluster", "namespace", "pod", "instance")
PROXY_KEYS = {
    "cluster": ("Scraped in", None),
    "namespace": ("Namespace", None),
    "pod": ("Pod", None),
    "instance": ("Scraped at", None),
}
LEGEND = "{{pod}} {{instance}}"
# A line at zero while there is none.
UNREADABLE = (
    f"sum by (reason) (rate(istio_stats_peer_decode_errors_total[{STEP}]))"
    ' or label_replace(vector(0), "reason", "none", "", "")'
)
WASM_VMS = "envoy_wasm_envoy_wasm_runtime_v8_active"


def by_proxy(expr: str) -> str:
    return f"sum by ({', '.join(PROXY)}) ({expr})"


def or_none(expr: str) -> str:
    """For what appears only when it happens: zero for each proxy that works."""
    return f"{by_proxy(expr)} or {by_proxy('istio_stats_series')} * 0"


def top(expr: str) -> str:
    return f"topk(10, {expr})"


def with_histograms(suffix: str) -> str:
    """How many proxies have them in the form whose series end like this."""
    histogram = f'istio_request_duration_milliseconds{suffix}{{reporter!=""}}'
    return f"count(count by ({', '.join(PROXY)}) ({histogram})) or vector(0)"


def unknown(side: str, reporter: str) -> str:
    """Which part of the requests has no known Kubernetes cluster on this side, as the other side reports."""
    every = requests(f'reporter="{reporter}"', window=STEP)
    of_them = requests(f'reporter="{reporter}", {side}_cluster="unknown"', window=STEP)
    return f"({of_them} or {every} * 0) / ({every} > 0)"


def counted(ours: str, envoys: str) -> str:
    """Which part of what Envoy counted the plugin counted, too; nothing at all is zero."""
    ours, envoys = (f"increase({name}[{STEP}])" for name in (ours, envoys))
    return f"({ours} or {envoys} * 0) / ({envoys} > 0)"


def build() -> Json:
    panels = [
        stat("Proxies", "That loaded the plugin.", "none", "count(istio_build)"),
        stat("Label sets", "Kept by all proxies together.", "none", "sum(istio_stats_series)"),
        stat(
            "Beyond max_series",
            "Reports that went to an overflow series, in the chosen time.",
            "none",
            "sum(increase(istio_stats_series_overflow_total[$__range])) or vector(0)",
            NONE_IS_GOOD,
        ),
        stat(
            "Unreadable peer metadata",
            "Pieces of it, in the chosen time.",
            "none",
            "sum(increase(istio_stats_peer_decode_errors_total[$__range])) or vector(0)",
            NONE_IS_GOOD,
        ),
        stat(
            "Mistakes in configurations",
            "Parts that are not followed, in all proxies.",
            "none",
            "sum(istio_stats_config_errors) or vector(0)",
            NONE_IS_GOOD,
        ),
        stat("WebAssembly VMs", "That run now, one for each worker and plugin.", "none", f"sum({WASM_VMS})"),
        row("Is everything counted?"),
        chart(
            "HTTP requests counted",
            "Of those that Envoy itself counted. Below 100% a VM has died. Needs rules/proxies.yaml.",
            "percentunit",
            [
                over_time(
                    LEGEND, counted("instance:istio_requests:sum", "instance:envoy_http_downstream_rq_completed:sum")
                )
            ],
            most=1.1,
        ),
        chart(
            "TCP connections counted",
            "The same; listeners without the plugin count as uncounted.",
            "percentunit",
            [
                over_time(
                    LEGEND, counted("instance:istio_tcp_connections_opened:sum", "instance:envoy_tcp_downstream_cx:sum")
                )
            ],
            most=1.1,
        ),
        chart(
            "Unknown Kubernetes clusters",
            "Requests whose other side is unknown: no exchange there, or unreadable.",
            "percentunit",
            [
                over_time("destinations, as sources report", unknown("destination", "source")),
                over_time("sources, as destinations report", unknown("source", "destination")),
            ],
            most=1,
        ),
        chart(
            "Unreadable peer metadata",
            "Per second, by reason.",
            "cps",
            [over_time("{{reason}}", UNREADABLE)],
        ),
        row("What it costs"),
        chart(
            "Label sets",
            "The ten proxies with most. A label set is a counter and up to three histograms.",
            "none",
            [over_time(LEGEND, top(by_proxy("istio_stats_series")))],
            width=6,
        ),
        chart(
            "Beyond max_series",
            "Reports per second that went to an overflow series.",
            "cps",
            [over_time(LEGEND, top(or_none(f"rate(istio_stats_series_overflow_total[{STEP}])")))],
            width=6,
        ),
        chart(
            "WebAssembly VMs",
            "The ten proxies with most.",
            "none",
            [over_time(LEGEND, top(by_proxy(WASM_VMS)))],
            width=6,
        ),
        chart(
            "Form of histograms",
            "Proxies by it. Where there are both, a quantile is the greater of the two: so many took at most so long.",
            "none",
            [over_time("classic", with_histograms("_count")), over_time("native", with_histograms(""))],
            width=6,
        ),
        row("Proxies"),
        table(
            "Versions",
            "Istio of the proxies, and the plugin.",
            {"component": ("Component", None), "tag": ("Version", None)},
            [
                ("Proxies", "none", "count by (component, tag) (istio_build)"),
                ("Plugins", "none", "count by (component, tag) (istio_stats_build)"),
            ],
            width=8,
        ),
        table(
            "Proxies",
            "By label sets.",
            PROXY_KEYS,
            [
                ("Label sets", "none", by_proxy("istio_stats_series")),
                ("Configuration mistakes", "none", or_none("istio_stats_config_errors")),
                ("VMs", "none", by_proxy(WASM_VMS)),
            ],
            width=16,
        ),
    ]
    return dashboard(UID, "Istio: the stats plugin", "Whether the plugin does its work in every proxy.", [], panels)
