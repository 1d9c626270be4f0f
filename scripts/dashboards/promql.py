"""The expressions that several panels share."""

from collections.abc import Sequence

# Over the dashboard's whole time range, for tables and single numbers; over the distance of two points, for lines.
RANGE = "$__range"
STEP = "$__rate_interval"

# A request failed if it has any of these; docs/dashboards.md says why.
FAILURES = (
    'response_code=~"5.."',
    'grpc_response_status=~"2|4|12|13|14|15"',
    'response_flags=~"(.*,)?(LR|UC|UF|UH|UO|UPE|UR|UT)(,.*)?"',
)

PAIR = ("source_cluster", "destination_cluster")


def total(metric: str, selector: str, by: Sequence[str] = (), window: str = RANGE) -> str:
    """A counter's increase per second."""
    return f"sum{_by(by)}(rate({metric}{{{selector}}}[{window}]))"


def requests(selector: str, by: Sequence[str] = (), window: str = RANGE) -> str:
    return total("istio_requests_total", selector, by, window)


def success(selector: str, by: Sequence[str] = (), window: str = RANGE) -> str:
    """Which part of the requests did not fail. None where there were none."""
    metric = "istio_requests_total"
    failed = " or ".join(f"rate({metric}{{{selector}, {failure}}}[{window}])" for failure in FAILURES)
    every = requests(selector, by, window)
    return f"1 - (sum{_by(by)}({failed}) or {every} * 0) / ({every} > 0)"


def quantile(q: float, histogram: str, selector: str, by: Sequence[str] = (), window: str = RANGE) -> str:
    """Of classic histograms, and of native ones. Where there are both, the greater: so many took at most so long."""
    classic = total(f"{histogram}_bucket", selector, (*by, "le"), window)
    native = total(histogram, selector, by, window)
    both = f"histogram_quantile({q}, {classic}) or {_native(f'histogram_quantile({q}, {native})')}"
    return f"max{_by(by)}({both})"


def mean(histogram: str, selector: str, by: Sequence[str] = (), window: str = RANGE) -> str:
    """Of all samples, whichever form their histogram has."""
    return " / ".join(_both(histogram, part, selector, by, window) for part in ("sum", "count"))


def _both(histogram: str, part: str, selector: str, by: Sequence[str], window: str) -> str:
    classic = f"rate({histogram}_{part}{{{selector}}}[{window}])"
    native = f"histogram_{part}(rate({histogram}{{{selector}}}[{window}]))"
    return f"sum{_by(by)}({classic} or {_native(native)})"


def _native(expr: str) -> str:
    """Told from the same labels of a classic histogram."""
    return f'label_replace({expr}, "form", "native", "", "")'


def latency(q: float, selector: str, by: Sequence[str] = (), window: str = RANGE) -> str:
    return quantile(q, "istio_request_duration_milliseconds", selector, by, window)


def named(expr: str, label: str, source: str) -> str:
    """With another label that has the value of this one."""
    return f'label_replace({expr}, "{label}", "$1", "{source}", "(.*)")'


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""
