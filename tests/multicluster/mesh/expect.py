"""Comparisons that give the metrics the time they need to arrive."""

from lab.waiting import leftovers


def equal(what, find, wanted):
    """Waits until `find()`, values by key, is what is wanted; else fails with what differs."""
    wanted = {key: value for key, value in wanted.items() if value}
    lines = leftovers(lambda: differences(find(), wanted))
    assert not lines, "\n".join([f"{what}:", *lines])


def differences(found, wanted):
    """A line for each key whose values are not equal."""
    return [
        f"  {', '.join(map(str, key))}: found {found.get(key, 0):g}, expected {wanted.get(key, 0):g}"
        for key in sorted(found.keys() | wanted.keys(), key=str)
        if found.get(key, 0) != wanted.get(key, 0)
    ]


def close(what, found, wanted, tolerance):
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


def nothing(what, find):
    """Waits until `find()` has no more lines; else fails with them."""
    lines = leftovers(find, every=1)
    assert not lines, "\n".join([f"{what} without data:", *lines])
