"""Latency of steady traffic on a worker while it meets new label sets.

Requests come at a fixed rate; beside them other requests come at another fixed
rate to another listener of the same worker. In turn, these are for a host that
is known, or each for a new host, which makes a new label set.
"""

import statistics

from benches.load import h2load, mesh, paired, plot
from benches.load.hosts import NewHosts, Steadily
from benches.load.mesh import Mesh, Variant
from benches.load.per_request import WARM_UP
from benches.load.proxy import Proxy
from benches.load.report import Part, Verdict
from benches.load.settle import settle
from benches.load.stream import Stream
from lab import plugins
from lab.processes import Processes
from lab.tree import Json

WINDOWS = 12
WINDOW_SECONDS = 3
# Steady requests per second, and their connections: with one every 20 ms, a stall delays few that come behind it.
RATE, CONNECTIONS = 2000, 40
NEW_RATE = 100
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
TARGET, MOST = "p99.9", 1.5

KNOWN, AGAIN, BACKGROUND, IN_PLACE = CONDITIONS = (
    "no new label sets",
    "no new label sets, once more",
    "new ones, defined in the background",
    "new ones, defined in place",
)


def run(effort: float) -> Part:
    windows = max(4, round(WINDOWS * effort))
    steady = variant("steady", False, named_service=True)
    others = {BACKGROUND: variant("background", False), IN_PLACE: variant("in-place", True)}
    with Processes() as processes:
        envoys = mesh.Mesh(processes, "latency", [steady, *others.values()], flush_seconds=mesh.NO_FLUSH_SECONDS)
        clients = {condition: NewHosts(other.name, envoys.port(other)) for condition, other in others.items()}
        envoys.send(steady, WARM_UP)
        for client in clients.values():
            client.request("known")
        latencies: dict[str, list[list[float]]] = {condition: [] for condition in CONDITIONS}
        for order in paired.orders(CONDITIONS, windows):
            for condition in order:
                latencies[condition].append(measure(envoys, steady, clients, condition))
                print(".", end="", flush=True)
        print()
        check = counted(envoys.proxy, clients)
    about = {"envoy": envoys.proxy.version, "windows": windows, "seconds_per_window": WINDOW_SECONDS}
    about |= {"requests_per_second": RATE, "new_label_sets_per_second": NEW_RATE}
    return report(latencies, about, check)


def variant(name: str, in_place: bool, named_service: bool = False) -> Variant:
    plugin = mesh.ours("istio_stats", "stats_outbound", define_in_place=in_place)
    return mesh.Variant(name, "", filters=(plugins.http_filter(plugin),), stream=Stream(named_service=named_service))


def measure(envoys: Mesh, steady: Variant, clients: dict[str, NewHosts], condition: str) -> list[float]:
    """Latencies of the steady requests, in ms."""
    client = clients.get(condition, clients[BACKGROUND])
    request = (lambda: client.request_new(1)) if condition in clients else (lambda: client.request("known"))
    with Steadily(NEW_RATE, request):
        latencies = h2load.open_loop(envoys.port(steady), RATE, WINDOW_SECONDS, CONNECTIONS)
    settle(envoys.proxy)
    return latencies


def counted(envoy: Proxy, clients: dict[str, NewHosts]) -> Verdict:
    """Each request of the other traffic is counted once."""
    sent = sum(client.sent for client in clients.values())
    # All with the same names are one series, whichever listener they came to.
    found = sum(envoy.counters("(=known;|elsewhere).*istio_requests_total$"))
    return Verdict(found == sent, f"the metrics count {found} requests for other hosts, sent {sent}")


# === reporting


def report(latencies: dict[str, list[list[float]]], about: Json, check: Verdict) -> Part:
    # By condition and quantile, one value per window: one disturbed window then says no more than another.
    found = {condition: by_quantile(windows) for condition, windows in latencies.items()}
    reference = statistics.median(found[KNOWN][TARGET])
    rows = [
        [
            condition,
            *(paired.Quartiles.of(values).text(2) for values in quantiles.values()),
            f"{statistics.median(quantiles[TARGET]) / reference:.2f}",
        ]
        for condition, quantiles in found.items()
    ]
    ratio, interval = paired.ratio_of_medians(found[BACKGROUND][TARGET], found[KNOWN][TARGET])
    return Part(
        name="latency",
        title="Latency of steady requests in ms, while others have new label sets: medians (quartiles) of the windows",
        columns=["other requests have", *QUANTILES, f"ratio of {TARGET}"],
        rows=rows,
        about=about,
        raw=found,
        verdicts=[
            check,
            Verdict.at_most(f"{TARGET} with {BACKGROUND}, of that with {KNOWN}:", ratio, MOST, interval),
        ],
        svg=plot.bars(
            "Latency of steady requests while others have new label sets",
            "ms, median and quartiles of the windows",
            list(QUANTILES),
            [
                (condition, [paired.Quartiles.of(v) for v in quantiles.values()])
                for condition, quantiles in found.items()
            ],
        ),
    )


def by_quantile(windows: list[list[float]]) -> dict[str, list[float]]:
    cuts = [statistics.quantiles(window, n=1000, method="inclusive") for window in windows]
    return {name: [one[round(share * 1000) - 1] for one in cuts] for name, share in QUANTILES.items()}
