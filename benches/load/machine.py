"""What a figure has to be read with: when and where it was taken; and who gets which cores."""

import os
import platform
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from lab.tree import Json

# Of the kernel's real-time threads the least.
PRIORITY = 1


def describe() -> Json:
    return {
        "date": datetime.now().astimezone().date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        # What else ran: above 1 the figures are noisy.
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def worker_core() -> set[int]:
    """The core of the thread that is measured. The first one often serves the devices."""
    return {max(os.sched_getaffinity(0))}


def other_cores() -> set[int]:
    """The cores of whoever makes that thread work; the same one if there is no other."""
    return os.sched_getaffinity(0) - worker_core() or worker_core()


def favour(thread: int, cores: set[int]) -> None:
    """Keeps a thread on these cores and, as far as we may, ahead of what else runs on the machine."""
    with suppress(ProcessLookupError):
        os.sched_setaffinity(thread, cores)
        # Only root may; without, the figures are noisier, not wrong. Being nice is not enough:
        # who waits for a core gets it when the other's slice of milliseconds is over.
        with suppress(PermissionError):
            os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(PRIORITY))
