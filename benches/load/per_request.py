"""CPU time of the worker per request, of variants that take turns in short rounds.

A round measures each variant twice: with several requests at a time, and with
one at a time, so that the worker sleeps in between and its caches go cold.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benches.load import paired
from benches.load.h2load import Load
from benches.load.mesh import Mesh, Variant
from lab.tree import Json

SEVERAL = Load("8 at a time", 8, 600)
LOADS = (SEVERAL, Load("1 at a time", 1, 250))
# Enough for V8 to have optimised what is called.
WARM_UP = Load("warm-up", 8, 3000)


@dataclass(frozen=True)
class Cost:
    # Of the worker thread, per request.
    microseconds: float
    # Share of a core that it got and used.
    busy: float


class Rounds:
    """What was measured."""

    def __init__(self, mesh: Mesh, variants: Sequence[Variant], count: int, loads: Sequence[Load] = LOADS) -> None:
        for variant in variants:
            mesh.send(variant, WARM_UP)
        self._rounds = []
        for order in paired.orders(variants, count):
            self._rounds.append({v.name: {load.name: _measure(mesh, v, load) for load in loads} for v in order})
            print(".", end="", flush=True)
        print()
        self.requests_per_variant = WARM_UP.requests + count * sum(load.requests for load in loads)

    def microseconds(self, name: str, load: Load) -> list[float]:
        """Of a variant, by round."""
        return [one[name][load.name].microseconds for one in self._rounds]

    def added(self, name: str, load: Load, references: Sequence[str]) -> list[float]:
        """By how much it is above the mean of others, in each round."""
        others = zip(*(self.microseconds(other, load) for other in references), strict=True)
        return [mine - statistics.mean(them) for mine, them in zip(self.microseconds(name, load), others, strict=True)]

    def busy(self, name: str, load: Load) -> float:
        return statistics.median(one[name][load.name].busy for one in self._rounds)

    def raw(self) -> list[Json]:
        return [
            {name: {load: asdict(cost) for load, cost in by_load.items()} for name, by_load in one.items()}
            for one in self._rounds
        ]


def _measure(mesh: Mesh, variant: Variant, load: Load) -> Cost:
    begin = mesh.proxy.worker_seconds()
    seconds = mesh.send(variant, load)
    spent = mesh.proxy.worker_seconds() - begin
    return Cost(spent / load.requests * 1e6, spent / seconds)
