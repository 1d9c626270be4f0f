"""A VictoriaMetrics that others write to, as one process."""

from pathlib import Path

from lab import web
from lab.paths import printed_path
from lab.ports import free_ports
from lab.processes import Process
from tests.prometheus.checks.queries import over_http


class VictoriaMetrics:
    """A context manager; everything it writes is in `directory`."""

    # While it runs.
    _process: Process

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True)
        (port,) = free_ports(1)
        self._address = f"127.0.0.1:{port}"
        self.url = f"http://{self._address}"
        self.query = over_http(self.url)

    def __enter__(self) -> "VictoriaMetrics":
        command: list[str | Path] = [
            printed_path("victoria-metrics-path") / "victoria-metrics",
            f"-storageDataPath={self._directory / 'data'}",
            f"-httpListenAddr={self._address}",
            # Else nothing is to be seen of the last 30 s.
            "-search.latencyOffset=1ms",
            "-search.disableCache",
        ]
        self._process = Process("VictoriaMetrics", command, self._directory / "log")
        self._process.wait_until_or_stop(lambda: web.answers_ok(f"{self.url}/health"))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
