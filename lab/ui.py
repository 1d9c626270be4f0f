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
    with process(directory, *arguments) as (_, address):
        yield address


@contextmanager
def process(directory: Path, *arguments: str) -> Iterator[tuple[Process, str]]:
    """The same, with the process that serves it."""
    log = directory / "ui.log"
    started = Process("istio-stats ui", [command(), "ui", "--listen", "127.0.0.1:0", *arguments], log)
    try:
        found = started.wait_until(lambda: re.match(r"http://\S+(?=/\n)", started.log()), "told its address")
        yield started, found[0]
        started.require_running()
    finally:
        started.stop()
