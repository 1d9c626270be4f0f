"""One series for a workload instead of one for each of its pods."""

from collections.abc import Iterable, Iterator

from scripts.rules import native
from scripts.rules.native import Rule

HEAD = """\
# One series for each workload instead of one for each of its pods, for federation (federation-workload.yaml) and remote
# write. Written by `python3 -m scripts.rules`.
#
# Adding up the pods' counters would not do: when one of ten pods restarts, their sum falls, and rate() takes all that
# is left of it for new requests. So these counters add up increases. An evaluation adds what each pod's counter grew
# by since the last one: all of it if the counter is new or began again; and since the last sample of up to ten minutes
# before if scrapes failed meanwhile. What is evaluated every 15 s looks back 15 s: change each `15s` and `30s`. An
# evaluation that Prometheus misses (prometheus_rule_group_iterations_missed_total) is missing here, too.
#
# It looks at pods as they were 15 s ago. A sample has the time at which its scrape began and is there when it is over,
# an interval later at most. One that comes after an evaluation and is of before would count in none.
#
# The labels summed away are those of kubernetes.yaml and of the Prometheus in Istio's addons. Labels of pods that
# a scrape configuration of your own adds belong into the lists, if they change from pod to pod.
#
# Whether a pod's histograms are classic or native, its workload's are classic: so pods of either form add up, and
# whoever asks above need not know. `workload_native:…:increase` is twice what the native ones grew by; it lacks what
# they counted while scrapes failed, and what a proxy did in the 30 s in which its form changes. Without native
# histograms these rules find nothing, and cost nothing.
#
# A bound that no proxy has any more stays as it was, as long as its workload is there.
# A group for each histogram, so that they are evaluated side by side.
groups:
"""
GROUP = """\
  - name: istio-stats.workload{}
    interval: 15s
    rules:
"""
# Of pods.
WITHOUT = ", ".join(
    (
        *("instance", "namespace", "pod", "node", "pod_template_hash", "controller_revision_hash"),
        *("statefulset_kubernetes_io_pod_name", "apps_kubernetes_io_pod_index"),
    )
)
HISTOGRAMS = (
    "istio_request_duration_milliseconds",
    "istio_request_bytes",
    "istio_response_bytes",
    "istio_tcp_connection_duration_milliseconds",
)
COUNTERS = (
    *("istio_requests_total", "istio_request_messages_total", "istio_response_messages_total"),
    *("istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total"),
    *("istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"),
)
PARTS = ("bucket", "count", "sum")


def text() -> str:
    """The whole file."""
    groups = [_group("", [_adding_up(counter) for counter in COUNTERS])]
    groups += [_group(f".{histogram.removeprefix('istio_')}", _of_histogram(histogram)) for histogram in HISTOGRAMS]
    return HEAD + "".join(groups)


def _group(suffix: str, rules: Iterable[Rule]) -> str:
    return GROUP.format(suffix) + "".join(_printed(*rule) for rule in rules)


def _of_histogram(histogram: str) -> Iterator[Rule]:
    """Increases come before they are added up."""
    yield native.rule(histogram, WITHOUT)
    for part in PARTS:
        yield _part(histogram, part)


def _adding_up(counter: str, begins: str = "", further: str = "", there: str = "") -> Rule:
    """What was recorded until now, and what came since.

    `begins`: which of the counters that are new count from zero; `further`: increases that are found otherwise;
    `there`: how it is seen that a workload is there at all, if not by these counters.
    """
    recorded = f"workload:{counter}"
    expression = (
        f"sum without ({WITHOUT}) (\n"
        f"  {counter} offset 15s - last_over_time({counter}[10m] offset 30s) >= 0\n"
        f"  or {counter} offset 15s{begins}\n"
        f"{further}"
        # No pod has a series of this name: a comparison of names is cheaper than one of all labels.
        f"  or on (__name__) {recorded}\n"
        f")\n"
        f"and {there or f'group without ({WITHOUT}) ({counter} offset 15s)'}"
    )
    return recorded, expression


def _part(histogram: str, part: str) -> Rule:
    ignoring = " ignoring (le)" if part == "bucket" else ""
    # Not those of a proxy that was native until now, and counted as such.
    begins = f" unless{ignoring} present_over_time({histogram}[10m] offset 30s)"
    grown = "\n    or on (le) ".join(native.parts(histogram, part))
    # Of these no one has an instance.
    further = f"  or on (instance) (\n    {grown}\n  )\n"
    # Each histogram has a count, and a twentieth of the buckets.
    counts = f"group without ({WITHOUT}) ({histogram}_count offset 15s) or {native.series(histogram)}"
    there = f"{ignoring.strip()} ({counts})".strip()
    return _adding_up(f"{histogram}_{part}", begins, further, there)


def _printed(record: str, expression: str) -> str:
    lines = [f"      - record: {record}", "        expr: |", *(f"          {line}" for line in expression.splitlines())]
    return "\n".join(lines) + "\n"
