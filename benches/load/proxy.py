"""One Envoy and what it costs."""

import json
import time
import urllib.parse

from benches.load import machine
from benches.load.report import OUT
from lab import envoy, threads, web
from lab.memory import anonymous_bytes
from lab.metrics import Snapshot
from lab.processes import Processes
from lab.tree import Json
from lab.web import answers_ok

FIRST_WORKER = "wrk:worker_0"


class Proxy:
    """A running Envoy; each of its threads is known by its name."""

    def __init__(self, processes: Processes, name: str, configuration: Json, workers: int = 1) -> None:
        self._admin_port = configuration["admin"]["address"]["socket_address"]["port_value"]
        self.version = envoy.version()
        OUT.mkdir(parents=True, exist_ok=True)
        path = OUT / f"{name}.envoy.json"
        path.write_text(json.dumps(configuration, indent=2))
        command = envoy.command(path, workers=workers)
        began = time.perf_counter()
        process = processes.start(self.version, command, OUT / f"{name}.envoy.log")
        process.wait_until(lambda: answers_ok(f"http://127.0.0.1:{self._admin_port}/ready"), every=0.002)
        self.seconds_to_ready = time.perf_counter() - began
        self.pid = process.pid
        (self._worker,) = threads.named(self.pid, FIRST_WORKER)

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self._admin_port}"

    def favour_worker(self) -> None:
        """Gives the first worker a core of its own."""
        machine.favour(self._worker, machine.worker_core())

    def favour_as_helper(self) -> None:
        """Keeps all threads away from the core of the worker that is measured."""
        for thread in threads.every(self.pid):
            machine.favour(thread, machine.other_cores())

    def cpu_seconds(self) -> float:
        """CPU time of the process so far, in the kernel's exact accounting.

        /proc shows it per thread, but in steps of 10 ms. The process has one
        worker; its main thread idles.
        """
        # Linux' clock of another process: see clock_getcpuclockid(3).
        return time.clock_gettime((~self.pid << 3) | 2)

    def worker_seconds(self) -> float:
        """CPU time of the first worker so far."""
        return threads.cpu_seconds(self.pid, self._worker)

    def main_seconds(self) -> float:
        """CPU time of the main thread so far."""
        return threads.cpu_seconds(self.pid, self.pid)

    def resident_bytes(self) -> int:
        """Resident memory that no file backs: what the process needs beyond its binary."""
        return anonymous_bytes(self.pid)

    def metrics(self) -> Snapshot:
        return Snapshot.scrape(self._admin_port)

    def counters(self, regex: str) -> list[int]:
        """The values of all counters with a raw name like that. Cheap also where there are thousands of histograms."""
        query = urllib.parse.urlencode({"filter": regex, "type": "Counters"})
        found = web.read(f"http://127.0.0.1:{self._admin_port}/stats?{query}")
        return [int(line.rpartition(": ")[2]) for line in found.splitlines()]
