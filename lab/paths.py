"""Where things are, and which command makes what is missing."""

import os
import subprocess
from pathlib import Path

from lab.failure import Failure

ROOT = Path(__file__).resolve().parents[1]
# What cargo builds.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")


def module(name: str) -> Path:
    """A built Wasm module, `istio_stats` or `metadata_exchange`."""
    return _built(ROOT / "dist" / f"{name}.wasm", "make build")


def native_module() -> Path:
    """Both plugins as a native module of Envoy."""
    return _built(ROOT / "dist" / "libistio_stats.so", "make build")


def test_module(name: str) -> Path:
    """A built Wasm module of tests/modules."""
    package = f"{name}-module".replace("_", "-")
    command = f"cargo build --release --target wasm32-wasip1 --package {package}"
    return _built(TARGET / "wasm32-wasip1" / "release" / f"{name}_module.wasm", command)


def panicking_module() -> Path:
    """The native module, which panics where it reads a certain text."""
    return _built(TARGET / "debug" / "libpanicking_module.so", "cargo build --package panicking-module")


def command() -> Path:
    """The built command `istio-stats`."""
    return _built(TARGET / "debug" / "istio-stats", "make build")


def printed_path(script: str) -> Path:
    """What one of scripts/ says that it found or downloaded."""
    found = subprocess.run([ROOT / "scripts" / script], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode != 0:
        raise Failure(f"scripts/{script} failed (see above)")
    return Path(found.stdout.strip())


def _built(path: Path, command: str) -> Path:
    if not path.is_file():
        raise Failure(f"{path} is missing: run `{command}`")
    return path
