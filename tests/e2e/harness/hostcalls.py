"""The hostcalls that an Envoy's trace tells of."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lab.waiting import wait_until
from tests.e2e.harness.envoy import Envoy

# Made by ticks of the main thread, which writes into the same log.
_OF_TICKS = ("dequeue_shared_queue", "get_shared_data", "set_shared_data")
# Of each stream, by the names of Envoys.
Reports = dict[str, list[list[str]]]

_ENTRY = re.compile(r"\[(vm->host|host->vm|host<-vm)\] (?:\w+\.)?proxy_(\w+)")


@contextmanager
def reports_of(*envoys: Envoy, count: int) -> Iterator[Reports]:
    """A dict that tells in the end, for each Envoy, which hostcalls the reports of so many streams made."""
    begins = {envoy: len(envoy.log()) for envoy in envoys}
    for envoy in envoys:
        envoy.trace_wasm()
    reports: Reports = {}
    yield reports
    for envoy, begin in begins.items():

        def traced(envoy: Envoy = envoy, begin: int = begin) -> list[list[str]]:
            return _reports(envoy.log()[begin:])

        wait_until(lambda: len(traced()) >= count, f"{envoy.name}: {count} reports in its trace")
        reports[envoy.name] = traced()


def _reports(log: str) -> list[list[str]]:
    """The hostcalls of each finished call of proxy_on_log, in order."""
    reports: list[list[str]] = []
    calls: list[str] | None = None
    for direction, name in _ENTRY.findall(log):
        if name == "on_log":
            if direction == "host->vm":
                calls = []
            elif calls is not None:
                reports.append(calls)
                calls = None
        elif direction == "vm->host" and calls is not None and name not in _OF_TICKS:
            calls.append(name)
    return reports
