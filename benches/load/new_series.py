"""What a label set that is new to the process costs: CPU time of the worker and of the main thread, and memory.

A request of a new label set defines four series. The host of the request
becomes a label, so that each can have one. In a fresh Envoy the first is
measured, some around the 100th series, and some around the 10 000th; once with
series defined in the background, as is the default, once in place, and once by
the native module, which has no need of either.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from benches.load import mesh
from benches.load.h2load import Load
from benches.load.hosts import NewHosts
from benches.load.proxy import Proxy
from benches.load.report import Part, Verdict
from benches.load.settle import settle
from benches.load.stream import Stream
from lab import plugins
from lab.processes import Processes
from lab.tree import Json

RUNS = 5
SERIES_PER_LABEL_SET = 4
# Label sets that are there before those that are measured, and how many those are.
PLACES = {"1st": (0, 1), "100th": (12, 25), "10 000th": (2488, 25)}
LAST = list(PLACES)[-1]
MAX_LABEL_SETS = 10_000
MODES = ("in the background", "in place", "natively")
KNOWN_REQUESTS = 200
# So many wait for their definition at most.
BATCH = 100


@dataclass(frozen=True)
class Cost:
    """In ms."""

    worker: float
    main: float


def run(effort: float) -> Part:
    runs = max(1, round(RUNS * effort))
    found: dict[str, list[Json]] = {mode: [] for mode in MODES}
    for number in range(runs):
        for mode in MODES:
            # The last place takes long to reach, and is measured many times in one run.
            found[mode].append(measure(mode, list(PLACES) if number == 0 else list(PLACES)[:-1]))
            print(".", end="", flush=True)
    print()
    return report(found, runs)


def filter_of(mode: str) -> Json:
    if mode == "natively":
        return mesh.native_filter("istio_stats", max_series=MAX_LABEL_SETS)
    in_place = mode == "in place"
    plugin = mesh.ours("istio_stats", "stats_outbound", define_in_place=in_place, max_series=MAX_LABEL_SETS)
    return plugins.http_filter(plugin)


def measure(mode: str, places: Sequence[str]) -> Json:
    """In one fresh Envoy."""
    variant = mesh.Variant(
        "new-series",
        "",
        filters=(filter_of(mode),),
        stream=Stream(named_service=False),
        upstream_clusters=(plugins.native_handles(),) if mode == "natively" else (),
    )
    with Processes() as processes:
        envoys = mesh.Mesh(processes, "new_series", [variant], flush_seconds=mesh.NO_FLUSH_SECONDS)
        envoy, client = envoys.proxy, NewHosts("service", envoys.port(variant))
        envoys.send(variant, Load("warm-up", 4, 2000))
        client.request("known")
        settle(envoy)
        known = spent(envoy, partial(client.request_often, "known", KNOWN_REQUESTS))
        resident = envoy.resident_bytes()
        costs: Json = {}
        label_sets = 0
        for place in places:
            before, count = PLACES[place]
            add(envoy, client, before - label_sets)
            cost = spent(envoy, partial(client.request_new, count))
            worker = cost.worker / count - known.worker / KNOWN_REQUESTS
            costs[place] = asdict(Cost(worker / SERIES_PER_LABEL_SET, cost.main / count / SERIES_PER_LABEL_SET))
            label_sets = before + count
        kib = (envoy.resident_bytes() - resident) / 1024 / (label_sets * SERIES_PER_LABEL_SET)
        # Labels stand in front of a Wasm plugin's name, and behind that of a native module.
        counted = envoy.counters("elsewhere.*istio_requests_total$|istio_requests_total\\..*elsewhere")
        return {
            "envoy": envoy.version,
            "costs": costs,
            "kib_per_series": kib,
            "label_sets": [label_sets, len(counted)],
            "requests": [label_sets, sum(counted)],
        }


def add(envoy: Proxy, client: NewHosts, count: int) -> None:
    for begin in range(0, count, BATCH):
        client.request_new(min(BATCH, count - begin))
        settle(envoy)


def spent(envoy: Proxy, do: Callable[[], object]) -> Cost:
    """What both threads spend on it until all of it is done."""
    worker, main = envoy.worker_seconds(), envoy.main_seconds()
    do()
    settle(envoy)
    return Cost((envoy.worker_seconds() - worker) * 1e3, (envoy.main_seconds() - main) * 1e3)


# === reporting


def report(found: dict[str, list[Json]], runs: int) -> Part:
    columns = ["series", "defined", "ms of the worker", "ms of the main thread"]
    rows = []
    for place in PLACES:
        for mode, measured in found.items():
            costs = [one["costs"][place] for one in measured if place in one["costs"]]
            medians = [statistics.median(cost[thread] for cost in costs) for thread in ("worker", "main")]
            rows.append([place, mode, *(f"{median:.2f}" for median in medians)])
    memory = {mode: f"{measured[0]['kib_per_series'] * 1000:.0f} KiB" for mode, measured in found.items()}
    return Part(
        name="new_series",
        title="What a new series costs: CPU time, beyond that of a request without, per series",
        columns=columns,
        rows=rows,
        about={
            "envoy": found["in place"][0]["envoy"],
            "runs": runs,
            **{f"memory of 1000 series defined {mode}": text for mode, text in memory.items()},
        },
        raw=found,
        verdicts=[complete(found)],
    )


def complete(found: dict[str, list[Json]]) -> Verdict:
    """Every request of a new label set is counted once, whoever defined its series."""
    wrong = [
        f"{what} {got} of {wanted} when defined {mode}"
        for mode, measured in found.items()
        for one in measured
        for what in ("label_sets", "requests")
        for wanted, got in [one[what]]
        if wanted != got
    ]
    return Verdict(not wrong, "every new label set has its request" + "".join(f"\n  {text}" for text in wrong))
