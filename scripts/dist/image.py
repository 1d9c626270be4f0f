"""Images of one file each, written as an OCI image layout; its tar can be given to `docker load`, too.

A Wasm module's has the form Istio calls "compat": a usual image whose last layer has `plugin.wasm` at its root.
Registries, Docker and Istio's agent take it; they need not know Wasm. The native module's is to be mounted. A program
is the entry point of its image. Of these two there is an image for each processor.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.tree import Json
from scripts.dist import archive
from scripts.dist.product import Product

LAYOUT_VERSION = "1.0.0"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
# Nobody in particular: a pod may forbid root.
USER = "65532:65532"


@dataclass(frozen=True)
class Content:
    """The one file of an image."""

    product: Product
    content: bytes

    def layer(self, epoch: int) -> tuple[str, bytes, bytes]:
        """Its media type, what is stored, and that unpacked."""
        is_program = self.product.is_program
        mode = archive.PROGRAM if is_program else archive.FILE
        files = archive.tar({self.product.path: self.content}, epoch, mode)
        # zopfli takes half a minute for a program.
        return (LAYER, files, files) if is_program else (f"{LAYER}+gzip", archive.gzip(files), files)

    @property
    def settings(self) -> Json:
        """How it is run."""
        if not self.product.is_program:
            return {}
        return {"Entrypoint": [f"/{self.product.path}"], "User": USER, "WorkingDir": "/"}


class Layout:
    """An OCI image layout: one image, or one for each of some processors, under one name.

    `epoch` is the time of all files in seconds, as in SOURCE_DATE_EPOCH.
    """

    def __init__(self, name: str, tag: str, contents: list[Content], *, epoch: int, labels: dict[str, str]) -> None:
        self.name = name
        self._epoch = epoch
        self._labels = {"org.opencontainers.image.title": name, "org.opencontainers.image.version": tag, **labels}
        # Paths and contents, as the image layout specification has them.
        self._files = {"oci-layout": _json({"imageLayoutVersion": LAYOUT_VERSION})}
        # For engines that load images as Docker always did, of which they take the first.
        self._docker: dict[str, bytes] = {}
        images = [self._image(content, f"{name}:{tag}") for content in contents]
        described = images[0]
        if len(images) > 1:
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images, "annotations": self._labels}
            described = self._add(INDEX, _json(index))
        self.digest = described["digest"]
        described["annotations"] = {
            "org.opencontainers.image.ref.name": tag,
            # For engines that load images with containerd, which know no other name.
            "io.containerd.image.name": f"docker.io/library/{name}:{tag}",
        }
        self._files["index.json"] = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]})

    def write_directory(self, directory: Path) -> None:
        """Replaces the directory."""
        shutil.rmtree(directory, ignore_errors=True)
        for path, content in self._files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def write_tar(self, path: Path) -> None:
        path.write_bytes(archive.tar({**self._files, **self._docker}, self._epoch))

    def _image(self, content: Content, reference: str) -> Json:
        """Its manifest's descriptor."""
        media_type, stored, unpacked = content.layer(self._epoch)
        layer = self._add(media_type, stored)
        platform = {"architecture": content.product.architecture, "os": "linux"}
        image = {
            **platform,
            "config": {"Labels": self._labels, **content.settings},
            "rootfs": {"type": "layers", "diff_ids": [_digest(unpacked)]},
        }
        config = self._add(CONFIG, _json(image))
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": self._labels,
        }
        loaded = {"Config": _path(config["digest"]), "RepoTags": [reference], "Layers": [_path(layer["digest"])]}
        self._docker.setdefault("manifest.json", _json([loaded]))
        described = self._add(MANIFEST, _json(manifest))
        return {**described, "platform": platform} if content.product.is_of_a_processor else described

    def _add(self, media_type: str, content: bytes) -> Json:
        digest = _digest(content)
        self._files[_path(digest)] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
