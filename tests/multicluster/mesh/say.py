"""What the user is told."""

import time

_BEGIN = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _BEGIN:5.1f} s] {text}", flush=True)
