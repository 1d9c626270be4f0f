"""What a figure has to be read with: when and where it was taken."""

import os
import platform
from datetime import date
from pathlib import Path


def describe():
    return {
        "date": date.today().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        # What else ran: above 1 the figures are noisy.
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
