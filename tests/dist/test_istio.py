"""The rules in istio.py can say no."""

import gzip
import io
import tarfile

import pytest

from tests.dist import istio

WASM = b"\0asm\1\0\0\0"


def _tar(name: str) -> bytes:
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(WASM)
        archive.addfile(entry, io.BytesIO(WASM))
    return result.getvalue()


BLOBS = {
    "right": gzip.compress(_tar("plugin.wasm")),
    "elsewhere": gzip.compress(_tar("opt/plugin.wasm")),
    "named": gzip.compress(_tar("module.wasm")),
    "plain": _tar("plugin.wasm"),
    "bare": WASM,
}


def _read(media_type: str, layers: list[tuple[str, str]]) -> bytes:
    manifest = {"mediaType": media_type, "layers": [{"mediaType": kind, "digest": name} for kind, name in layers]}
    return istio.module(manifest, BLOBS.__getitem__)


OCI = "application/vnd.oci.image.manifest.v1+json"
OTHER = "application/spdx+json"


@pytest.mark.parametrize(
    "media_type, layers",
    [
        (istio.DOCKER_MANIFEST, [(istio.DOCKER_LAYER, "right")]),
        (OCI, [(istio.OCI_LAYER, "named"), (istio.OCI_LAYER, "right")]),
        (OCI, [(istio.WASM_LAYER, "bare"), (OTHER, "plain")]),
    ],
)
def test_accepted(media_type: str, layers: list[tuple[str, str]]) -> None:
    assert _read(media_type, layers) == WASM


@pytest.mark.parametrize(
    "media_type, layers",
    [
        (istio.DOCKER_MANIFEST, [(istio.OCI_LAYER, "right")]),
        (istio.DOCKER_MANIFEST, [(istio.DOCKER_LAYER, "plain")]),
        (OCI, []),
        (OCI, [(istio.OCI_LAYER, "named")]),
        (OCI, [(istio.OCI_LAYER, "elsewhere")]),
        (OCI, [(istio.OCI_LAYER, "right"), (istio.OCI_LAYER, "named")]),
        (OCI, [(istio.OCI_LAYER, "right"), (OTHER, "plain"), (OTHER, "plain")]),
        # What CNCF's artifact looks like.
        (OCI, [("application/wasm", "bare")]),
        (OCI, [(istio.WASM_LAYER, "bare")]),
    ],
)
def test_refused(media_type: str, layers: list[tuple[str, str]]) -> None:
    with pytest.raises(istio.Refused):
        _read(media_type, layers)
