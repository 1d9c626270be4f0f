"""Whether something grows: a straight line through samples, and how sure its slope is."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Slope:
    """Per unit of time, with the ends of the 95 % confidence interval."""

    value: float
    lower: float
    upper: float

    def times(self, factor: float) -> "Slope":
        return Slope(self.value * factor, self.lower * factor, self.upper * factor)

    def scaled(self, unit: float) -> "Slope":
        return self.times(1 / unit)

    def text(self, digits: int) -> str:
        return f"{self.value:+.{digits}f} ({self.lower:+.{digits}f} to {self.upper:+.{digits}f})"


def slope(times: Sequence[float], values: Sequence[float]) -> "Slope":
    """By least squares.

    Samples of memory follow each other: where one is high, so is the next, and each tells less
    than an independent one would. So the interval is widened by how much neighbours resemble.
    """
    count = len(times)
    middle, mean = sum(times) / count, sum(values) / count
    spread = sum((time - middle) ** 2 for time in times)
    if spread == 0 or count < 3:
        return Slope(0, -math.inf, math.inf)
    value = sum((time - middle) * (one - mean) for time, one in zip(times, values, strict=True)) / spread
    rests = [one - mean - value * (time - middle) for time, one in zip(times, values, strict=True)]
    squares = sum(rest**2 for rest in rests)
    if squares == 0:
        return Slope(value, value, value)
    likeness = sum(one * other for one, other in itertools.pairwise(rests)) / squares
    # Never to nothing, never to infinity.
    likeness = min(max(likeness, 0), 1 - 2 / count)
    error = math.sqrt(squares / (count - 2) / spread * (1 + likeness) / (1 - likeness))
    margin = _quantile(max(1, (count - 2) * (1 - likeness) / (1 + likeness))) * error
    return Slope(value, value - margin, value + margin)


def _quantile(freedom: float) -> float:
    """Of Student's distribution at 97.5 %, by the first terms of its expansion around the normal one."""
    z = 1.95996
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
