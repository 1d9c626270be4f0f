"""How Istio's agent finds the module in an image that it has pulled.

Written from what Istio accepts, not from what `make dist` writes. Three forms: an image with Docker's manifest, a usual
OCI image ("compat"), an OCI artifact.
"""

import gzip
import io
import tarfile
from collections.abc import Callable

from lab.tree import Json

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
WASM_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm"
PLUGIN = "plugin.wasm"


class Refused(Exception):
    """The agent could not use the image."""


def module(manifest: Json, blob: Callable[[str], bytes]) -> bytes:
    """The module in an image. `blob` reads a blob by its digest."""
    if manifest.get("mediaType") == DOCKER_MANIFEST:
        return _last_layer(manifest, blob, DOCKER_LAYER)
    try:
        return _last_layer(manifest, blob, OCI_LAYER)
    except Refused as compat:
        try:
            return _artifact(manifest, blob)
        except Refused as artifact:
            raise Refused(f"neither compat ({compat}) nor artifact ({artifact})") from None


def _last_layer(manifest: Json, blob: Callable[[str], bytes], media_type: str) -> bytes:
    layers = manifest["layers"]
    if not layers:
        raise Refused("no layer")
    if layers[-1]["mediaType"] != media_type:
        raise Refused(f"the last layer is {layers[-1]['mediaType']}, not {media_type}")
    try:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layers[-1]["digest"])))) as layer:
            for member in layer:
                if member.name == PLUGIN:
                    content = layer.extractfile(member)
                    assert content
                    return content.read()
    except gzip.BadGzipFile as error:
        raise Refused(f"the layer is not compressed: {error}") from None
    raise Refused(f"no {PLUGIN} in the layer")


def _artifact(manifest: Json, blob: Callable[[str], bytes]) -> bytes:
    layers = manifest["layers"]
    if len(layers) != 2:
        raise Refused(f"the number of layers must be 2 but is {len(layers)}")
    for layer in layers:
        if layer["mediaType"] == WASM_LAYER:
            return blob(layer["digest"])
    raise Refused(f"no layer is {WASM_LAYER}")
