"""Makes what is released out of the built modules: images, bills of materials, checksums. `make dist` runs it.

The same modules give the same bytes: no clock, no user, no machine is in them. docs/release.md says what is what.
"""

import argparse
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts.dist import crates
from scripts.dist import image
from scripts.dist import sbom

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    name: str
    # The workspace's package it is linked from, and for what.
    package: str
    target: str
    # As it is called in dist/, and in its image.
    file: str
    path: str
    description: str


def modules(host: str) -> list[Module]:
    """All of them; `host` is this machine, for which the native one is built."""
    about = {
        "istio_stats": "Istio's standard metrics for any Envoy",
        "metadata_exchange": "Exchange of workload metadata with the peer, for istio_stats",
    }
    wasm = [
        Module(name, f"{name}-module".replace("_", "-"), crates.WASM_TARGET, f"{name}.wasm", image.PLUGIN, description)
        for name, description in about.items()
    ]
    native = "libistio_stats.so"
    description = "Istio's standard metrics and the exchange, as a native module of Envoy 1.40 and later"
    return [*wasm, Module("libistio_stats", "native-module", host, native, native, description)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.dist", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the modules are and the rest goes")
    parser.add_argument("--no-load", action="store_true", help="leave the local Docker engine alone")
    arguments = parser.parse_args()
    dist = arguments.dist
    full_version = run("scripts/version")
    version, _, revision = full_version.partition("+")
    rustc = run("rustc", "--version").split()[1]
    [host] = [line.removeprefix("host: ") for line in run("rustc", "-vV").splitlines() if line.startswith("host: ")]
    graphs = {target: crates.Graph(ROOT, target) for target in (crates.WASM_TARGET, host)}
    # The only moment there is: 0 unless the environment says when the sources were.
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))

    shipped = []
    for module in modules(host):
        file = dist / module.file
        if not file.is_file():
            raise SystemExit(f"dist: {file} is missing: run `make build`")
        content = file.read_bytes()

        bill = dist / f"{module.name}.cdx.json"
        linked = graphs[module.target].linked(module.package)
        bill.write_text(sbom.bill(module, content, linked, full_version, rustc))

        layout = image.Layout(module.name, version)
        layout.add_module(content, module.path, epoch=epoch, revision=revision, description=module.description)
        layout.write_directory(dist / "oci" / module.name)
        archive = dist / f"{module.name}.oci.tar"
        layout.write_tar(archive, epoch)
        shipped += [file, bill, archive]
        print(f"dist: {module.name} {full_version}, image {layout.digest}")
        if not arguments.no_load:
            load(archive)

    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(shipped)]
    (dist / "SHA256SUMS").write_text("".join(sums))
    print(f"dist: {len(shipped)} files listed in {dist}/SHA256SUMS, image layouts in {dist}/oci/")


def load(archive: Path) -> None:
    """Hands the image to the local Docker engine, if there is one."""
    try:
        engine = subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        engine = False
    if engine:
        with archive.open("rb") as tar:
            subprocess.run(["docker", "load", "--quiet"], stdin=tar, check=True)
    else:
        print(f"dist: no Docker engine here; elsewhere: docker load --input {archive}")


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
