"""Waiting for something with a deadline."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

# More than the slowest machine needs: only what fails takes it.
PATIENCE_SECONDS = 60


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


def leftovers(find: Callable[[], Iterable[str]], every: float = 0.2) -> list[str]:
    """Calls `find` until it finds nothing wrong any more; returns what was wrong at last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := list(find())) and time.monotonic() < deadline:
        time.sleep(every)
    return found
