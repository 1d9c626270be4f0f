"""TCP throughput of one Envoy worker: without telemetry, with the stats filter, with the exchange, too.

Every connection goes through Envoy twice, as between two workloads: through the
client's side and through the server's side, both on the one worker thread of
one process. Each variant has its two listeners; the filters stand in both, so
the exchange really takes place. Rounds go through the variants in turn; the
first round is discarded.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
import metrics
import paired
import proxy
import table
from bulk import ORDER, Bulk
from processes import Failure, Processes

ROOT = Path(__file__).resolve().parents[2]
# Many short rounds: what disturbs the machine then meets all variants of a round alike.
ROUNDS = 120
MIB_EACH_WAY = 64
MIB = 1 << 20
NODE_METADATA = {
    "CLUSTER_ID": "bench",
    "NAMESPACE": "bench",
    "NAME": "bench-1",
    "WORKLOAD_NAME": "bench",
    "LABELS": {"app": "bench", "version": "v1", "service.istio.io/canonical-name": "bench"},
}
SETTLE_SECONDS = 10


@dataclass(frozen=True)
class Variant:
    name: str
    what: str
    modules: tuple = ()
    # Least median of the throughput's ratio to the first variant.
    least: float = None


VARIANTS = (
    Variant("none", "no telemetry"),
    # What its ratio differs from 1 is the noise of this run.
    Variant("none_again", "no telemetry, once more"),
    Variant("stats", "istio_stats", ("istio_stats",), 0.98),
    Variant("exchange", "istio_stats and metadata_exchange", ("metadata_exchange", "istio_stats"), 0.95),
)
REFERENCE = VARIANTS[0]


def main():
    options = arguments()
    os.chdir(ROOT)
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(bench(options))
    except Failure as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds that count (default {ROUNDS})")
    parser.add_argument(
        "--mib", type=int, default=MIB_EACH_WAY, help=f"MiB each way, per variant and round (default {MIB_EACH_WAY})"
    )
    options = parser.parse_args()
    if options.rounds < 2 or options.mib < 1:
        parser.error("--rounds must be at least 2, --mib at least 1")
    return options


def bench(options):
    about = machine.describe()
    up = down = options.mib * MIB
    bulk = Bulk()
    with Processes() as processes, bulk.server() as server_port:
        ports = free_ports(1 + 2 * len(VARIANTS))
        entries = dict(zip(VARIANTS, ports[1::2]))
        envoy = proxy.Proxy(processes, "tcp", bootstrap(server_port, ports))
        about |= {"envoy": envoy.version, "rounds_counted": options.rounds, "mib_each_way": options.mib}
        print(f"{about['envoy']}, {options.rounds} rounds of {len(VARIANTS)} × {2 * options.mib} MiB, one to warm up:")
        rounds = []
        for order in paired.orders(VARIANTS, options.rounds + 1):
            rounds.append({variant: measure(envoy, bulk, entries[variant], up, down) for variant in order})
            print(".", end="", flush=True)
        print()
        check_counts(envoy, connections=len(rounds), received=ORDER.size + up, sent=down)
    return report(about, rounds[1:])


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def bootstrap(server_port, ports):
    listeners, upstream_clusters = [], []
    for variant, near, far in zip(VARIANTS, ports[1::2], ports[2::2]):
        sides = (("outbound", near, far), ("inbound", far, server_port))
        for direction, port, upstream_port in sides:
            name = f"{direction}|1||{variant.name}"
            listeners.append(listener(name, direction, port, variant.modules))
            upstream_clusters.append(upstream_cluster(name, variant, upstream_port))
    return proxy.bootstrap(ports[0], NODE_METADATA, listeners, upstream_clusters)


def listener(name, direction, port, modules):
    tcp_proxy = {
        "@type": proxy.EXTENSION + "filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": direction,
        "cluster": name,
    }
    filters = [proxy.plugin(module, "network", f"stats_{direction}", {"attachment": "tcp"}) for module in modules]
    filters.append({"name": "envoy.filters.network.tcp_proxy", "typed_config": tcp_proxy})
    return {
        "name": name,
        "traffic_direction": direction.upper(),
        "address": proxy.address(port),
        "filter_chains": [{"filters": filters}],
    }


def upstream_cluster(name, variant, port):
    metadata = {"istio": {"services": [{"host": variant.name, "name": variant.name, "namespace": "bench"}]}}
    if name.startswith("outbound") and "metadata_exchange" in variant.modules:
        metadata["istio-stats"] = {"tcp_exchange": True}
    return {
        "name": name,
        "type": "STATIC",
        "metadata": {"filter_metadata": metadata},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": proxy.address(port)}}]}],
        },
    }


# === measuring


@dataclass(frozen=True)
class Measurement:
    gib_per_second: float
    gib_per_cpu_second: float
    # How much of a core Envoy used. The less, the more something else was the limit.
    busy: float


def measure(envoy, bulk, port, up, down):
    begin = envoy.cpu_seconds()
    seconds = bulk.transfer(port, up, down)
    cpu_seconds = envoy.cpu_seconds() - begin
    gib = (up + down) / (1 << 30)
    return Measurement(gib / seconds, gib / cpu_seconds, cpu_seconds / seconds)


def check_counts(envoy, connections, received, sent):
    """The filters did their work, or the figures are worth nothing."""
    expected = {
        metrics.TCP_CLOSED: connections,
        metrics.TCP_RECEIVED: connections * received,
        metrics.TCP_SENT: connections * sent,
    }
    # A connection is reported when Envoy has closed it, after the client has.
    deadline = time.monotonic() + SETTLE_SECONDS
    while wrong := list(differences(envoy.metrics(), expected)):
        if time.monotonic() > deadline:
            raise Failure("the metrics are not what was sent:\n  " + "\n  ".join(wrong))
        time.sleep(0.2)


def differences(snapshot, expected):
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


def report(about, rounds):
    """Prints and writes the table; returns the exit code."""
    results = [compare(variant, rounds) for variant in VARIANTS]
    columns = ["variant", "GiB/s", "ratio", "GiB per CPU second", "ratio of these", "busy"]
    rows = [row(variant, result) for variant, result in zip(VARIANTS, results)]
    table.show("Medians (quartiles); a ratio is to the first line, within each round", columns, rows)
    verdicts = [verdict(*pair) for pair in zip(VARIANTS, results) if pair[0].least is not None]
    print("\n" + "\n".join(text for _, text in verdicts))
    write(about, columns, rows, [text for _, text in verdicts], rounds)
    return 0 if all(reached for reached, _ in verdicts) else 1


@dataclass(frozen=True)
class Comparison:
    """A variant's figures, and their ratios to the reference's, by round."""

    speeds: list
    speed_ratios: list
    per_cpu: list
    per_cpu_ratios: list
    busy: list


def compare(variant, rounds):
    def figures(name):
        values, reference = ([getattr(one[which], name) for one in rounds] for which in (variant, REFERENCE))
        return values, paired.ratios(values, reference)

    busy, _ = figures("busy")
    return Comparison(*figures("gib_per_second"), *figures("gib_per_cpu_second"), busy)


def row(variant, result):
    figures = (
        (result.speeds, 2),
        (result.speed_ratios, 3),
        (result.per_cpu, 2),
        (result.per_cpu_ratios, 3),
        (result.busy, 2),
    )
    return [variant.what, *(paired.Quartiles.of(values).text(digits) for values, digits in figures)]


def verdict(variant, result):
    ratio = statistics.median(result.speed_ratios)
    lower, upper = paired.median_interval(result.speed_ratios)
    reached = ratio >= variant.least
    return reached, (
        f"{'reached' if reached else 'MISSED'}: {variant.what}, throughput ratio {ratio:.3f} "
        f"(95 % confidence {lower:.3f}–{upper:.3f}), at least {variant.least}"
    )


def write(about, columns, rows, verdicts, rounds):
    lines = [", ".join(f"{name} {value}" for name, value in about.items()), ""]
    lines += ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *rows)]
    lines += ["", *(f"- {text}" for text in verdicts)]
    (proxy.OUT / "tcp.md").write_text("\n".join(lines) + "\n")
    values = [{variant.name: asdict(result) for variant, result in one.items()} for one in rounds]
    (proxy.OUT / "tcp.json").write_text(json.dumps({**about, "rounds": values}, indent=2) + "\n")
    print(f"\nwritten: {proxy.OUT}/tcp.md, {proxy.OUT}/tcp.json")


if __name__ == "__main__":
    main()
