"""The images: whole, as small as can be, and readable by Istio's agent, skopeo and Docker."""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.tree import Json
from tests.dist import istio
from tests.dist.release import (
    DIST,
    IMAGES,
    MODULES,
    NATIVE,
    NATIVE_IMAGE,
    VERSION,
    need_docker,
    need_skopeo,
    run,
    target_of,
)

of_every_image = pytest.mark.parametrize("name", IMAGES)
of_every_module = pytest.mark.parametrize("name", MODULES)


def _wasm(name: str) -> bytes:
    return (DIST / f"{name}.wasm").read_bytes()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file, member.name
    return file.read()


def _sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _reader(directory: Path) -> Callable[[str], bytes]:
    """Reads blobs of an image layout, and makes sure of each that it is what its descriptor says."""

    def read(digest: str) -> bytes:
        content = (directory / "blobs" / digest.replace(":", "/")).read_bytes()
        assert _sha256(content) == digest
        return content

    return read


def _described(directory: Path) -> Json:
    """What the layout holds under its one name."""
    assert json.loads((directory / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    [described] = json.loads((directory / "index.json").read_text())["manifests"]
    return described


def _manifests(directory: Path) -> list[Json]:
    """Of the image, or of each processor's."""
    top = json.loads(_reader(directory)(_described(directory)["digest"]))
    if "manifests" not in top:
        return [top]
    return [json.loads(_reader(directory)(described["digest"])) for described in top["manifests"]]


def _manifest(name: str) -> Json:
    """Of a module's image, of which there is one."""
    [manifest] = _manifests(DIST / "oci" / name)
    return manifest


def _layer(directory: Path, manifest: Json) -> bytes:
    """The one layer, unpacked."""
    [layer] = manifest["layers"]
    stored = _reader(directory)(layer["digest"])
    return gzip.decompress(stored) if layer["mediaType"] == istio.OCI_LAYER else stored


@of_every_module
def test_istios_agent_finds_the_module(name: str) -> None:
    manifest = _manifest(name)
    assert manifest["layers"][-1]["mediaType"] == istio.OCI_LAYER
    assert istio.module(manifest, _reader(DIST / "oci" / name)) == _wasm(name)


def test_the_native_module_is_alone_in_the_image_of_each_processor() -> None:
    directory = DIST / "oci" / NATIVE_IMAGE
    found = {}
    for manifest in _manifests(directory):
        config = json.loads(_reader(directory)(manifest["config"]["digest"]))
        with tarfile.open(fileobj=io.BytesIO(_layer(directory, manifest))) as members:
            [member] = members
            assert member.name == "libistio_stats.so"
            found[config["architecture"]] = _content(members, member)
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    machines = {name: target_of(name).partition("-")[0] for name in NATIVE}
    assert found == {names[machine]: (DIST / f"{name}.so").read_bytes() for name, machine in machines.items()}
    assert names[platform.machine()] in found


@of_every_image
def test_every_blob_is_what_its_descriptor_says_and_none_is_spare(name: str) -> None:
    directory = DIST / "oci" / name
    described = _described(directory)
    assert described["annotations"]["org.opencontainers.image.ref.name"] == VERSION
    descriptors = [described]
    if described["mediaType"] == "application/vnd.oci.image.index.v1+json":
        descriptors += json.loads(_reader(directory)(described["digest"]))["manifests"]
    for manifest in _manifests(directory):
        descriptors += [manifest["config"], *manifest["layers"]]
        assert manifest["annotations"]["org.opencontainers.image.version"] == VERSION
        config = json.loads(_reader(directory)(manifest["config"]["digest"]))
        assert config["rootfs"] == {"type": "layers", "diff_ids": [_sha256(_layer(directory, manifest))]}
    for descriptor in descriptors:
        assert len(_reader(directory)(descriptor["digest"])) == descriptor["size"]
    blobs = {f"sha256:{path.name}" for path in (directory / "blobs" / "sha256").iterdir()}
    assert blobs == {descriptor["digest"] for descriptor in descriptors}


def _check_members(packed: bytes, mode: int) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed)) as members:
        for member in members:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == mode


@of_every_image
def test_no_clock_and_no_user_is_in_it(name: str) -> None:
    directory = DIST / "oci" / name
    _check_members((DIST / f"{name}.oci.tar").read_bytes(), 0o644)
    for manifest in _manifests(directory):
        _check_members(_layer(directory, manifest), 0o755 if name == "istio-stats-command" else 0o644)
        config = json.loads(_reader(directory)(manifest["config"]["digest"]))
        assert "created" not in config and "org.opencontainers.image.created" not in manifest["annotations"]


@pytest.mark.parametrize("name", [*MODULES, NATIVE_IMAGE])
def test_no_clock_is_in_what_is_compressed(name: str) -> None:
    directory = DIST / "oci" / name
    for manifest in _manifests(directory):
        layer = _reader(directory)(manifest["layers"][0]["digest"])
        # RFC 1952: no name, comment or extra field, and no time.
        assert layer[3] == 0 and layer[4:8] == bytes(4)


@of_every_image
def test_the_tar_holds_the_same_layout(name: str) -> None:
    directory = DIST / "oci" / name
    files = {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with tarfile.open(DIST / f"{name}.oci.tar") as archive:
        packed = {member.name: _content(archive, member) for member in archive}
    del packed["manifest.json"]
    assert packed == files


def _copy_with_skopeo(name: str, directory: Path, *options: str) -> None:
    command = ["skopeo", "copy", "--all", "--insecure-policy", "--quiet", *options]
    run(*command, f"oci:dist/oci/{name}:{VERSION}", f"dir:{directory}")


@of_every_image
def test_skopeo_copies_it_as_it_is(name: str, tmp_path: Path) -> None:
    need_skopeo()
    _copy_with_skopeo(name, tmp_path, "--preserve-digests")
    directory = DIST / "oci" / name
    assert _sha256((tmp_path / "manifest.json").read_bytes()) == _described(directory)["digest"]
    for manifest in _manifests(directory):
        for blob in (manifest["config"], *manifest["layers"]):
            assert _sha256((tmp_path / blob["digest"].split(":")[1]).read_bytes()) == blob["digest"]


@of_every_module
def test_istios_agent_finds_it_behind_dockers_manifest(name: str, tmp_path: Path) -> None:
    need_skopeo()
    _copy_with_skopeo(name, tmp_path, "--format=v2s2")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["mediaType"] == istio.DOCKER_MANIFEST
    assert istio.module(manifest, lambda digest: (tmp_path / digest.split(":")[1]).read_bytes()) == _wasm(name)


@of_every_module
def test_docker_loads_it(name: str) -> None:
    need_docker()
    with (DIST / f"{name}.oci.tar").open("rb") as archive:
        run("docker", "load", "--quiet", stdin=archive)
    container = run("docker", "create", f"{name}:{VERSION}", "none").strip()
    try:
        copied = subprocess.run(["docker", "cp", f"{container}:/plugin.wasm", "-"], capture_output=True, check=True)
    finally:
        run("docker", "rm", container)
    with tarfile.open(fileobj=io.BytesIO(copied.stdout)) as archive:
        assert _content(archive, archive.getmember("plugin.wasm")) == _wasm(name)
