"""A Prometheus, and what it costs."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from benches.load.report import OUT
from lab.memory import anonymous_bytes
from lab.paths import printed_path
from lab.ports import free_ports
from lab.processes import Processes
from lab.prometheus import ask
from lab.tree import Json
from lab.web import answers_ok

# And knows native histograms.
SPEAKS_PROTOBUF = ("--enable-feature=native-histograms",)


class Prometheus:
    """With a configuration, in a new directory."""

    def __init__(
        self, processes: Processes, name: str, config: Json, directory: Path, options: Sequence[str] = ()
    ) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        path = directory / f"{name}.json"
        # JSON is YAML.
        path.write_text(json.dumps(config))
        command: list[str | Path] = [
            printed_path("prometheus-path") / "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={directory / name}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
            *options,
        ]
        OUT.mkdir(parents=True, exist_ok=True)
        self._process = processes.start("Prometheus", command, OUT / f"{name}.prometheus.log")
        self._process.wait_until(lambda: answers_ok(f"{self.url}/-/ready"))

    def value(self, expression: str) -> float | None:
        """The only number that an expression gives; of a native histogram how many samples it has."""
        found = ask(self.url, "query", query=expression)["result"]
        if not found:
            return None
        one = found[0]
        return float(one["histogram"][1]["count"] if "histogram" in one else one["value"][1])

    def resident_bytes(self) -> int:
        """Resident memory that no file backs."""
        return anonymous_bytes(self._process.pid)

    def cpu_seconds(self) -> float:
        """CPU time so far."""
        # Linux' clock of another process: see clock_getcpuclockid(3).
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def stop(self) -> None:
        self._process.stop()
