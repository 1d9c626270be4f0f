"""What the modules take beside CPU time: bytes to fetch, time until Envoy is ready, memory of each worker."""

import statistics
from pathlib import Path

from benches.load import mesh
from benches.load.h2load import Load
from benches.load.mesh import Variant
from benches.load.report import Part
from benches.load.stream import Stream, our_exchange
from lab import plugins
from lab.paths import module, native_module
from lab.processes import Processes
from lab.tree import Json

RUNS = 5
WORKERS = (1, 4)
# Enough connections that every worker has some.
CONNECTIONS, REQUESTS = 32, 3200


def run(effort: float) -> Part:
    runs = max(2, round(RUNS * effort))
    variants = all_variants()
    ready: dict[str, list[float]] = {name: [] for name in variants}
    resident: dict[str, dict[int, list[int]]] = {name: {workers: [] for workers in WORKERS} for name in variants}
    for _ in range(runs):
        for workers in WORKERS:
            for name, (variant, _) in variants.items():
                seconds, used, version = measure(variant, workers)
                resident[name][workers].append(used)
                if workers == WORKERS[0]:
                    ready[name].append(seconds)
            print(".", end="", flush=True)
    print()
    return report(variants, ready, resident, {"envoy": version, "runs": runs})


def all_variants() -> Json:
    """By what it is: the variant and its modules."""
    ours = plugins.http_filter(mesh.ours("istio_stats", "stats_outbound"))
    return {
        "no telemetry": (mesh.Variant("none", ""), ()),
        "istio_stats": (mesh.Variant("stats", "", filters=(ours,)), (module("istio_stats"),)),
        "istio_stats and metadata_exchange": (
            mesh.Variant("both", "", filters=(*our_exchange(), ours), stream=Stream(answered=True)),
            (module("istio_stats"), module("metadata_exchange")),
        ),
        "istio_stats, native": (
            mesh.Variant(
                "native",
                "",
                filters=(mesh.native_filter("istio_stats"),),
                upstream_clusters=(plugins.native_handles(),),
            ),
            (native_module(),),
        ),
    }


def measure(variant: Variant, workers: int) -> tuple[float, int, str]:
    """Seconds until ready; resident bytes after some requests."""
    with Processes() as processes:
        envoys = mesh.Mesh(processes, "footprint", [variant], workers)
        envoys.send(variant, Load("requests", CONNECTIONS, REQUESTS))
        return envoys.proxy.seconds_to_ready, envoys.proxy.resident_bytes(), envoys.proxy.version


def report(
    variants: dict[str, tuple[Variant, tuple[Path, ...]]],
    ready: dict[str, list[float]],
    resident: Json,
    about: Json,
) -> Part:
    few, many = WORKERS

    def memory(name: str, workers: int) -> float:
        return statistics.median(resident[name][workers]) / (1 << 20)

    rows = []
    for name, (_, modules) in variants.items():
        size = sum(one.stat().st_size for one in modules) / 1000
        each_worker = (memory(name, many) - memory(name, few)) / (many - few)
        rows.append(
            [
                name,
                f"{size:.0f}",
                f"{statistics.median(ready[name]) * 1000:.0f}",
                f"{memory(name, few):.1f}",
                f"{each_worker:.1f}",
            ]
        )
    return Part(
        name="footprint",
        title="Size, time to ready and memory (anonymous, resident): medians",
        columns=["variant", "modules, kB", "ms to ready", "MiB, 1 worker", "MiB, each further worker"],
        rows=rows,
        about=about,
        raw={"ready": ready, "resident": resident},
    )
