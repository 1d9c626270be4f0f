"""What the compiler's `opt-level` costs and brings: the module of each level, all in one Envoy, taking turns.

Behind the choice in Cargo.toml.
"""

import os
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benches.load import envoy_stats, footprint, labels, mesh, paired
from benches.load.h2load import Load
from benches.load.mesh import Mesh, Variant
from benches.load.per_request import LOADS, Rounds
from benches.load.report import Part, Verdict
from lab import plugins
from lab.failure import Failure
from lab.paths import command
from lab.processes import Processes
from lab.tree import Json

LEVELS = ("z", "s", "2", "3")
BUILDS = Path("out/bench/opt_levels")
ROUNDS = 60
READY_RUNS = 7
NONE = ("none", "none-again")


def run(effort: float) -> Part:
    modules = {level: build(level) for level in LEVELS}
    variants = all_variants(modules)
    count = max(4, round(ROUNDS * effort))
    ready = seconds_to_ready(modules, max(2, round(READY_RUNS * effort)))
    with Processes() as processes:
        envoys = Mesh(processes, "opt_levels", variants)
        rounds = Rounds(envoys, variants, count)
        check = check_labels(envoys, variants, rounds.requests_per_variant)
    return report(modules, ready, variants, rounds, {"envoy": envoys.proxy.version, "rounds": count}, check)


def build(level: str) -> Path:
    """Compiles and packs the module as `make build` does, but for the level."""
    print(f"building with opt-level {level}")
    target = (BUILDS / level).absolute()
    environment = os.environ | {"CARGO_PROFILE_RELEASE_OPT_LEVEL": level, "CARGO_TARGET_DIR": str(target)}
    packed = BUILDS / f"istio_stats_{level}.wasm"
    linked = target / "wasm32-wasip1" / "release" / "istio_stats_module.wasm"
    pack = [str(command()), "pack", "--artefact", "istio-stats", str(linked), str(packed)]
    for step in (["scripts/build-wasm"], pack):
        if subprocess.run(step, env=environment, check=False).returncode != 0:
            raise Failure(f"opt-level {level}: {step[0]} failed (see above)")
    return packed


def plugin(module: Path, vm_id: str) -> Json:
    """As `mesh.ours`, of another file."""
    ours = mesh.ours("istio_stats", "stats_outbound", vm_id)
    ours["vm_config"]["code"]["local"]["filename"] = str(module)
    return ours


def all_variants(modules: dict[str, Path]) -> list[Variant]:
    variants = [
        Variant("none", "no telemetry"),
        Variant("none-again", "no telemetry, once more"),
        envoy_stats.variant(),
    ]
    for level, module in modules.items():
        filters = (plugins.http_filter(plugin(module, f"filter-{level}")),)
        loggers = (plugins.access_logger(plugin(module, f"logger-{level}")),)
        variants.append(Variant(f"filter-{level}", f"filter, opt-level {level}", filters=filters))
        variants.append(Variant(f"logger-{level}", f"logger, opt-level {level}", loggers=loggers))
    return variants


def seconds_to_ready(modules: dict[str, Path], runs: int) -> dict[str, list[float]]:
    """Until an Envoy with one worker and the module is ready, by level; levels take turns."""
    found: dict[str, list[float]] = {level: [] for level in modules}
    for _ in range(runs):
        for level, module in modules.items():
            variant = Variant("stats", "", filters=(plugins.http_filter(plugin(module, "ready")),))
            seconds, *_ = footprint.measure(variant, workers=1)
            found[level].append(seconds)
    return found


def check_labels(envoys: Mesh, variants: Sequence[Variant], requests: int) -> Verdict:
    ours = [variant for variant in variants if variant.name.startswith(("filter", "logger"))]
    return labels.check(envoys.proxy, {variant: (requests, labels.expected(variant)) for variant in ours})


def report(
    modules: dict[str, Path],
    ready: dict[str, list[float]],
    variants: Sequence[Variant],
    rounds: Rounds,
    about: Json,
    check: Verdict,
) -> Part:
    added = {(v.name, load.name): rounds.added(v.name, load, NONE) for v in variants for load in LOADS}
    columns = ["opt-level", "kB", "ms to ready"]
    for load in LOADS:
        columns += [f"filter, {load.name}", f"logger, {load.name}", "of Envoy's stats logger"]
    rows = []
    for level, module in modules.items():
        row = [level, f"{module.stat().st_size / 1000:.0f}", f"{statistics.median(ready[level]) * 1000:.0f}"]
        for load in LOADS:
            row += [paired.Quartiles.of(added[f"{form}-{level}", load.name]).text(1) for form in ("filter", "logger")]
            row.append(ratio(added, level, load))
        rows.append(row)
    return Part(
        name="opt_levels",
        title="The module by opt-level: size, start, and µs of the worker that it adds to a request (quartiles)",
        columns=columns,
        rows=rows,
        about=about,
        raw={"ready": ready, "rounds": rounds.raw()},
        verdicts=[check],
    )


def ratio(added: dict[tuple[str, str], list[float]], level: str, load: Load) -> str:
    value, (low, high) = paired.ratio_of_medians(added[f"logger-{level}", load.name], added["envoy-stats", load.name])
    return f"{value:.2f} ({low:.2f}–{high:.2f})"
