"""Where `make dist` puts things, and what else there is to read them with."""

from typing import Any

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
# Name of the Wasm module, and the package it is linked from.
MODULES = {"istio_stats": "istio-stats-module", "metadata_exchange": "metadata-exchange-module"}
# The same of every module.
ALL_MODULES = {**MODULES, "libistio_stats": "native-module"}


def file_of(name: str) -> Path:
    """A module in dist/."""
    return DIST / f"{name}.{'wasm' if name in MODULES else 'so'}"


def run(*command: str, **options: Any) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, **options).stdout


# Of images; a `+` and the commit may not be in a tag.
VERSION = run("scripts/version").strip().partition("+")[0]


def need(there: object, what: str) -> None:
    """Skips the test, or fails it where CI=true, if what it needs is not there."""
    if not there:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {what}")


def need_skopeo() -> None:
    need(shutil.which("skopeo"), "skopeo: apt install skopeo")


def need_docker() -> None:
    there = shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, timeout=60)
    need(there and there.returncode == 0, "a running Docker engine")
