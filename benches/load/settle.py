"""Waits until a proxy has defined what it was asked to."""

import time

from lab.processes import Failure

LOOK_SECONDS = 0.2
# What the main thread's timers take; a definition takes it for milliseconds at a time.
IDLE_SHARE = 0.04
TIMEOUT_SECONDS = 60


def settle(proxy):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        before = proxy.main_seconds()
        time.sleep(LOOK_SECONDS)
        if proxy.main_seconds() - before < IDLE_SHARE * LOOK_SECONDS:
            return
    raise Failure(f"the main thread of {proxy.version} is still at work after {TIMEOUT_SECONDS} s")
