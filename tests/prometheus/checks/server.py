"""A Prometheus process, with the project's configurations in their places but not at their pace."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml

from lab import web
from lab.paths import printed_path
from lab.ports import free_ports
from lab.processes import Process
from lab.tree import Json
from tests.prometheus.checks import rules
from tests.prometheus.checks.queries import over_http

# What the configurations do every 15 s.
PACE_SECONDS = 1
NATIVE = "--enable-feature=native-histograms"
RECEIVER = "--web.enable-remote-write-receiver"


@cache
def binaries() -> Path:
    """Where prometheus and promtool are."""
    return printed_path("prometheus-path")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([binaries() / "promtool", *arguments], capture_output=True, text=True, check=False)


def configuration(name: str) -> Json:
    """One of the project's, as a dictionary."""
    return yaml.safe_load((rules.DIRECTORY / name).read_text())


def with_remote_write(config: Json) -> Json:
    """The configuration with what remote-write.yaml adds."""
    added = configuration("remote-write.yaml")
    return {**config, **added, "global": {**config["global"], **added["global"]}}


class Prometheus:
    """A context manager; everything it writes is in `directory`."""

    # While it runs.
    _process: Process

    def __init__(self, config: Json, directory: Path, options: Sequence[str] = ()) -> None:
        self._directory = directory
        self._options = options
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self.address = f"127.0.0.1:{self._port}"
        self.query = over_http(self.url)
        self._write(config)

    def __enter__(self) -> "Prometheus":
        command: list[str | Path] = [
            binaries() / "prometheus",
            f"--config.file={self._directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
            *self._options,
        ]
        # It uses every core there is, also to make ready for what never comes.
        environment = {**os.environ, "GOMAXPROCS": "1"}
        self._process = Process("Prometheus", command, self._directory / "log", environment)
        self._process.wait_until_or_stop(lambda: web.answers_ok(f"{self.url}/-/ready"))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def missed_evaluations(self) -> float:
        """How often rules were due and not evaluated, for want of time."""
        return total(self, "prometheus_rule_group_iterations_missed_total")

    def _write(self, config: Json) -> None:
        self._directory.mkdir(parents=True)
        shutil.copytree(rules.DIRECTORY / "rules", self._directory / "rules")
        for file in (self._directory / "rules").iterdir():
            file.write_text(rules.paced(file.read_text(), PACE_SECONDS))
        pace = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), f"{PACE_SECONDS}s")
        text = yaml.safe_dump({**config, "global": {**config["global"], **pace}})
        (self._directory / "prometheus.yaml").write_text(text)


def total(prometheus: Prometheus, metric: str) -> float:
    """The sum of a metric of Prometheus' own."""
    found = re.findall(rf"^{metric}\{{.*\}} (\S+)$", web.read(f"{prometheus.url}/metrics"), re.MULTILINE)
    assert found, metric
    return sum(map(float, found))
