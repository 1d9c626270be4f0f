"""TCP throughput of one Envoy worker: without telemetry, with the stats filter, with the exchange, too; as Wasm
modules and as the native one.

Every connection goes through Envoy twice, as between two workloads: through the
client's side and through the server's side, both on the one worker thread of
one process. Each variant has its two listeners; the filters stand in both, so
the exchange really takes place. Rounds go through the variants in turn; the
first round is discarded.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from benches.load import paired, proxy
from benches.load.bulk import ORDER, Bulk
from benches.load.proxy import Proxy
from benches.load.report import Part, Verdict
from lab import bootstrap, metrics, plugins
from lab.metrics import Snapshot
from lab.paths import module
from lab.ports import free_ports
from lab.processes import Processes
from lab.tree import Json
from lab.waiting import leftovers

# Many short rounds: what disturbs the machine then meets all variants of a round alike.
ROUNDS = 120
MIB_EACH_WAY = 64
MIB = 1 << 20
NODE_METADATA: Json = {
    "CLUSTER_ID": "bench",
    "NAMESPACE": "bench",
    "NAME": "bench-1",
    "WORKLOAD_NAME": "bench",
    "LABELS": {"app": "bench", "version": "v1", "service.istio.io/canonical-name": "bench"},
}


@dataclass(frozen=True)
class Variant:
    name: str
    what: str
    modules: tuple[str, ...] = ()
    # Least median of the throughput's ratio to the first variant.
    least: float | None = None
    is_native: bool = False


BOTH = ("metadata_exchange", "istio_stats")
VARIANTS = (
    Variant("none", "no telemetry"),
    # What its ratio differs from 1 is the noise of this run.
    Variant("none_again", "no telemetry, once more"),
    Variant("stats", "istio_stats", ("istio_stats",), 0.98),
    Variant("exchange", "istio_stats and metadata_exchange", BOTH, 0.95),
    Variant("native", "istio_stats, native", ("istio_stats",), 0.98, is_native=True),
    Variant("native_exchange", "istio_stats and metadata_exchange, native", BOTH, 0.98, is_native=True),
)
REFERENCE = VARIANTS[0]


def run(effort: float) -> Part:
    counted = max(4, round(ROUNDS * effort))
    up = down = MIB_EACH_WAY * MIB
    bulk = Bulk()
    with Processes() as processes, bulk.server() as server_port:
        ports = free_ports(1 + 2 * len(VARIANTS))
        entries = dict(zip(VARIANTS, ports[1::2], strict=True))
        envoy = proxy.Proxy(processes, "tcp", configuration(server_port, ports))
        envoy.favour_worker()
        rounds = []
        for order in paired.orders(VARIANTS, counted + 1):
            rounds.append({variant: measure(envoy, bulk, entries[variant], up, down) for variant in order})
            print(".", end="", flush=True)
        print()
        check = check_counts(envoy, connections=len(rounds), received=ORDER.size + up, sent=down)
    return report({"envoy": envoy.version, "rounds": counted, "mib_each_way": MIB_EACH_WAY}, rounds[1:], check)


def configuration(server_port: int, ports: Sequence[int]) -> Json:
    node = {"id": "bench", "cluster": "bench", "metadata": NODE_METADATA}
    listeners, upstream_clusters = [], []
    for variant, near, far in zip(VARIANTS, ports[1::2], ports[2::2], strict=True):
        sides = (("outbound", near, far), ("inbound", far, server_port))
        for direction, port, upstream_port in sides:
            name = f"{direction}|1||{variant.name}"
            listeners.append(listener(name, direction, port, variant))
            upstream_clusters.append(upstream_cluster(name, variant, upstream_port))
    upstream_clusters.append(plugins.native_handles())
    whole = bootstrap.bootstrap(node, listeners, upstream_clusters, admin_port=ports[0], flush="5s")
    return {**whole, "layered_runtime": plugins.NATIVE_RUNTIME}


def listener(name: str, direction: str, port: int, variant: Variant) -> Json:
    make = plugins.native_network_filter if variant.is_native else plugins.network_filter
    filters = []
    for one in variant.modules:
        configuration: Json = {"attachment": "tcp"}
        if variant.is_native and one == "metadata_exchange" and direction == "outbound":
            # It cannot read what the Wasm module reads in the upstream cluster's metadata.
            configuration["tcp_upstream_clusters"] = [name]
        plugin = plugins.plugin(one, module(one), f"stats_{direction}", json.dumps(configuration))
        filters.append(make(plugin))
    return bootstrap.listener(name, [*filters, bootstrap.tcp_proxy(direction, name)], port, direction.upper())


def upstream_cluster(name: str, variant: Variant, port: int) -> Json:
    metadata: Json = {"istio": {"services": [{"host": variant.name, "name": variant.name, "namespace": "bench"}]}}
    if name.startswith("outbound") and "metadata_exchange" in variant.modules:
        metadata["istio-stats"] = {"tcp_exchange": True}
    return bootstrap.static_cluster(name, [bootstrap.endpoint(port)], metadata={"filter_metadata": metadata})


# === measuring


@dataclass(frozen=True)
class Measurement:
    gib_per_second: float
    gib_per_cpu_second: float
    # How much of a core Envoy used. The less, the more something else was the limit.
    busy: float


def measure(envoy: Proxy, bulk: Bulk, port: int, up: int, down: int) -> Measurement:
    begin = envoy.cpu_seconds()
    seconds = bulk.transfer(port, up, down)
    cpu_seconds = envoy.cpu_seconds() - begin
    gib = (up + down) / (1 << 30)
    return Measurement(gib / seconds, gib / cpu_seconds, cpu_seconds / seconds)


def check_counts(envoy: Proxy, connections: int, received: int, sent: int) -> Verdict:
    """The verdict on what the metrics say."""
    expected = {
        metrics.TCP_CLOSED: connections,
        metrics.TCP_RECEIVED: connections * received,
        metrics.TCP_SENT: connections * sent,
    }
    # A connection is reported when Envoy has closed it, after the client has.
    if wrong := leftovers(lambda: differences(envoy.metrics(), expected)):
        return Verdict(False, "the metrics count every byte; but\n  " + "\n  ".join(wrong))
    return Verdict(True, "the metrics count every byte")


def differences(snapshot: Snapshot, expected: dict[str, int]) -> Iterator[str]:
    for variant in VARIANTS:
        # Without the exchange nobody knows the peer.
        peer = NODE_METADATA["CLUSTER_ID"] if "metadata_exchange" in variant.modules else "unknown"
        for reporter, label in (("source", "destination_cluster"), ("destination", "source_cluster")):
            labels = {"destination_service_name": variant.name, "reporter": reporter, label: peer}
            for name, count in expected.items():
                found = snapshot.total(name, labels)
                wanted = count if "istio_stats" in variant.modules else 0
                if found != wanted:
                    yield f"{name}{labels} is {found}, expected {wanted}"


# === reporting


def report(about: Json, rounds: list[dict[Variant, Measurement]], check: Verdict) -> Part:
    results = [compare(variant, rounds) for variant in VARIANTS]
    targets = [
        verdict(variant, result, variant.least)
        for variant, result in zip(VARIANTS, results, strict=True)
        if variant.least is not None
    ]
    return Part(
        name="tcp",
        title="TCP throughput: medians (quartiles); a ratio is to the first line, within each round",
        columns=["variant", "GiB/s", "ratio", "GiB per CPU second", "ratio of these", "busy"],
        rows=[row(variant, result) for variant, result in zip(VARIANTS, results, strict=True)],
        about=about,
        raw=[{variant.name: asdict(result) for variant, result in one.items()} for one in rounds],
        verdicts=[*targets, check],
    )


@dataclass(frozen=True)
class Comparison:
    """A variant's figures, and their ratios to the reference's, by round."""

    speeds: list[float]
    speed_ratios: list[float]
    per_cpu: list[float]
    per_cpu_ratios: list[float]
    busy: list[float]


def compare(variant: Variant, rounds: list[dict[Variant, Measurement]]) -> Comparison:
    def figures(name: str) -> tuple[list[float], list[float]]:
        values, reference = ([getattr(one[which], name) for one in rounds] for which in (variant, REFERENCE))
        return values, paired.ratios(values, reference)

    speed, per_cpu, busy = (figures(name) for name in ("gib_per_second", "gib_per_cpu_second", "busy"))
    return Comparison(*speed, *per_cpu, busy[0])


def row(variant: Variant, result: Comparison) -> list[str]:
    figures = (
        (result.speeds, 2),
        (result.speed_ratios, 3),
        (result.per_cpu, 2),
        (result.per_cpu_ratios, 3),
        (result.busy, 2),
    )
    return [variant.what, *(paired.Quartiles.of(values).text(digits) for values, digits in figures)]


def verdict(variant: Variant, result: Comparison, least: float) -> Verdict:
    ratio, interval = statistics.median(result.speed_ratios), paired.median_interval(result.speed_ratios)
    return Verdict.at_least(f"{variant.what}, throughput ratio", ratio, least, interval)
