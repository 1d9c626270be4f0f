"""Comparisons that give the metrics the time they need to arrive."""

import time

# A stats flush every second, a scrape and a federation every two, and recording rules every 15; the rest is for busy
# machines.
SETTLE_SECONDS = 60


def equal(what, find, wanted):
    """Waits until `find()`, values by key, is what is wanted; else fails with what differs."""
    deadline = time.monotonic() + SETTLE_SECONDS
    wanted = {key: value for key, value in wanted.items() if value}
    while lines := differences(find(), wanted):
        assert time.monotonic() < deadline, "\n".join([f"{what}:", *lines])
        time.sleep(0.3)


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


def eventually(what, check):
    """Waits until `check()` is true."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {SETTLE_SECONDS} s"
        time.sleep(0.3)


def nothing(what, find):
    """Waits until `find()` has no more lines; else fails with them."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while lines := find():
        assert time.monotonic() < deadline, "\n".join([f"{what} without data:", *lines])
        time.sleep(1)
