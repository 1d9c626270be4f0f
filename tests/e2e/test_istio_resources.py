"""The samples' resources against the published schemas, and these tests' own means."""

import copy
import re
from collections.abc import Iterator

import pytest
import yaml

from lab.tree import Json
from tests.e2e.harness.istio import crds, samples

RESOURCES = {
    f"{samples.name(directory)}-{resource['kind']}-{resource['metadata']['name']}": resource
    for directory in samples.directories()
    for resource in samples.build(directory).resources
}
PLACEHOLDER = "0" * 64


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES.keys())
def test_a_resource_follows_its_schema(resource: Json) -> None:
    assert crds.problems(resource) == []


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES.keys())
def test_an_unknown_field_at_any_level_is_found(resource: Json) -> None:
    """Except where anything goes: in Envoy's own configuration and in the plugin's."""
    tried = 0
    for path, _ in _objects(resource["spec"]):
        if {"value", "pluginConfig", "config", "matchLabels", "labels"} & set(path):
            continue
        changed = copy.deepcopy(resource)
        node = changed["spec"]
        for step in path:
            node = node[step]
        node["typo"] = 1
        assert crds.problems(changed), f"spec.{path} takes a field that is not in the schema"
        tried += 1
    assert tried


def test_a_wrong_kind_version_or_value_is_found() -> None:
    good = next(one for one in RESOURCES.values() if one["kind"] == "WasmPlugin")
    assert crds.problems({**good, "apiVersion": "extensions.istio.io/v1"})
    assert crds.problems({**good, "kind": "WasmPlugins"})
    assert crds.problems({**good, "spec": {**good["spec"], "phase": "STAT"}})
    assert crds.problems({**good, "spec": {**good["spec"], "sha256": "short"}})


def test_every_kustomization_lists_what_exists_and_every_file_is_listed() -> None:
    listed = set()
    for directory in samples.directories():
        content = yaml.safe_load((directory / samples.KUSTOMIZATION).read_text())
        for entry in content["resources"]:
            assert (directory / entry).exists(), f"{directory}: {entry} does not exist"
            listed.add((directory / entry).resolve())
    unlisted = {
        path
        for root in (samples.ISTIO, samples.ENVOY_GATEWAY)
        for path in root.rglob("*.yaml")
        if path not in listed and path.name != samples.KUSTOMIZATION
    }
    # These two are no resources: Helm values, and a patch for other people's workloads.
    assert {path.name for path in unlisted} == {"values.yaml", "pod-patch.yaml"}


def test_names_are_unique_within_what_is_applied_together() -> None:
    for directory in samples.directories():
        keys = [
            (one["kind"], one["metadata"]["namespace"], one["metadata"]["name"])
            for one in samples.build(directory).resources
        ]
        assert len(keys) == len(set(keys)), directory


def test_images_and_digests_are_placeholders_and_marked() -> None:
    """A user replaces them all with one command; a stray one would be left behind."""
    seen = 0
    for root in (samples.ISTIO, samples.ENVOY_GATEWAY):
        for path in root.rglob("*.yaml"):
            for line in path.read_text().splitlines():
                if re.search(r"\b(uri|url|sha256):", line):
                    assert line.endswith("# PLACEHOLDER"), f"{path}: {line}"
                    assert PLACEHOLDER in line or "registry.example.com/istio-stats/" in line, f"{path}: {line}"
                    seen += 1
    assert seen


def test_the_mesh_configuration_lists_every_label() -> None:
    """Istio's bootstrap has expressions of its own for the labels of istio_build."""
    values = yaml.safe_load((samples.ISTIO / "mesh" / "values.yaml").read_text())
    names = [tag["tag_name"] for tag in samples.stats_tags() if tag["tag_name"] not in ("component", "tag")]
    assert values["meshConfig"]["defaultConfig"]["extraStatTags"] == names


def _objects(node: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Every object in a resource, with the steps to it."""
    if isinstance(node, dict):
        yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in children:
        yield from _objects(child, (*path, step))
