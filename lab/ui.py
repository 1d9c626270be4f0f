"""The page of `istio-stats ui`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.paths import command
from lab.processes import Process


@contextmanager
def running(directory: Path, *arguments: str) -> Iterator[str]:
    """Its address, without the slash at the end."""
    log = directory / "ui.log"
    process = Process("istio-stats ui", [command(), "ui", "--listen", "127.0.0.1:0", *arguments], log)
    try:
        found = process.wait_until(lambda: re.match(r"http://\S+(?=/\n)", process.log()), "told its address")
        yield found[0]
        process.require_running()
    finally:
        process.stop()
