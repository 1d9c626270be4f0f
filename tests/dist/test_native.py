"""The native module of each processor: what it links, and that Envoy for that processor counts with it."""

import re
from pathlib import Path

import pytest

import lab.envoy
from lab.tree import Json, nodes
from tests.dist.release import DIST, NATIVE, emulator_for, need, run, target_of
from tests.e2e.harness import backend, tcp_traffic
from tests.e2e.harness.altered import Altered
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.standalone import LoggerPair

of_every_processor = pytest.mark.parametrize("name", NATIVE)
# The newest glibc that it may ask for, as docs/native.md says.
GLIBC = (2, 34)


@of_every_processor
def test_it_links_nothing_but_what_glibc_brings(name: str) -> None:
    read = run("readelf", "--wide", "--dynamic", "--version-info", str(DIST / f"{name}.so"))
    libraries = set(re.findall(r"NEEDED.*\[(.*)\]", read))
    loader = {library for library in libraries if library.startswith("ld-linux-")}
    assert libraries - loader == {"libc.so.6", "libgcc_s.so.1"}
    # Without weak ones, which it can do without.
    found = re.findall(r"Name: GLIBC_([\d.]+) +Flags: none", read)
    versions = {tuple(map(int, version.split("."))) for version in found}
    assert (2, 0) < max(versions) <= GLIBC


@of_every_processor
def test_envoy_counts_with_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples for two Kubernetes clusters, one of them behind the other."""
    machine = target_of(name).partition("-")[0]
    emulator = emulator_for(machine)
    if emulator:
        _emulate(machine, emulator, tmp_path / "envoy", monkeypatch)

    def use_module(whole: Json) -> None:
        for node in nodes(whole):
            if str(node.get("filename", "")).endswith("libistio_stats.so"):
                node["filename"] = str(DIST / f"{name}.so")

    def change(sidecar: Runnable) -> Runnable:
        return Altered(sidecar, use_module)

    with backend.running() as http, tcp_traffic.backend(tcp_traffic.doubler) as tcp, Mesh(tmp_path) as mesh:
        LoggerPair(mesh, http, http, tcp, change=change, form="native").call_and_expect()


def _emulate(machine: str, emulator: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on proxies are of that processor."""
    libraries = Path(f"/usr/{machine}-linux-gnu")
    need((libraries / "lib").is_dir(), f"{libraries}: apt install gcc-{machine}-linux-gnu")
    monkeypatch.setenv("ENVOY_ARCHITECTURE", machine)
    envoy = run("scripts/envoy-path").strip()
    path.write_text(f'#!/bin/sh\nexec {emulator} -L {libraries} {envoy} "$@"\n')
    path.chmod(0o755)
    monkeypatch.setattr(lab.envoy, "binary", lambda: path)
