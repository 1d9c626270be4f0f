"""Waiting for something with a deadline."""

import time

# More than the slowest machine needs: only a test that fails takes it.
PATIENCE_SECONDS = 60


def wait_until(check, what, seconds=PATIENCE_SECONDS):
    """Calls `check` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
