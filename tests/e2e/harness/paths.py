"""Where things are, and which command makes what is missing."""

import os
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "e2e" / "golden"


def module(name):
    """A built Wasm module, `istio_stats` or `metadata_exchange`."""
    path = ROOT / "dist" / f"{name}.wasm"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `make build`")
    return path


def command():
    """The built command `istio-stats`."""
    path = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "istio-stats"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `make build`")
    return path


def istio_stats(*arguments, stdin, statuses=(0,)):
    """What the `istio-stats` command prints; it must end with one of these statuses."""
    ran = subprocess.run([command(), *arguments], input=stdin, capture_output=True, text=True, check=False)
    if ran.returncode not in statuses:
        raise RuntimeError(f"istio-stats {' '.join(arguments)} failed with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def test_module(name):
    """A built Wasm module of tests/modules."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    path = target / "wasm32-wasip1" / "release" / f"{name}_module.wasm"
    if not path.is_file():
        package = f"{name}-module".replace("_", "-")
        command = f"cargo build --release --target wasm32-wasip1 --package {package}"
        raise FileNotFoundError(f"{path} is missing: run `{command}`")
    return path


@cache
def envoy_binary():
    """ENVOY_PATH, else the binary of ENVOY_VERSION that scripts/envoy-path finds or downloads."""
    chosen = os.environ.get("ENVOY_PATH")
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise FileNotFoundError(f"ENVOY_PATH={chosen} is no executable file")
        return chosen
    script = ROOT / "scripts" / "envoy-path"
    found = subprocess.run([script], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise RuntimeError(f"{script} failed with {found.returncode}:\n{found.stdout}{found.stderr}")
    return found.stdout.strip().splitlines()[-1]
