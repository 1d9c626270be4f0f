"""What the modules take beside requests: bytes, time until Envoy is ready, memory of each worker, CPU time at rest."""

import statistics
import time
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
IDLE_WORKERS = 16
# Enough connections that every worker has some.
CONNECTIONS, REQUESTS = 32, 3200
# Whoever defines series for others comes to rest after half a minute.
REST_SECONDS, IDLE_SECONDS = 35, 20


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
    idle = {}
    for name, (variant, _) in variants.items():
        idle[name] = measure_idle(variant)
        print(".", end="", flush=True)
    print()
    return report(variants, ready, resident, idle, {"envoy": version, "runs": runs})


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


def measure_idle(variant: Variant) -> float:
    """The share of a core that an Envoy takes to which nobody speaks."""
    with Processes() as processes:
        proxy = mesh.Mesh(processes, "footprint", [variant], IDLE_WORKERS).proxy
        time.sleep(REST_SECONDS)
        before = proxy.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        return (proxy.cpu_seconds() - before) / IDLE_SECONDS


def report(
    variants: dict[str, tuple[Variant, tuple[Path, ...]]],
    ready: dict[str, list[float]],
    resident: Json,
    idle: dict[str, float],
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
                f"{idle[name] * 100:.2f}",
            ]
        )
    return Part(
        name="footprint",
        title="Size, time to ready, memory (anonymous, resident) and CPU time at rest: medians, the last once",
        columns=[
            *("variant", "modules, kB", "ms to ready", "MiB, 1 worker", "MiB, each further worker"),
            f"% of a core at rest, {IDLE_WORKERS} workers",
        ],
        rows=rows,
        about=about,
        raw={"ready": ready, "resident": resident, "idle": idle},
    )
