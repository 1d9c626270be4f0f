"""CPU time of a worker per HTTP request: without telemetry, with ours, with others.

All variants stand in one Envoy, each with a listener and an upstream cluster.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from benches.load import envoy_stats, labels, paired, plot
from benches.load.h2load import Load
from benches.load.mesh import Mesh, Variant, native_filter, ours
from benches.load.per_request import LOADS, SEVERAL, Rounds
from benches.load.report import Part, Verdict
from benches.load.stream import SOURCE, Stream, our_exchange, stock_exchange
from lab import plugins
from lab.metrics import Labels
from lab.processes import Processes
from lab.tree import Json

ROUNDS = 60
MODULES = Path("out/bench/modules")
NONE = ("none", "none-again")
RECORDING = (
    *("reference", "envoy-stats", "filter", "logger", "native", "native-values"),
    *("filter-exchange", "logger-exchange", "native-exchange"),
)
# Eight attributes that every request has, and the records.
FLOOR = """\
cel [response.code, response.flags, xds.cluster_name, request.headers["content-type"], \
request.duration, request.total_size, response.total_size, connection.id]
records"""
# What the plugin asks for at the source's side, where an endpoint tells who the peer is.
OWN_LIST = """\
cel [response.code, response.flags, xds.cluster_name, xds.route_name, request.headers["content-type"], \
xds.upstream_host_metadata.filter_metadata.istio.workload, \
"wasm.istio_stats.upstream_peer" in filter_state, "upstream_peer" in filter_state, \
has(metadata.filter_metadata.istio_stats), has(upstream.tls_version), \
request.duration, request.total_size, response.total_size]
records"""
LEFT_OUT = "grpc_response_status"
# Variant, what it is compared with, the most its cost may be of that one's.
TARGETS = (
    ("filter", "reference", 0.45),
    ("logger", "floor", 1.15),
    ("logger", "envoy-stats", 1.1),
    ("native", "envoy-stats", 0.6),
    ("native", "filter", 0.3),
    ("our-exchange", "reference", 0.36),
)


def run(effort: float) -> Part:
    variants = all_variants()
    count = max(4, round(ROUNDS * effort))
    with Processes() as processes:
        mesh = Mesh(processes, "request_cpu", variants)
        rounds = Rounds(mesh, variants, count)
        check = check_labels(mesh, variants, rounds.requests_per_variant)
    return report(variants, rounds, {"envoy": mesh.proxy.version, "rounds": count}, check)


def all_variants() -> list[Variant]:
    answered = Stream(answered=True)
    return [
        Variant("none", "no telemetry"),
        # How far it is from the first one is the noise of the run.
        Variant("none-again", "no telemetry, once more"),
        Variant("empty-filter", "empty Wasm filter, all callbacks", filters=(bench_filter("empty_filter"),)),
        Variant("empty-logger", "empty Wasm access logger", loggers=(bench_logger("empty_logger"),)),
        Variant("reference", "reference plugin", filters=(bench_filter("reference"),)),
        floor(),
        Variant("own-list", "our plugin's list, 4 records", loggers=(bench_logger("empty_logger", OWN_LIST),)),
        envoy_stats.variant(),
        Variant("filter", "istio_stats, filter", filters=(plugins.http_filter(stats("filter")),)),
        Variant("logger", "istio_stats, access logger", loggers=(plugins.access_logger(stats("logger")),)),
        empty_native(),
        Variant(
            "native",
            "istio_stats, native filter",
            filters=(native_filter("istio_stats"),),
            upstream_clusters=(plugins.native_handles(),),
        ),
        # No metric has a handle for these labels.
        Variant(
            "native-values",
            "istio_stats, native filter, by 24 label values",
            filters=(native_filter("istio_stats", metrics=[{"tags_to_remove": [LEFT_OUT]}]),),
        ),
        Variant("our-exchange", "metadata_exchange alone", filters=our_exchange(), stream=answered),
        Variant("stock-exchange", "exchange by Envoy's filters alone", filters=stock_exchange(), stream=answered),
        Variant(
            "filter-exchange",
            "istio_stats, filter + metadata_exchange",
            filters=(*our_exchange(), plugins.http_filter(stats("filter-exchange"))),
            stream=answered,
        ),
        Variant(
            "logger-exchange",
            "istio_stats, logger + Envoy's filters",
            filters=stock_exchange(),
            loggers=(plugins.access_logger(stats("logger-exchange")),),
            stream=answered,
        ),
        Variant(
            "native-exchange",
            "istio_stats + metadata_exchange, native filters",
            filters=(native_filter("metadata_exchange"), native_filter("istio_stats")),
            stream=answered,
        ),
    ]


def stats(vm_id: str) -> Json:
    """Each variant has a VM of its own: the plugin learns from what it sees where to look first."""
    return ours("istio_stats", "stats_outbound", vm_id)


def floor(stream: Stream = SOURCE) -> Variant:
    """A logger of ten lines: what no plugin for these metrics can do without."""
    return Variant("floor", "one list, 4 records", loggers=(bench_logger("empty_logger", FLOOR),), stream=stream)


def empty_native() -> Variant:
    """Envoy's own part of a native filter: what none can do without."""
    nothing = plugins.native_http_filter(ours("istio_stats", "nothing"), MODULES / "empty_native.so")
    return Variant("empty-native", "empty native filter", filters=(nothing,))


def bench_filter(name: str) -> Json:
    return plugins.http_filter(bench_module(name))


def bench_logger(name: str, steps: str = "") -> Json:
    return plugins.access_logger(bench_module(name, steps))


def bench_module(name: str, steps: str = "") -> Json:
    return plugins.plugin(name, MODULES / f"{name}.wasm", "bench", steps)


def check_labels(mesh: Mesh, variants: Sequence[Variant], requests: int) -> Verdict:
    def said(variant: Variant) -> Labels:
        all_labels = envoy_stats.said(variant) if variant.name == "envoy-stats" else labels.expected(variant)
        left_out = {LEFT_OUT} if variant.name == "native-values" else set()
        return {label: value for label, value in all_labels.items() if label not in left_out}

    return labels.check(mesh.proxy, {v: (requests, said(v)) for v in variants if v.name in RECORDING})


# === reporting


def report(variants: Sequence[Variant], rounds: Rounds, about: Json, check: Verdict) -> Part:
    added = {(v.name, load.name): rounds.added(v.name, load, NONE) for v in variants for load in LOADS}
    columns = ["variant"]
    for load in LOADS:
        columns += [load.name, "added", "of reference"]
    return Part(
        name="request_cpu",
        title="CPU time of the worker per request in µs: medians (quartiles); added to no telemetry within each round",
        columns=[*columns, "busy"],
        rows=[row(variant, rounds, added) for variant in variants],
        about=about,
        raw=rounds.raw(),
        verdicts=[check, *(verdict(variants, added, load, *target) for load in LOADS for target in TARGETS)],
        svg=plot.bars(
            "What telemetry adds to the CPU time of a request",
            "µs of the worker thread, median and quartiles",
            [load.name for load in LOADS],
            [(v.what, [paired.Quartiles.of(added[v.name, load.name]) for load in LOADS]) for v in variants],
        ),
    )


def row(variant: Variant, rounds: Rounds, added: dict[tuple[str, str], list[float]]) -> list[str]:
    cells = [variant.what]
    for load in LOADS:
        mine, reference = added[variant.name, load.name], added["reference", load.name]
        share = statistics.median(mine) / statistics.median(reference)
        total = statistics.median(rounds.microseconds(variant.name, load))
        cells += [f"{total:.1f}", paired.Quartiles.of(mine).text(1), f"{share:.2f}"]
    return [*cells, f"{rounds.busy(variant.name, SEVERAL):.2f}"]


def verdict(
    variants: Sequence[Variant],
    added: dict[tuple[str, str], list[float]],
    load: Load,
    name: str,
    other: str,
    most: float,
) -> Verdict:
    what = {variant.name: variant.what for variant in variants}
    ratio, interval = paired.ratio_of_medians(added[name, load.name], added[other, load.name])
    return Verdict.at_most(f"{what[name]}, of what {what[other]} adds, {load.name}:", ratio, most, interval)
