"""An image that holds one module, a Wasm module in the form Istio calls "compat": a usual image whose last layer has
`plugin.wasm` at its root. Registries, Docker and Istio's agent take it; they need not know Wasm.

Written as an OCI image layout; its tar can be given to `docker load`, too.
"""

from lab.tree import Json

from pathlib import Path

import hashlib
import io
import json
import shutil
import tarfile

import zopfli.gzip

LAYOUT_VERSION = "1.0.0"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# The name Istio's agent looks for.
PLUGIN = "plugin.wasm"


class Layout:
    """An OCI image layout with one image in it."""

    def __init__(self, name: str, tag: str) -> None:
        self.name = name
        self.tag = tag
        self.digest = None
        # Paths and contents, as the image layout specification has them.
        self._files = {"oci-layout": _json({"imageLayoutVersion": LAYOUT_VERSION})}

    def add_module(self, content: bytes, path: str, *, epoch: int, revision: str, description: str) -> None:
        """The module is the image's only file, at `path`. `epoch` is the file's time in seconds, as in SOURCE_DATE_EPOCH."""
        files = tar({path: content}, epoch)
        # Of one implementation, so that it gives the same bytes everywhere, which zlib's many versions do not.
        layer = self._add(LAYER, zopfli.gzip.compress(files))
        labels = {
            "org.opencontainers.image.title": self.name,
            "org.opencontainers.image.description": description,
            "org.opencontainers.image.version": self.tag,
            "org.opencontainers.image.licenses": "Apache-2.0",
        }
        if revision:
            labels["org.opencontainers.image.revision"] = revision
        config = self._add(
            CONFIG,
            _json(
                {
                    # An image has to name some; nothing in it is run by a processor.
                    "architecture": "amd64",
                    "os": "linux",
                    "config": {"Labels": labels},
                    "rootfs": {"type": "layers", "diff_ids": [_digest(files)]},
                }
            ),
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": labels,
        }
        described = self._add(MANIFEST, _json(manifest))
        self.digest = described["digest"]
        described["annotations"] = {
            "org.opencontainers.image.ref.name": self.tag,
            # For engines that load images with containerd, which know no other name.
            "io.containerd.image.name": f"docker.io/library/{self.name}:{self.tag}",
        }
        self._files["index.json"] = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]})
        # For engines that load images as Docker always did.
        loaded = {
            "Config": _path(config["digest"]),
            "RepoTags": [f"{self.name}:{self.tag}"],
            "Layers": [_path(layer["digest"])],
        }
        self._docker = {"manifest.json": _json([loaded])}

    def write_directory(self, directory: Path) -> None:
        """Replaces the directory."""
        shutil.rmtree(directory, ignore_errors=True)
        for path, content in self._files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def write_tar(self, path: Path, epoch: int) -> None:
        path.write_bytes(tar({**self._files, **self._docker}, epoch))

    def _add(self, media_type: str, content: bytes) -> Json:
        digest = _digest(content)
        self._files[_path(digest)] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def tar(files: dict[str, bytes], epoch: int) -> bytes:
    """Of files that anybody may read and nobody in particular owns, in the order of their names."""
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o644
            entry.mtime = epoch
            archive.addfile(entry, io.BytesIO(content))
    return result.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
