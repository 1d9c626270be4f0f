"""What the user is told."""

import time

_BEGIN = time.monotonic()


class Failure(Exception):
    """Ends the run with a message instead of a traceback."""


def say(text):
    print(f"[{time.monotonic() - _BEGIN:5.1f} s] {text}", flush=True)
