"""Which crates a package links for a target, as Cargo resolves them from Cargo.lock."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.tree import Json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Crate:
    name: str
    version: str
    license: str
    repository: str | None
    # SHA-256 of the .crate file; none for the crates of this project.
    checksum: str | None
    # Names and versions of the crates this one links.
    dependencies: tuple[tuple[str, str], ...]

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.version


class Graph:
    """The dependencies of every package of the workspace."""

    def __init__(self, root: Path, target: str) -> None:
        command = ["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={target}"]
        metadata = json.loads(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout)
        self._packages = {package["id"]: package for package in metadata["packages"]}
        self._nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        lock = tomllib.loads((Path(root) / "Cargo.lock").read_text())
        self._checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in lock["package"]}

    def package(self, name: str) -> Json:
        [package] = [package for package in self._packages.values() if package["name"] == name]
        return package

    def linked(self, name: str) -> list[Crate]:
        """The crates that are linked into the package, itself left out, by name."""
        start = self.package(name)["id"]
        found: dict[str, Crate] = {}
        pending = [start]
        while pending:
            identifier = pending.pop()
            dependencies = self._dependencies(identifier)
            found[identifier] = self._crate(identifier, dependencies)
            pending += [dependency for dependency in dependencies if dependency not in found]
        del found[start]
        return sorted(found.values(), key=lambda crate: crate.key)

    def _dependencies(self, identifier: str) -> list[str]:
        """Without what only the build runs: build scripts' and procedural macros' crates."""
        return [
            dependency["pkg"]
            for dependency in self._nodes[identifier]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
            and not self._is_macro(dependency["pkg"])
            and self._is_on(identifier, dependency["name"])
        ]

    def _is_on(self, identifier: str, name: str) -> bool:
        """Cargo lists an optional crate, too, of which a feature only says what it would do with it: `serde?/std`."""
        package = self._packages[identifier]
        named = [one for one in package["dependencies"] if (one["rename"] or one["name"]).replace("-", "_") == name]
        if not all(one["optional"] for one in named):
            return True
        enabled = {what for feature in self._nodes[identifier]["features"] for what in package["features"][feature]}
        keys = {one["rename"] or one["name"] for one in named}
        return any(what.removeprefix("dep:").partition("/")[0] in keys for what in enabled)

    def _is_macro(self, identifier: str) -> bool:
        return any("proc-macro" in target["kind"] for target in self._packages[identifier]["targets"])

    def _crate(self, identifier: str, dependencies: Iterable[str]) -> Crate:
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
