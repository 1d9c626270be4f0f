"""Makes what is released out of what was built: images, bills of materials, the manual, checksums. `make dist` runs it.

The same files give the same bytes: no clock, no user, no machine is in them. docs/release.md says what is what.
"""

import argparse
import hashlib
import os
import subprocess
import tempfile
from itertools import groupby
from pathlib import Path

from lab.paths import ROOT
from scripts.dist import archive, crates, sbom
from scripts.dist.image import Content, Layout
from scripts.dist.product import Product, products


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.dist", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the files are and the rest goes")
    parser.add_argument("--no-load", action="store_true", help="leave the local Docker engine alone")
    arguments = parser.parse_args()
    Release(arguments.dist, load=not arguments.no_load).make()


class Release:
    """All that is published of one build."""

    def __init__(self, dist: Path, *, load: bool) -> None:
        self._dist = dist
        self._load = load
        self._version = run("scripts/version")
        about = run("rustc", "--version", "--verbose").splitlines()
        self._rustc = about[0].split()[1]
        [self._host] = [line.removeprefix("host: ") for line in about if line.startswith("host: ")]
        # The only moment there is: 0 unless the environment says when the sources were.
        self._epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
        self._shipped: list[Path] = []

    def make(self) -> None:
        built = [
            product for product in products(self._host) if not product.is_optional or self._file(product).is_file()
        ]
        for (image, description), parts in groupby(built, key=lambda product: (product.image, product.description)):
            self._image(image, description, [Content(product, self._bill(product)) for product in parts])
        self._manual()

        sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(self._shipped)]
        (self._dist / "SHA256SUMS").write_text("".join(sums))
        print(f"dist: {len(sums)} files listed in {self._dist}/SHA256SUMS, image layouts in {self._dist}/oci/")

    def _file(self, product: Product) -> Path:
        return self._dist / product.file

    def _bill(self, product: Product) -> bytes:
        """The product's bytes, of which the bill of materials is written."""
        file = self._file(product)
        if not file.is_file():
            raise SystemExit(f"dist: {file} is missing: run `make build`")
        content = file.read_bytes()
        linked = crates.Graph(ROOT, product.target).linked(product.package)
        bill = self._dist / f"{file.stem}.cdx.json"
        bill.write_text(sbom.bill(product, content, linked, self._version, self._rustc))
        self._shipped += [file, bill]
        return content

    def _image(self, name: str, description: str, contents: list[Content]) -> None:
        tag, _, revision = self._version.partition("+")
        labels = {
            "org.opencontainers.image.description": description,
            "org.opencontainers.image.licenses": "Apache-2.0",
        }
        if revision:
            labels["org.opencontainers.image.revision"] = revision
        layout = Layout(name, tag, contents, epoch=self._epoch, labels=labels)
        layout.write_directory(self._dist / "oci" / name)
        packed = self._dist / f"{name}.oci.tar"
        layout.write_tar(packed)
        self._shipped.append(packed)
        print(f"dist: {name} {self._version}, image {layout.digest}")
        if self._load:
            load(packed)

    def _manual(self) -> None:
        """What belongs beside the command on somebody's machine."""
        packed = self._dist / "istio-stats-manual.tar.gz"
        with tempfile.TemporaryDirectory() as directory:
            run("cargo", "run", "--quiet", "--package", "istio-stats-tools", "--", "manual", directory)
            files = {
                str(path.relative_to(directory)): path.read_bytes()
                for path in Path(directory).rglob("*")
                if path.is_file()
            }
        packed.write_bytes(archive.gzip(archive.tar(files, self._epoch)))
        self._shipped.append(packed)


def load(packed: Path) -> None:
    """Hands the image to the local Docker engine, if there is one."""
    try:
        engine = subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        engine = False
    if engine:
        with packed.open("rb") as tar:
            subprocess.run(["docker", "load", "--quiet"], stdin=tar, check=True)
    else:
        print(f"dist: no Docker engine here; elsewhere: docker load --input {packed}")


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
