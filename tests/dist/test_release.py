"""Checksums, bills of materials, and that the same modules give the same release."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.dist.release import COMMANDS, DIST, MODULES, NATIVE, ROOT, file_of, run, target_of

PRODUCTS = {**MODULES, **NATIVE, **COMMANDS}


def _release(directory: Path, **environment: str) -> dict[str, bytes]:
    """Makes a release of copies of what was built."""
    directory.mkdir()
    for name in PRODUCTS:
        shutil.copy(DIST / file_of(name), directory)
    command = [sys.executable, "-m", "scripts.dist", "--no-load", "--dist", str(directory)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = _release(tmp_path / "first", TZ="Pacific/Apia", LC_ALL="C", PYTHONHASHSEED="1")
    second = _release(tmp_path / "second", TZ="UTC", LC_ALL="C.UTF-8", PYTHONHASHSEED="2")
    assert first == second
    assert {name: (DIST / name).read_bytes() for name in first} == first


def test_files_in_images_are_as_old_as_the_sources(tmp_path: Path) -> None:
    layer = _release(tmp_path / "dated", SOURCE_DATE_EPOCH="1700000000")
    assert layer["istio_stats.oci.tar"] != (DIST / "istio_stats.oci.tar").read_bytes()
    listed = run("tar", "--list", "--verbose", "--utc", "--file", str(tmp_path / "dated" / "istio_stats.oci.tar"))
    assert listed.count("2023-11-14 22:13") == len(listed.splitlines())


def test_checksums_verify_and_name_every_file() -> None:
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=DIST, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    named = {line.split(": ")[0] for line in checked.stdout.splitlines()}
    assert named == {path.name for path in DIST.iterdir() if path.is_file()} - {"SHA256SUMS"}


def _linked(package: str, target: str) -> dict[tuple[str, str], str]:
    """What Cargo itself lists: name and version of each crate but the package, without the build's own."""
    command = ["cargo", "tree", "--locked", "--package", package, "--target", target, "--prefix=none"]
    tree = run(*command, "--edges=normal,no-proc-macro", "--no-dedupe", "--format={p}|{l}")
    crates = {}
    for line in filter(None, tree.splitlines()):
        crate, terms = line.split("|")
        name, version = crate.split()[:2]
        crates[name, version.removeprefix("v")] = terms
    return {key: terms for key, terms in crates.items() if key[0] != package}


def _checksums() -> dict[tuple[str, str], str | None]:
    entries = (ROOT / "Cargo.lock").read_text().split("[[package]]")
    field = re.compile(r'^(name|version|checksum) = "(.*)"$', re.MULTILINE)
    fields = [dict(field.findall(entry)) for entry in entries]
    return {(entry["name"], entry["version"]): entry.get("checksum") for entry in fields if "name" in entry}


@pytest.mark.parametrize("name, package", PRODUCTS.items())
def test_the_bill_lists_what_is_linked(name: str, package: str) -> None:
    bill = json.loads((DIST / f"{name}.cdx.json").read_text())
    components = {(component["name"], component["version"]): component for component in bill["components"]}
    # It comes with the compiler, so it is in no lock file.
    [std] = [key for key in components if key[0] == "std"]
    assert std[1] in run("rustc", "--version")
    del components[std]

    linked, checksums = _linked(package, target_of(name)), _checksums()
    assert len(linked) > 10 and ("base64", "0.22.1") in linked
    assert components.keys() == linked.keys()
    for key, component in components.items():
        assert component["purl"] == "pkg:cargo/{}@{}".format(*key)
        [terms] = component["licenses"]
        assert set(terms["expression"].split(" OR ")) == set(re.split(r"/| OR ", linked[key]))
        hashes = [entry["content"] for entry in component.get("hashes", [])]
        assert hashes == ([checksums[key]] if checksums[key] else []), key
    # Crates without a checksum are the project's.
    own = {key[0] for key in linked if not checksums[key]}
    assert "istio-stats" in own <= {"istio-stats", "istio-stats-expressions"}


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_bill_is_valid_and_of_this_file(name: str) -> None:
    text = (DIST / f"{name}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert "timestamp" not in bill["metadata"]
    product = bill["metadata"]["component"]
    assert product["name"] == file_of(name)
    assert product["version"] == run("scripts/version").strip(), "dist/ is of other sources: run `make dist`"
    [digest] = product["hashes"]
    assert f"{digest['content']}  {file_of(name)}" in (DIST / "SHA256SUMS").read_text().splitlines()
    references = {product["bom-ref"], *(component["bom-ref"] for component in bill["components"])}
    assert {entry["ref"] for entry in bill["dependencies"]} == references
