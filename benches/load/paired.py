"""Comparison of variants that were measured in turn, round by round.

Variants of one round met the same disturbances of the machine, so their ratio
says more than the ratio of two medians.
"""

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Quartiles:
    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, values):
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    def text(self, digits):
        return f"{self.median:.{digits}f} ({self.lower:.{digits}f}–{self.upper:.{digits}f})"


def ratios(values, reference):
    """The ratio to the reference in each round."""
    return [value / other for value, other in zip(values, reference, strict=True)]


def median_interval(values):
    """Where the true median lies with 95 % confidence, whatever the distribution.

    Each value is below the true median with probability 1/2; so how many are
    is binomial, here by its normal approximation.
    """
    ordered = sorted(values)
    rank = max(0, math.floor(len(ordered) / 2 - 1.96 * math.sqrt(len(ordered)) / 2))
    return ordered[rank], ordered[-1 - rank]


def orders(variants, rounds):
    """Each round's order.

    Over as many rounds as there are variants (an even number) every variant
    comes once in every place and once right after every other: Williams'
    design. So it does not matter what a variant leaves behind in the caches.
    """
    count = len(variants)
    zigzag = [(place + 1) // 2 if place % 2 else count - place // 2 for place in range(count)]
    for number in range(rounds):
        yield [variants[(step + number) % count] for step in zigzag]
