"""What a soak found: a table, a plot, and which promise was kept."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from benches.load import paired, plot
from benches.load.report import Part, Verdict
from lab.tree import Json
from tests.e2e.harness.soak.gauges import MEMORY, Sample, cpu_per_request
from tests.e2e.harness.soak.trend import slope

OUT = Path("out/soak")
# What may be grown for sure. One request in a hundred that left 100 bytes behind would be found within an hour.
GROWTH_BYTES = 1 << 20
# Per configuration: Envoy keeps some 30 bytes for each metric that a VM defines, also when it is known, and each
# configuration here meets some hundred again, on each thread.
CONFIGURATION_BYTES = 40_000
CPU_RATIO = 1.1
# Parts of the run: warm-up until the first, new configurations until the second, only new peers from there on. Until
# the third their caches fill.
WARM, CONFIGURED, STEADY = 0.15, 0.4, 0.75
MIB = 1 << 20


def findings(samples: Sequence[Sample], about: Json) -> Part:
    """From the samples of the whole run, which are evenly spread."""
    warm, configured, settled = (round(len(samples) * part) for part in (WARM, CONFIGURED, STEADY))
    changing, steady = samples[warm:configured], samples[settled:]
    proxies = list(samples[0].proxies)
    memory = [_memory(changing, steady, proxy, gauge) for proxy in proxies for gauge in MEMORY]
    cpu = [_cpu(samples[warm:], proxy) for proxy in proxies]
    rows = [row for row, *_ in memory] + [row for row, _ in cpu]
    verdicts = [verdict for _, *both in memory + cpu for verdict in both]
    return Part(
        name="soak",
        title="Soak: after the warm-up and at the end; changes with 95 % confidence",
        columns=["proxy", "what", "after warm-up", "at the end", "per configuration", "without configurations"],
        rows=rows,
        about=about,
        raw=[one.as_json() for one in samples],
        verdicts=[*verdicts, *(_vms(samples, proxy) for proxy in proxies)],
        svg=_plot(samples, proxies),
        directory=OUT,
    )


def _memory(
    changing: Sequence[Sample], steady: Sequence[Sample], proxy: str, gauge: str
) -> tuple[list[str], Verdict, Verdict]:
    each = slope([one.configurations for one in changing], [one.of(proxy, gauge) for one in changing])
    hours = [one.seconds / 3600 for one in steady]
    hourly = slope(hours, [one.of(proxy, gauge) for one in steady])
    grown = hourly.times(hours[-1] - hours[0])
    begin, end = (statistics.median(one.of(proxy, gauge) for one in part) / MIB for part in (changing[:5], steady[-5:]))
    changes = [f"{each.scaled(1000).text(1)} kB", f"{hourly.scaled(MIB).text(2)} MiB per hour"]
    row = [proxy, f"{MEMORY[gauge]}, MiB", f"{begin:.2f}", f"{end:.2f}", *changes]
    name = f"{proxy}: {MEMORY[gauge]}"
    bounded = Verdict(each.lower <= CONFIGURATION_BYTES, f"{name}, per configuration: {changes[0]}, at most 40")
    flat = Verdict(grown.lower <= GROWTH_BYTES, f"{name}, without: {grown.scaled(MIB).text(2)} MiB, at most 1")
    return row, bounded, flat


def _cpu(steady: Sequence[Sample], proxy: str) -> tuple[list[str], Verdict]:
    spent = cpu_per_request(steady, proxy)
    third = len(spent) // 3
    first, last = ([workers / clients for _, workers, clients in part] for part in (spent[:third], spent[-third:]))
    ratio, (lower, upper) = paired.ratio_of_medians(last, first)
    change = f"× {ratio:.3f} ({lower:.3f} to {upper:.3f})"
    shown = (f"{statistics.median(workers for _, workers, _ in part):.0f}" for part in (spent[:third], spent[-third:]))
    row = [proxy, "workers' CPU per request, µs", *shown, "", f"{change} of the clients'"]
    text = f"{proxy}: the workers' CPU of the clients', last third to first: {change}, at most {CPU_RATIO}"
    return row, Verdict(lower <= CPU_RATIO, text)


def _vms(samples: Sequence[Sample], proxy: str) -> Verdict:
    # A configuration that is being tried has one of its own for a moment.
    before, after = (min(one.of(proxy, "vms") for one in part) for part in (samples[:10], samples[-10:]))
    return Verdict(before == after, f"{proxy}: {after} VMs at the end, {before} at the beginning")


def _plot(samples: Sequence[Sample], proxies: Sequence[str]) -> str:
    def curve(proxy: str, gauge: str) -> list[tuple[float, float]]:
        return [(one.seconds / 60, one.of(proxy, gauge) / MIB) for one in samples]

    panels = [(f"{proxy}, MiB", {name: curve(proxy, gauge) for gauge, name in MEMORY.items()}) for proxy in proxies]
    cpu = {proxy: [(seconds / 60, us) for seconds, us, _ in cpu_per_request(samples, proxy)] for proxy in proxies}
    cpu["the clients"] = [(seconds / 60, us) for seconds, _, us in cpu_per_request(samples, proxies[0])]
    panels.append(("CPU per request, µs", cpu))
    return plot.curves("A new configuration every few seconds, then only new peers", "minutes", panels)
