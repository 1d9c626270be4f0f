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
# The same of the native module: of this machine's processor, and of others that it was built for.
NATIVE = {path.stem: "native-module" for path in DIST.glob("libistio_stats*.so")}
NATIVE_IMAGE = "libistio_stats"
# What the command is called in the release, one for each processor it was built for, and the package.
COMMANDS = {path.name: "istio-stats-tools" for path in DIST.glob("istio-stats-linux-*") if not path.suffix}
IMAGES = [*MODULES, NATIVE_IMAGE, "istio-stats-command"]


def file_of(name: str) -> str:
    """Of a module or a command, in dist/."""
    suffix = ".wasm" if name in MODULES else ".so" if name in NATIVE else ""
    return name + suffix


def target_of(name: str) -> str:
    """What it was compiled for."""
    if name in MODULES:
        return "wasm32-wasip1"
    machine = name.rpartition("-")[2] if "-" in name else platform.machine()
    return f"{machine}-unknown-linux-{'gnu' if name in NATIVE else 'musl'}"


def run(*command: str, **options: Any) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, **options).stdout


# Of images; a `+` and the commit may not be in a tag.
VERSION = run("scripts/version").strip().partition("+")[0]


def need(there: object, what: str) -> None:
    """Skips the test, or fails it where CI=true, if what it needs is not there."""
    if not there:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {what}")


def emulator_for(machine: str) -> str:
    """What runs a program for that processor here: nothing, or an emulator."""
    if machine == platform.machine():
        return ""
    emulator = shutil.which(f"qemu-{machine}-static")
    need(emulator, f"qemu-{machine}-static: apt install qemu-user-static")
    return str(emulator)


def need_skopeo() -> None:
    need(shutil.which("skopeo"), "skopeo: apt install skopeo")


def need_docker() -> None:
    there = shutil.which("docker") and subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=60)
    need(there and there.returncode == 0, "a running Docker engine")
