"""Which crates a package links for Wasm, as Cargo resolves them from Cargo.lock."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

WASM_TARGET = "wasm32-wasip1"


@dataclass(frozen=True)
class Crate:
    name: str
    version: str
    license: str
    repository: str | None
    # SHA-256 of the .crate file; none for the crates of this project.
    checksum: str | None
    # Names and versions of the crates this one links.
    dependencies: tuple

    @property
    def key(self):
        return self.name, self.version


class Graph:
    """The dependencies of every package of the workspace."""

    def __init__(self, root):
        command = ["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={WASM_TARGET}"]
        metadata = json.loads(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout)
        self._packages = {package["id"]: package for package in metadata["packages"]}
        self._nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        lock = tomllib.loads((Path(root) / "Cargo.lock").read_text())
        self._checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in lock["package"]}

    def package(self, name):
        [package] = [package for package in self._packages.values() if package["name"] == name]
        return package

    def linked(self, name):
        """The crates that are linked into the package, itself left out, by name."""
        start = self.package(name)["id"]
        found, pending = {}, [start]
        while pending:
            identifier = pending.pop()
            dependencies = self._dependencies(identifier)
            found[identifier] = self._crate(identifier, dependencies)
            pending += [dependency for dependency in dependencies if dependency not in found]
        del found[start]
        return sorted(found.values(), key=lambda crate: crate.key)

    def _dependencies(self, identifier):
        """Without what only the build runs: build scripts' and procedural macros' crates."""
        return [
            dependency["pkg"]
            for dependency in self._nodes[identifier]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]) and not self._is_macro(dependency["pkg"])
        ]

    def _is_macro(self, identifier):
        return any("proc-macro" in target["kind"] for target in self._packages[identifier]["targets"])

    def _crate(self, identifier, dependencies):
        package = self._packages[identifier]
        key = package["name"], package["version"]
        return Crate(
            *key,
            # Cargo's older way to say "or".
            license=package["license"].replace("/", " OR "),
            repository=package["repository"],
            checksum=self._checksums[key],
            dependencies=tuple(
                (self._packages[dependency]["name"], self._packages[dependency]["version"])
                for dependency in dependencies
            ),
        )
