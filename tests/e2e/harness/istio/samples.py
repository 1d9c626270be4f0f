"""The samples as a user applies them: `kubectl apply -k`, as far as they use it."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lab.paths import ROOT
from lab.tree import Json

CONFIG = ROOT / "envoy-config"
ISTIO = CONFIG / "istio"
ENVOY_GATEWAY = CONFIG / "envoy-gateway"
KUSTOMIZATION = "kustomization.yaml"
_SUPPORTED = {"apiVersion", "kind", "resources", "patches"}


@dataclass
class Build:
    """Resources, and the files they were made of."""

    resources: list[Json] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)

    def of_kind(self, *kinds: str) -> list[Json]:
        return [resource for resource in self.resources if resource["kind"] in kinds]


def directories() -> list[Path]:
    """Whatever can be applied: a new directory is found without being listed anywhere."""
    found = [path.parent for root in (ISTIO, ENVOY_GATEWAY) for path in root.rglob(KUSTOMIZATION)]
    return sorted(found)


def name(directory: Path) -> str:
    """Of a directory, in the names of tests."""
    return str(directory.relative_to(CONFIG))


def stats_tags() -> list[Json]:
    """The list that every bootstrap needs."""
    return yaml.safe_load((CONFIG / "stats_tags.yaml").read_text())["stats_tags"]


def build(directory: Path) -> Build:
    """What `kubectl kustomize` prints; the first thing this cannot do is an error."""
    path = directory / KUSTOMIZATION
    content = yaml.safe_load(path.read_text())
    unknown = content.keys() - _SUPPORTED
    assert not unknown, f"{path}: {unknown} is beyond these tests"
    result = Build(files={path})
    for entry in content["resources"]:
        resource = (directory / entry).resolve()
        if resource.is_dir():
            inner = build(resource)
            result.resources += inner.resources
            result.files |= inner.files
        else:
            result.resources += yaml.safe_load_all(resource.read_text())
            result.files.add(resource)
    for patch in content.get("patches", []):
        _apply(patch, result.resources, path)
    return result


def _apply(patch: Json, resources: list[Json], path: Path) -> None:
    targets = [resource for resource in resources if patch["target"].items() <= resource.items()]
    assert targets, f"{path}: nothing matches {patch['target']}"
    for target in targets:
        for operation in yaml.safe_load(patch["patch"]):
            assert operation["op"] == "remove", f"{path}: {operation} is beyond these tests"
            *parents, last = operation["path"].removeprefix("/").split("/")
            node = target
            for step in parents:
                node = node[int(step) if isinstance(node, list) else step]
            # As in kustomize, it is an error if there is nothing to remove.
            del node[last]
