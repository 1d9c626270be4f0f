"""What one series costs a Prometheus: least squares over the meshes that `fleet` measured last."""

import json
from collections.abc import Callable, Sequence

from benches.load import plot
from benches.load.replay import LABEL_SETS
from benches.load.report import OUT, Part
from benches.load.scrape import TEXT
from lab.failure import Failure
from lab.tree import Json

# One Prometheus, and of its mesh how many series and how many native histograms; or what each of these costs.
Counts = tuple[float, ...]
# HTTP's, of each label set.
HISTOGRAMS = 3
MIB = 1 << 20


def run(_: float) -> Part:
    path = OUT / "fleet.json"
    if not path.exists():
        raise Failure(f"{path} is missing: run the part fleet")
    meshes = json.loads(path.read_text())["raw"]
    memory = fitted(meshes, held, lambda one: one["bytes"])
    cpu = fitted(meshes, scraped, lambda one: one["cpu_seconds"])
    return Part(
        name="model",
        title="What a Prometheus takes for each series: fitted to what fleet measured",
        columns=["what", "a Prometheus", "a series", "a native histogram", "farthest off, %"],
        rows=[
            ["bytes of memory, held", *map(round, memory), off(meshes, held, lambda one: one["bytes"], memory)],
            [
                "µs of CPU, for one scrape of all and its recording",
                *(round(value * 1e6) for value in cpu),
                off(meshes, scraped, lambda one: one["cpu_seconds"], cpu),
            ],
        ],
        about={"meshes": len(meshes), "label sets of a proxy": LABEL_SETS, "the machine": "shared with others"},
        raw={"memory": memory, "cpu": cpu},
        svg=chart(meshes, memory),
    )


def held(mesh: Json) -> Counts:
    """Of what is scraped, and of what is recorded natively."""
    native = 0 if mesh["form"] == TEXT else (pods(mesh) + mesh["size"][1]) * LABEL_SETS * HISTOGRAMS
    return 1, mesh["held"] - native, native


def scraped(mesh: Json) -> Counts:
    native = 0 if mesh["form"] == TEXT else pods(mesh) * LABEL_SETS * HISTOGRAMS
    return 1, mesh["scraped"] - native, native


def pods(mesh: Json) -> int:
    _, workloads, pods_of_each = mesh["size"]
    return workloads * pods_of_each


def fitted(meshes: Sequence[Json], counts: Callable[[Json], Counts], measured: Callable[[Json], float]) -> Counts:
    """What each costs, so that the sum of squares of relative errors is least: by the normal equations."""
    rows = [[count / measured(one) for count in counts(one)] for one in meshes]
    columns = list(zip(*rows, strict=True))
    equations = [[*(dot(one, other) for other in columns), sum(one)] for one in columns]
    for place, pivot in enumerate(equations):
        pivot[:] = [value / pivot[place] for value in pivot]
        for other in equations:
            if other is not pivot:
                other[:] = [value - other[place] * own for value, own in zip(other, pivot, strict=True)]
    return tuple(solved for *_, solved in equations)


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def off(
    meshes: Sequence[Json], counts: Callable[[Json], Counts], measured: Callable[[Json], float], costs: Counts
) -> int:
    return round(max(abs(dot(counts(one), costs) / measured(one) - 1) for one in meshes) * 100)


def chart(meshes: Sequence[Json], memory: Counts) -> str:
    def curve(form: str, value: Callable[[Json], float]) -> list[tuple[float, float]]:
        return sorted((pods(one) * LABEL_SETS, value(one)) for one in meshes if one["form"] == form)

    forms = dict.fromkeys(one["form"] for one in meshes)
    by_form = [
        (
            f"Memory, MiB: {form.partition(',')[0]}",
            {
                "measured": curve(form, lambda one: one["bytes"] / MIB),
                "fitted": curve(form, lambda one: dot(held(one), memory) / MIB),
            },
        )
        for form in forms
    ]
    compared = [
        (title, {form: curve(form, value) for form in forms})
        for title, value in (
            ("CPU of a scrape, s", lambda one: one["cpu_seconds"]),
            ("Slowest rules, s", lambda one: one["rules_seconds"]),
        )
    ]
    return plot.curves("The Prometheus of a Kubernetes cluster", "label sets of all its proxies", by_form + compared)
