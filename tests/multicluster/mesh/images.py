"""Images without a registry: a program of this machine and the libraries it needs.

An image's tag is a hash of the files in it, so one that is there is up to date.
"""

import hashlib
import importlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Sequence
from pathlib import Path

from lab.failure import Failure
from lab.paths import ROOT, printed_path
from tests.multicluster.mesh.say import say

REPOSITORY = "istio-stats-multicluster"
# Directories of Python's library and of Prometheus' pages that nothing here needs; they are most of both.
UNUSED = re.compile(
    r"(test|tests|idlelib|ensurepip|lib2to3|config-.*|site-packages|dist-packages|tkinter|turtledemo|unpacked)$"
)


def envoy() -> str:
    """The image ENVOY_IMAGE, else one of the binary that scripts/envoy-path names."""
    given = os.environ.get("ENVOY_IMAGE")
    if given:
        if not exists(given) and subprocess.run(["docker", "pull", given], check=False).returncode != 0:
            raise Failure(f"ENVOY_IMAGE={given} is neither here nor can it be pulled (see above)")
        return given
    tree = Tree()
    tree.add_program(printed_path("envoy-path"), "/usr/local/bin/envoy")
    return tree.image("envoy")


def prometheus() -> str:
    """Prometheus and its web interface."""
    binaries = printed_path("prometheus-path")
    tree = Tree()
    tree.add_program(binaries / "prometheus", "/usr/local/bin/prometheus")
    pages = binaries.parent / "share" / "prometheus" / "web"
    # Debian's binary does not hold the pages; upstream's does.
    if pages.is_dir():
        tree.add_directory(pages, "/usr/share/prometheus/web")
    return tree.image("prometheus")


def application() -> str:
    """The demo's application on the Python that runs this."""
    python = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib")).resolve()
    tree = Tree()
    tree.add_program(python, str(python))
    tree.add_directory(library, str(library))
    for module in map(importlib.import_module, ("grpc", "typing_extensions")):
        assert module.__file__
        file = Path(module.__file__)
        if file.name == "__init__.py":
            tree.add_directory(file.parent, f"/packages/{file.parent.name}")
        else:
            tree.add_file(file, f"/packages/{file.name}")
    tree.add_file(ROOT / "demo" / "backend.py", "/backend.py")
    return tree.image("application", f'ENTRYPOINT ["{python}", "/backend.py"]', "ENV PYTHONPATH=/packages")


class Tree:
    """The files of an image, by their path in it."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}

    def add_program(self, program: Path, path: str) -> None:
        """An executable or a shared library, and every library it is linked with."""
        self.add_file(program, path)
        self._add_libraries(program)

    def add_directory(self, directory: Path, path: str) -> None:
        """What is below it; symbolic links become what they lead to."""
        for parent, directories, files in os.walk(directory, followlinks=True):
            directories[:] = [name for name in directories if not UNUSED.match(name)]
            for name in files:
                source = Path(parent, name)
                self.add_file(source, f"{path}/{source.relative_to(directory)}")
                if re.search(r"\.so(\.\d+)*$", name):
                    self._add_libraries(source)

    def add_file(self, source: Path, path: str) -> None:
        if Path(source).exists():
            self._files[path] = Path(source).resolve()

    def _add_libraries(self, program: Path) -> None:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            self.add_file(library, library)

    def image(self, name: str, *changes: str) -> str:
        """Makes the image unless it is there; returns its name."""
        image = f"{REPOSITORY}/{name}:{self._hash(changes)}"
        if exists(image):
            return image
        size = sum(source.stat().st_size for source in self._files.values())
        say(f"making the image {image}, {size >> 20} MB")
        options = [f"--change={change}" for change in ("ENV PATH=/usr/local/bin", *changes)]
        command = ["docker", "import", *options, "-", image]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as importing:
            try:
                with tarfile.open(fileobj=importing.stdin, mode="w|", dereference=True) as archive:
                    for path, source in sorted(self._files.items()):
                        archive.add(source, path.lstrip("/"), recursive=False)
            except BaseException:
                # Else it would make an image of the half that it got.
                importing.kill()
                raise
        if importing.returncode != 0:
            raise Failure(f"docker import failed for {image} (see above)")
        remove_others(image)
        return image

    def _hash(self, changes: Sequence[str]) -> str:
        """Of what is in it; compiled Python differs from machine to machine, and changes nothing."""
        digest = hashlib.sha256(repr(changes).encode())
        for path, source in sorted(self._files.items()):
            if "/__pycache__/" not in path:
                digest.update(path.encode())
                digest.update(source.read_bytes())
        return digest.hexdigest()[:12]


def exists(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


def remove_others(image: str) -> None:
    """Images that this one replaces would only fill the disk."""
    listing = ["docker", "image", "ls", image.partition(":")[0], "--format", "{{.Repository}}:{{.Tag}}"]
    for other in subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split():
        if other != image:
            # One that a container still uses stays.
            subprocess.run(["docker", "image", "rm", other], capture_output=True, check=False)
