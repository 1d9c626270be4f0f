"""What native histograms of pods grew by, as the classic parts of a histogram of their workload.

Prometheus 2.42 adds histograms up and takes rates of them, but cannot subtract one from another; of what a histogram
says of each bound it can. So increases are taken there, where two proxies of one workload may have different forms.
"""

from collections.abc import Iterator

# Name, further labels and expression.
Rule = tuple[str, dict[str, str], str]
# Those that Envoy's classic histograms have, as its text page writes them.
BOUNDS = (
    *("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000"),
    *("30000", "60000", "300000", "600000", "1800000", "3600000"),
)
# A target that could not be scraped then, and could within ten minutes before: what it has now may be counted already.
GAP = "(max_over_time(up[10m] offset 15s) == 1 unless up offset 15s == 1)"


def series(histogram: str, part: str) -> str:
    """What is recorded of a part, `bucket`, `count` or `sum`."""
    return f"workload_native:{histogram}_{part}:increase"


def rules(histogram: str, without: str) -> Iterator[Rule]:
    """For each name, further labels and expression."""
    # From -Inf: Prometheus takes the lowest bucket, around zero, for one half below it where there is no other.
    for bound in BOUNDS:
        yield _rule(
            histogram, "bucket", f"histogram_fraction(-Inf, {bound}, {{0}}) * histogram_count({{0}})", without, bound
        )
    yield _rule(histogram, "bucket", "histogram_count({0})", without, "+Inf")
    yield _rule(histogram, "count", "histogram_count({0})", without)
    yield _rule(histogram, "sum", "histogram_sum({0})", without)


def _rule(histogram: str, part: str, value: str, without: str, bound: str = "") -> Rule:
    now, before = value.format(histogram), value.format(f"{histogram} offset 15s")
    # A histogram that Envoy makes coarser may have a little less below a bound than before.
    expression = (
        f"sum without ({without}) (\n"
        f"  clamp_min({now} - {before}, 0) >= 0\n"
        f"  and histogram_count({histogram}) >= histogram_count({histogram} offset 15s)\n"
        f"  or {now} >= 0 unless on (job, instance) {GAP}\n"
        # Its proxy was classic until now, and counted as such.
        f"  unless present_over_time({histogram}_count[10m] offset 15s)\n"
        ")"
    )
    return series(histogram, part), {"le": bound} if bound else {}, expression
