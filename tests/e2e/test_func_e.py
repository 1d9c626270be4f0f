"""The commands of envoy-config/func-e/README.md, in a fresh clone."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from lab.envoy import binary as envoy_binary
from lab.paths import ROOT
from lab.ports import free_ports
from lab.waiting import PATIENCE_SECONDS, wait_until
from lab.web import answers_ok
from tests.e2e.harness import scrape
from tests.e2e.harness.scrape import Family

README = "envoy-config/func-e/README.md"
# The ports in the files are for people; others may use them right now.
PORT = re.compile(r"\b1[89]0\d\d\b")


def _commands(text: str) -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project's root after `make build`, with ports of its own."""
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "envoy-config", root / "envoy-config")
    (root / "dist").symlink_to(ROOT / "dist")
    files = [root / README, *root.glob("envoy-config/func-e/*.yaml"), *root.glob("envoy-config/standalone/*.yaml")]
    ports = sorted(set(PORT.findall("".join(file.read_text() for file in files))))
    free = dict(zip(ports, map(str, free_ports(len(ports))), strict=True))
    for file in files:
        file.write_text(PORT.sub(lambda port: free[port[0]], file.read_text()))
    return root


@contextmanager
def _running(command: list[str], clone: Path) -> Iterator[Path]:
    """One of the README's `func-e …` lines; waits until Envoy is ready."""
    home = clone.parent
    environment = {
        **os.environ,
        "ENVOY_PATH": str(envoy_binary()),
        "FUNC_E_STATE_HOME": str(home / "state"),
        "FUNC_E_RUNTIME_DIR": str(home / "runtime"),
    }
    func_e = ROOT / "tests" / "e2e" / "harness" / "func_e.py"
    run_id = command[command.index("--run-id") + 1]
    log = home / "state" / "envoy-runs" / run_id / "stderr.log"
    address = home / "runtime" / run_id / "admin-address.txt"
    process = subprocess.Popen([func_e, *command[1:]], cwd=clone, env=environment)
    try:

        def ready() -> bool:
            assert process.poll() is None, f"Envoy {run_id} ended:\n{log.read_text()}"
            return address.is_file() and answers_ok(f"http://{address.read_text()}/ready")

        wait_until(ready, f"Envoy {run_id} ready")
        yield log
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=PATIENCE_SECONDS)


def _get(url: str, *headers: str) -> httpx.Response:
    host = dict(header.split(": ") for header in headers)
    return httpx.get(url, headers=host, trust_env=False, timeout=PATIENCE_SECONDS)


def test_both_sides_name_both_kubernetes_clusters(clone: Path) -> None:
    commands = _commands((clone / README).read_text())
    runs = [command for command in commands if command[0] == "func-e"]
    requests = [command for command in commands if command[:2] == ["curl", "-H"]]
    scrapes = [command for command in commands if command[:2] == ["curl", "-s"]]
    assert (len(runs), len(requests), len(scrapes)) == (3, 2, 2)
    assert len(commands) == 7

    with ExitStack() as stack:
        logs = [stack.enter_context(_running(command, clone)) for command in runs]
        statuses = [_get(url, header).status_code for _, _, header, url in requests]
        assert statuses == [200, 500]
        for command, reporter in zip(scrapes, ("source", "destination"), strict=True):
            url = command[2]

            def counted(url: str = url) -> Family | None:
                family = scrape.parse(_get(url).text).get("istio_requests_total")
                return family if family and len(family.series) == 2 else None

            family = wait_until(counted, f"two series at {url}")
            labels = [dict(labels) for labels in family.series]
            assert {label["response_code"] for label in labels} == {"200", "500"}
            for label in labels:
                seen = label["reporter"], label["source_cluster"], label["destination_cluster"]
                assert seen == (reporter, "east", "west")
    for log in logs:
        assert "[error]" not in log.read_text() and "[critical]" not in log.read_text(), log.read_text()


def test_the_second_envoy_needs_its_own_base_id(clone: Path) -> None:
    """Why the commands say --use-dynamic-base-id: without it this is what people see."""
    [application, west, _] = [command for command in _commands((clone / README).read_text()) if command[0] == "func-e"]
    plain = [[word for word in command if word != "--use-dynamic-base-id"] for command in (application, west)]
    # Somebody else's Envoy on this machine may hold base id 0 already; then the first fails like the second.
    base = ["--base-id", str(os.getpid() % 60000 + 1)]
    second = _running(plain[1] + base, clone)
    with (
        _running(plain[0] + base, clone),
        pytest.raises(AssertionError, match=r"base_id|Address already in use"),
        second,
    ):
        pass
