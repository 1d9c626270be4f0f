"""The command: static, of this build, without a trace of who built it; alone in its image; its manual."""

import json
import os
import platform
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.paths import command
from tests.dist.release import COMMANDS, DIST, ROOT, VERSION, emulator_for, need_docker, run

of_every_processor = pytest.mark.parametrize("name", COMMANDS)
IMAGE = "istio-stats-command"


def test_it_is_built_for_this_machine() -> None:
    assert f"istio-stats-linux-{platform.machine()}" in COMMANDS


@of_every_processor
def test_it_is_static_and_stripped(name: str) -> None:
    read = run("readelf", "--wide", "--program-headers", "--sections", "--dynamic", str(DIST / name))
    assert "LOAD" in read
    assert "INTERP" not in read and "NEEDED" not in read
    assert ".symtab" not in read and ".debug_info" not in read


@of_every_processor
def test_nothing_in_it_says_who_built_it(name: str) -> None:
    content = (DIST / name).read_bytes()
    assert b"/istio-stats/" in content or b"tools/src/" in content
    for path in (ROOT, Path.home(), os.environ.get("CARGO_HOME") or Path.home() / ".cargo"):
        assert str(path).encode() + b"/" not in content


@of_every_processor
def test_it_runs_and_knows_which_build_it_is(name: str) -> None:
    emulator = emulator_for(name.rpartition("-")[2])
    command = [*filter(None, [emulator]), str(DIST / name)]
    assert run(*command, "--version") == f"istio-stats {run('scripts/version').strip()}\n"
    checking = [*command, "check", "-"]
    checked = subprocess.run(checking, input='{"metric": []}', check=False, capture_output=True, text=True)
    assert (checked.returncode, 'did you mean "metrics"' in checked.stdout) == (1, True), checked


@of_every_processor
def test_alone_in_its_image_it_is_the_entry_point(name: str, tmp_path: Path) -> None:
    if emulator_for(name.rpartition("-")[2]):
        pytest.skip("an emulator is no file of the image")
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    run(
        "skopeo",
        "--override-arch",
        architecture,
        "copy",
        "--insecure-policy",
        f"oci:dist/oci/{IMAGE}",
        f"dir:{tmp_path}",
    )
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    config = json.loads((tmp_path / manifest["config"]["digest"].split(":")[1]).read_text())
    assert config["architecture"] == architecture
    assert int(config["config"]["User"].split(":")[0]) > 0
    root = tmp_path / "root"
    root.mkdir()
    with tarfile.open(tmp_path / manifest["layers"][0]["digest"].split(":")[1]) as layer:
        layer.extractall(root)
    # Nothing else is there: no shell, no libraries, no /proc.
    entered = run("unshare", "--map-root-user", "chroot", str(root), *config["config"]["Entrypoint"], "--version")
    assert entered.startswith(f"istio-stats {VERSION}")


def test_docker_runs_it() -> None:
    need_docker()
    with (DIST / f"{IMAGE}.oci.tar").open("rb") as archive:
        run("docker", "load", "--quiet", stdin=archive)
    assert run("docker", "run", "--rm", f"{IMAGE}:{VERSION}", "--version").startswith(f"istio-stats {VERSION}")


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("manual")
    with tarfile.open(DIST / "istio-stats-manual.tar.gz") as archive:
        archive.extractall(directory)
    return directory


def _subcommands() -> list[str]:
    listed = run(str(command()), "--help").partition("Commands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  (\S+)", listed, re.MULTILINE)


def test_every_subcommand_has_a_page(manual: Path) -> None:
    pages = {path.stem.removeprefix("istio-stats").removeprefix("-") for path in (manual / "man").iterdir()}
    assert pages >= {"", *_subcommands()} - {"help"} and len(pages) > 8
    assert r"\-\-prometheus" in (manual / "man" / "istio-stats-ui.1").read_text()


def test_bash_completes_subcommands_and_options(manual: Path) -> None:
    def completed(*words: str) -> str:
        # As bash calls whatever was registered for the command.
        script = (
            f"source {manual}/completions/istio-stats.bash;"
            " registered=$(complete -p istio-stats); registered=${registered#*-F }; registered=${registered%% *};"
            f" COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1};"
            f' "$registered" istio-stats {words[-1]} {words[-2]}; echo "${{COMPREPLY[*]}}"'
        )
        return run("bash", "-c", script).strip()

    assert completed("istio-stats", "doc") == "doctor"
    assert completed("istio-stats", "top", "--rep") == "--reporter"
