"""Waits until a proxy has defined what it was asked to."""

import time

from benches.load.proxy import Proxy
from lab.waiting import wait_until

LOOK_SECONDS = 0.2
# What the main thread's timers take; a definition takes it for milliseconds at a time.
IDLE_SHARE = 0.04


def settle(proxy: Proxy) -> None:
    def idles() -> bool:
        before = proxy.main_seconds()
        time.sleep(LOOK_SECONDS)
        return proxy.main_seconds() - before < IDLE_SHARE * LOOK_SECONDS

    wait_until(idles, f"the main thread of {proxy.version} without work", every=0)
