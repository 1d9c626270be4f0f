"""The images: whole, as small as can be, and readable by Istio's agent, skopeo and Docker."""

from lab.tree import Json

from typing import Callable
from pathlib import Path

import gzip
import hashlib
import io
import json
import subprocess
import tarfile

from tests.dist import istio
import pytest
from tests.dist.release import DIST, MODULES, VERSION, need_docker, need_skopeo, run

pytestmark = pytest.mark.parametrize("name", MODULES)


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


def _manifest(directory: Path) -> tuple[Json, Json]:
    assert json.loads((directory / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    [described] = json.loads((directory / "index.json").read_text())["manifests"]
    return described, json.loads(_reader(directory)(described["digest"]))


def test_istios_agent_finds_the_module(name: str) -> None:
    directory = DIST / "oci" / name
    _, manifest = _manifest(directory)
    assert manifest["layers"][-1]["mediaType"] == istio.OCI_LAYER
    assert istio.module(manifest, _reader(directory)) == _wasm(name)


def test_every_blob_is_what_its_descriptor_says_and_none_is_spare(name: str) -> None:
    directory = DIST / "oci" / name
    described, manifest = _manifest(directory)
    descriptors = [described, manifest["config"], *manifest["layers"]]
    for descriptor in descriptors:
        assert len(_reader(directory)(descriptor["digest"])) == descriptor["size"]
    blobs = {f"sha256:{path.name}" for path in (directory / "blobs" / "sha256").iterdir()}
    assert blobs == {descriptor["digest"] for descriptor in descriptors}
    assert described["annotations"]["org.opencontainers.image.ref.name"] == VERSION
    assert manifest["annotations"]["org.opencontainers.image.version"] == VERSION

    config = json.loads(_reader(directory)(manifest["config"]["digest"]))
    [layer] = manifest["layers"]
    uncompressed = gzip.decompress(_reader(directory)(layer["digest"]))
    assert config["rootfs"] == {"type": "layers", "diff_ids": [_sha256(uncompressed)]}


def test_no_clock_and_no_user_is_in_it(name: str) -> None:
    directory = DIST / "oci" / name
    _, manifest = _manifest(directory)
    layer = _reader(directory)(manifest["layers"][0]["digest"])
    # RFC 1952: no name, comment or extra field, and no time.
    assert layer[3] == 0 and layer[4:8] == bytes(4)
    for archive in (gzip.decompress(layer), (DIST / f"{name}.oci.tar").read_bytes()):
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            for member in members:
                assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
                assert member.mode == 0o644
    config = json.loads(_reader(directory)(manifest["config"]["digest"]))
    assert "created" not in config and "org.opencontainers.image.created" not in manifest["annotations"]


def test_the_tar_holds_the_same_layout(name: str) -> None:
    directory = DIST / "oci" / name
    files = {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with tarfile.open(DIST / f"{name}.oci.tar") as archive:
        packed = {member.name: _content(archive, member) for member in archive}
    del packed["manifest.json"]
    assert packed == files


def _copy_with_skopeo(name: str, directory: Path, *options: str) -> None:
    command = ["skopeo", "copy", "--insecure-policy", "--quiet", *options]
    run(*command, f"oci:dist/oci/{name}:{VERSION}", f"dir:{directory}")


def test_skopeo_copies_it_as_it_is(name: str, tmp_path: Path) -> None:
    need_skopeo()
    _copy_with_skopeo(name, tmp_path)
    described, manifest = _manifest(DIST / "oci" / name)
    copied = (tmp_path / "manifest.json").read_bytes()
    assert _sha256(copied) == described["digest"]
    assert istio.module(manifest, lambda digest: (tmp_path / digest.split(":")[1]).read_bytes()) == _wasm(name)


def test_istios_agent_finds_it_behind_dockers_manifest(name: str, tmp_path: Path) -> None:
    need_skopeo()
    _copy_with_skopeo(name, tmp_path, "--format=v2s2")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["mediaType"] == istio.DOCKER_MANIFEST
    assert istio.module(manifest, lambda digest: (tmp_path / digest.split(":")[1]).read_bytes()) == _wasm(name)


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
