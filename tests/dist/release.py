"""Where `make dist` puts things, and what else there is to read them with."""

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
# Name of the Wasm module, and the package it is linked from.
MODULES = {"istio_stats": "istio-stats-module", "metadata_exchange": "metadata-exchange-module"}
NATIVE = {"libistio_stats": "native-module"}
# What the command is called in the release, one for each processor it was built for, and the package.
COMMANDS = {path.name: "istio-stats-tools" for path in DIST.glob("istio-stats-linux-*") if not path.suffix}
IMAGES = [*MODULES, *NATIVE, "istio-stats-command"]


def file_of(name: str) -> str:
    """Of a module or a command, in dist/."""
    suffix = ".wasm" if name in MODULES else ".so" if name in NATIVE else ""
    return name + suffix


def target_of(name: str) -> str:
    """What it was compiled for."""
    if name in MODULES:
        return "wasm32-wasip1"
    machine = platform.machine() if name in NATIVE else name.rpartition("-")[2]
    return f"{machine}-unknown-linux-{'gnu' if name in NATIVE else 'musl'}"


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
    there = shutil.which("docker") and subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=60)
    need(there and there.returncode == 0, "a running Docker engine")
