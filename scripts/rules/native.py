"""What native histograms of pods grew by, as the classic parts of a histogram of their workload.

Prometheus 2.42 adds histograms up and takes increases of them, but cannot subtract one from another. So all pods'
increases are added up as one native histogram for each workload, of which it then says how many samples are below each
bound.

`increase()` would do what `delta()` does here, and see counters that begin anew. But from Prometheus 3.5 on it
extrapolates no histogram to below zero, so that of a label set with one sample that gets a hundred a half is missing.
"""

from collections.abc import Iterator

# Name and expression.
Rule = tuple[str, str]
# Those that Envoy's classic histograms have, as its text page writes them.
BOUNDS = (
    *("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000"),
    *("30000", "60000", "300000", "600000", "1800000", "3600000"),
)
# A target that could not be scraped at the step before, and could within ten minutes before: what it has now may be
# counted already.
GAP = "(max_over_time(up[10m:15s] offset 30s) == 1 unless last_over_time(up[15s:15s] offset 30s) == 1)"


def series(histogram: str) -> str:
    """What is recorded of all pods of a workload: twice what they grew by in 15 s, as delta() has it over 30."""
    return f"workload_native:{histogram}:increase"


def rule(histogram: str, without: str) -> Rule:
    """Its rule.

    A subquery looks at every full quarter of a minute, so that each step is counted once, wherever in between the
    evaluation is. What has its first sample at the last step is new, and counts from zero; that sample is the one
    of an evaluation before, or else the one of now. What became less began anew: increase() has all of it.
    """
    grown = f"{histogram}[30s:15s] offset 15s"
    expression = (
        f"sum without ({without}) (\n"
        f"  delta({grown}) and histogram_count(delta({grown})) >= 0\n"
        f"  or increase({grown})\n"
        f"  or ({histogram} offset 30s + {histogram} offset 30s or {histogram} offset 15s + {histogram} offset 15s)\n"
        f"  and present_over_time({histogram}[15s:15s] offset 15s)\n"
        f"  unless on (job, instance) {GAP}\n"
        # Its proxy was classic until now, and counted as such.
        f"  unless present_over_time({histogram}_count[10m] offset 30s)\n"
        ")"
    )
    return series(histogram), expression


def parts(histogram: str, part: str) -> Iterator[str]:
    """What workloads' `bucket`, `count` or `sum` grew by, an expression for each bound."""
    increase = series(histogram)
    if part != "bucket":
        yield f"histogram_{part}({increase}) / 2"
        return
    # From -Inf: Prometheus takes the lowest bucket, around zero, for one half below it where there is no other.
    counts = {bound: f"histogram_fraction(-Inf, {bound}, {increase}) * histogram_count({increase})" for bound in BOUNDS}
    for bound, count in {**counts, "+Inf": f"histogram_count({increase})"}.items():
        # Where nothing came there is no fraction of it.
        yield f'label_replace({count} / 2 >= 0, "le", "{bound}", "", "")'
