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
