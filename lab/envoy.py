"""Which Envoy is run, and how."""

import re
import subprocess
from functools import cache
from pathlib import Path

from lab.paths import printed_path


@cache
def binary() -> Path:
    """ENVOY_PATH, else the binary of ENVOY_VERSION, downloaded when it is missing."""
    return printed_path("envoy-path")


@cache
def version() -> str:
    shown = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout
    # Between the commit and the kind of build.
    parts = shown.split("/")
    return f"Envoy {parts[-4]}" if len(parts) >= 5 else str(binary())


def release() -> tuple[int, int]:
    """The first two numbers of the version; zeros if it tells none."""
    numbers = re.match(r"Envoy (\d+)\.(\d+)\.", version())
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def command(config: Path, *options: str, workers: int = 1) -> list[str | Path]:
    """Runs it with a bootstrap. At this level its log holds problems only."""
    return [
        binary(),
        *("--config-path", config),
        *("--concurrency", str(workers)),
        *("--log-level", "warning"),
        # Several Envoys run at once; hot restart makes them share memory by id.
        *(() if "--base-id" in options else ("--disable-hot-restart",)),
        *options,
    ]
