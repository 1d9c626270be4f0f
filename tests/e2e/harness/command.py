"""Runs the command `istio-stats` as a user does, whatever its exit status."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from lab.paths import ROOT, command, module
from lab.waiting import PATIENCE_SECONDS


def istio_stats(*arguments: str | Path, stdin: str, statuses: tuple[int, ...] = (0,)) -> str:
    """What the command prints; it must end with one of these statuses."""
    ran = subprocess.run([command(), *arguments], input=stdin, capture_output=True, text=True, check=False)
    if ran.returncode not in statuses:
        raise RuntimeError(
            f"istio-stats {' '.join(map(str, arguments))} failed with {ran.returncode}:\n{ran.stdout}{ran.stderr}"
        )
    return ran.stdout


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A finished run of the command."""
    words = [str(command()), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


def read_json(*arguments: object, status: int = 0) -> Any:
    """What the command prints with --json."""
    ran = run(*arguments, "--json")
    assert ran.returncode == status, f"exit status {ran.returncode}, expected {status}\n{ran.stdout}{ran.stderr}"
    return json.loads(ran.stdout)


def trapping_module(callback: str, directory: Path, calls: int = 0) -> Path:
    """The stats module with a trap in a callback, in each VM after so many calls."""
    output = directory / f"istio_stats_traps_in_{callback}_after_{calls}.wasm"
    example = ["run", "--quiet", "--package", "istio-stats-tools", "--example", "trap", "--"]
    cargo = shutil.which("cargo") or Path.home() / ".cargo" / "bin" / "cargo"
    subprocess.run([cargo, *example, module("istio_stats"), callback, str(calls), output], cwd=ROOT, check=True)
    return output
