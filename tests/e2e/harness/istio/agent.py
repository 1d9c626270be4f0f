"""What happens to a configuration between istiod and Envoy, in the pod."""

import json
from copy import deepcopy
from pathlib import Path

from lab.bootstrap import EXTENSION, TYPE
from lab.paths import ROOT, module
from lab.tree import Json, nodes

# Images of the samples; their digests are placeholders, too.
REGISTRY = "registry.example.com/istio-stats/"


def fetched(extension_config: Json) -> Json:
    """Istio's agent fetches the module of an extension configuration and names the file instead."""
    converted = deepcopy(extension_config)
    vm_config = converted["typed_config"]["config"]["vm_config"]
    vm_config["code"] = {"local": {"filename": str(image(vm_config["code"]["remote"]["http_uri"]["uri"]))}}
    vm_config.pop("environment_variables", None)
    return converted


def unfetched(extension_config: Json) -> Json:
    """What it hands out where it could not: a filter that stops nothing, or everything."""
    config = extension_config["typed_config"]
    layer = "network" if ".network." in config["@type"] else "http"
    rbac: Json = {"@type": f"{EXTENSION}filters.{layer}.rbac.v3.RBAC"}
    if layer == "network":
        rbac["stat_prefix"] = "wasm-default"
    if config["config"].get("failure_policy") != "FAIL_OPEN":
        rbac["rules"] = {}
    return {"name": extension_config["name"], "typed_config": rbac}


def image(uri: str) -> Path:
    """The module in an image."""
    name, _, tag = uri.removeprefix("oci://").removeprefix(REGISTRY).partition(":")
    assert tag and "/" not in name, f"{uri} is none of the samples' images"
    return module(name)


def serve(listeners: list[Json], extension_configs: list[Json], directory: Path) -> None:
    """Puts each discovered filter's configuration into a file, where Envoy looks for it instead of asking istiod."""
    files = {}
    for one in extension_configs:
        resource = {"@type": TYPE + "envoy.config.core.v3.TypedExtensionConfig", **one}
        path = directory / f"{one['name'].replace('/', '_')}.json"
        path.write_text(json.dumps({"resources": [resource]}))
        files[one["name"]] = path
    for discovered in _discovered(listeners):
        source = discovered["config_discovery"]["config_source"]
        assert source.pop("ads") == {}
        source["path_config_source"] = {"path": str(files[discovered["name"]])}


def discovered_names(listeners: list[Json]) -> set[str]:
    return {one["name"] for one in _discovered(listeners)}


def mounted(listeners: list[Json], annotations: Json) -> None:
    """Replaces the directories that a pod's annotations mount by what is in them on this machine: the built modules."""
    mounts = json.loads(annotations.get("sidecar.istio.io/userVolumeMount", "[]"))
    volumes = {one["name"] for one in json.loads(annotations.get("sidecar.istio.io/userVolume", "[]"))}
    assert {one["name"] for one in mounts} <= volumes
    for node in nodes(listeners):
        filename = node.get("local", {}).get("filename", "") if isinstance(node.get("local"), dict) else ""
        for mount in mounts:
            if filename.startswith(mount["mountPath"] + "/"):
                node["local"]["filename"] = str(ROOT / "dist" / filename.removeprefix(mount["mountPath"] + "/"))


def _discovered(listeners: list[Json]) -> list[Json]:
    return [node for node in nodes(listeners) if "config_discovery" in node]
