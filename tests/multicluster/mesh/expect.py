"""Comparisons that give the metrics the time they need to arrive."""

from collections.abc import Callable, Mapping
from typing import Any

from lab.waiting import leftovers

# By the values of some labels.
Values = Mapping[tuple[Any, ...], float]


def equal(what: str, find: Callable[[], Values], wanted: Values) -> None:
    """Waits until `find()`, values by key, is what is wanted; else fails with what differs."""
    wanted = {key: value for key, value in wanted.items() if value}
    lines = leftovers(lambda: differences(find(), wanted))
    assert not lines, "\n".join([f"{what}:", *lines])


def differences(found: Values, wanted: Values) -> list[str]:
    """A line for each key whose values are not equal."""
    return [
        f"  {', '.join(map(str, key))}: found {found.get(key, 0):g}, expected {wanted.get(key, 0):g}"
        for key in sorted(found.keys() | wanted.keys(), key=str)
        if found.get(key, 0) != wanted.get(key, 0)
    ]


def close(what: str, found: Values, wanted: Values, tolerance: float) -> None:
    """The same for values that are near each other only, by a relative tolerance."""
    lines = [
        f"  {', '.join(map(str, key))}: found {found.get(key, 0):g}, expected {value:g} ± {tolerance:.0%}"
        for key, value in wanted.items()
        if not abs(found.get(key, 0) - value) <= tolerance * value
    ]
    lines += [
        f"  {', '.join(map(str, key))}: found {found[key]:g}, expected none" for key in found.keys() - wanted.keys()
    ]
    assert not lines, "\n".join([f"{what}:", *lines])


def nothing(what: str, find: Callable[[], list[str]]) -> None:
    """Waits until `find()` has no more lines; else fails with them."""
    lines = leftovers(find, every=1)
    assert not lines, "\n".join([f"{what} without data:", *lines])
