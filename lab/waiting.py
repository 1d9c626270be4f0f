"""Waiting for something with a deadline."""

import os
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

# More than the slowest machine needs: only what fails takes it. Under Valgrind every machine is slower.
PATIENCE_SECONDS = int(os.environ.get("PATIENCE_SECONDS", "180"))


def wait_until(check: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS, every: float = 0.02) -> T:
    """Calls `check` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


def await_equal(find: Callable[[], object], wanted: object, what: str) -> None:
    """Calls `find` until it returns what is wanted; says what else it returned when it is too late."""
    try:
        wait_until(lambda: find() == wanted, what)
    except TimeoutError as error:
        found = find()
        # At the last moment.
        if found != wanted:
            raise TimeoutError(f"{error}: {_difference(found, wanted)}") from None


def _difference(found: object, wanted: object) -> str:
    """Of two dicts only what differs."""
    if not (isinstance(found, dict) and isinstance(wanted, dict)):
        return f"{found}, not {wanted}"
    keys = [key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)]
    return ", ".join(f"{key}: {found.get(key)}, not {wanted.get(key)}" for key in keys)


def leftovers(find: Callable[[], Iterable[str]], every: float = 0.2) -> list[str]:
    """Calls `find` until it finds nothing wrong any more; returns what was wrong at last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := list(find())) and time.monotonic() < deadline:
        time.sleep(every)
    return found
