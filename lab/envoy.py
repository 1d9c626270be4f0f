"""Which Envoy is run."""

import subprocess

from lab.processes import Failure


def path():
    """ENVOY_PATH, else the binary of ENVOY_VERSION, downloaded when it is missing."""
    found = subprocess.run(["scripts/envoy-path"], stdout=subprocess.PIPE, text=True)
    if found.returncode != 0:
        raise Failure("no Envoy to run (see above)")
    return found.stdout.strip()


def version(binary):
    # "…/envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL"
    shown = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.split("/")
    return f"Envoy {shown[-4]}" if len(shown) >= 5 else binary
