"""Comparison of variants that were measured in turn, round by round.

Variants of one round met the same disturbances of the machine, so their ratio
or difference says more than that of two medians.
"""

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

RESAMPLES = 2000


@dataclass(frozen=True)
class Quartiles:
    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quartiles":
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    def text(self, digits: int) -> str:
        return f"{self.median:.{digits}f} ({self.lower:.{digits}f}–{self.upper:.{digits}f})"


def ratios(values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """The ratio to the reference in each round."""
    return [value / other for value, other in zip(values, reference, strict=True)]


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the true median lies with 95 % confidence, whatever the distribution.

    Each value is below the true median with probability 1/2; so how many are
    is binomial, here by its normal approximation.
    """
    ordered = sorted(values)
    rank = max(0, math.floor(len(ordered) / 2 - 1.96 * math.sqrt(len(ordered)) / 2))
    return ordered[rank], ordered[-1 - rank]


def ratio_of_medians(values: Sequence[float], reference: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The ratio, and where it lies with 95 % confidence, by resampling the rounds.

    For differences: one round's may be near zero, and a ratio to it says nothing.
    """
    resampling = random.Random(0)
    rounds = list(zip(values, reference, strict=True))

    def ratio(chosen: Sequence[tuple[float, float]]) -> float:
        value, other = (statistics.median(column) for column in zip(*chosen, strict=True))
        return value / other if other > 0 else math.inf

    resampled = sorted(ratio(resampling.choices(rounds, k=len(rounds))) for _ in range(RESAMPLES))
    cut = RESAMPLES // 40
    return ratio(rounds), (resampled[cut], resampled[-1 - cut])


def orders(variants: Sequence[T], rounds: int) -> Iterator[list[T]]:
    """Each round's order.

    Over as many rounds as there are variants (an even number) every variant
    comes once in every place and once right after every other: Williams'
    design. So it does not matter what a variant leaves behind in the caches.
    """
    count = len(variants)
    zigzag = [(place + 1) // 2 if place % 2 else count - place // 2 for place in range(count)]
    for number in range(rounds):
        yield [variants[(step + number) % count] for step in zigzag]
