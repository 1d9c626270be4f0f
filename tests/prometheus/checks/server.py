"""A Prometheus process, with the project's configurations in their places but not at their pace."""

import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

import yaml

from tests.e2e.harness.paths import ROOT
from tests.e2e.harness.polling import PATIENCE_SECONDS, wait_until
from tests.prometheus.checks import rules
from tests.prometheus.checks.queries import over_http

# What the configurations do every 15 s.
PACE = "1s"


@cache
def binaries():
    """Where prometheus and promtool are."""
    found = subprocess.run([ROOT / "scripts" / "prometheus-path"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise FileNotFoundError(found.stderr.strip())
    return Path(found.stdout.strip())


def promtool(*arguments):
    return subprocess.run([binaries() / "promtool", *arguments], capture_output=True, text=True, check=False)


def configuration(name):
    """One of the project's, as a dictionary."""
    return yaml.safe_load((rules.DIRECTORY / name).read_text())


class Prometheus:
    """A context manager; everything it writes is in `directory`."""

    def __init__(self, config, directory):
        self._directory = directory
        self._port = _free_port()
        self._process = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.address = f"127.0.0.1:{self._port}"
        self.query = over_http(self.url)
        self._write(config)

    def __enter__(self):
        command = [
            binaries() / "prometheus",
            f"--config.file={self._directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
        ]
        with (self._directory / "log").open("w") as log:
            # It uses every core there is, also to make ready for what never comes.
            environment = {**os.environ, "GOMAXPROCS": "1"}
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            wait_until(self._is_ready, "Prometheus: ready")
        except BaseException as error:
            self._stop()
            raise RuntimeError(f"{error}\n{(self._directory / 'log').read_text()}") from error
        return self

    def __exit__(self, *_):
        self._stop()

    def missed_evaluations(self):
        """How often rules were due and not evaluated, for want of time."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as response:
            text = response.read().decode()
        missed = re.findall(r"^prometheus_rule_group_iterations_missed_total\{.*\} (\S+)$", text, re.MULTILINE)
        assert missed
        return sum(map(float, missed))

    def _write(self, config):
        self._directory.mkdir(parents=True)
        shutil.copytree(rules.DIRECTORY / "rules", self._directory / "rules")
        for file in (self._directory / "rules").iterdir():
            paced = (
                file.read_text().replace("interval: 15s", f"interval: {PACE}").replace("offset 15s", f"offset {PACE}")
            )
            file.write_text(paced)
        pace = {"scrape_interval": PACE, "scrape_timeout": PACE, "evaluation_interval": PACE}
        text = yaml.safe_dump({**config, "global": {**config["global"], **pace}})
        (self._directory / "prometheus.yaml").write_text(text)

    def _is_ready(self):
        status = self._process.poll()
        if status is not None:
            raise ChildProcessError(f"Prometheus ended with status {status}")
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _stop(self):
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
