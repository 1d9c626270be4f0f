"""WasmPlugin and TrafficExtension, as istiod translates them: a filter that is
discovered, and its configuration."""

import json
from collections.abc import Iterable

from lab.bootstrap import EXTENSION, TYPE
from lab.tree import Json

# What each mode of a `match` means, by the context of a listener.
_MODES = {"SIDECAR_OUTBOUND": "CLIENT", "GATEWAY": "CLIENT", "SIDECAR_INBOUND": "SERVER", "WAYPOINT": "SERVER"}
# What targets all waypoints, from the root namespace.
_WAYPOINTS = {"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "istio-waypoint"}
_ROOT_NAMESPACE = "istio-system"
_LAYERS = {"HTTP": "http", "NETWORK": "network"}
_FAILURE_POLICIES = {"FAIL_OPEN": "FAIL_OPEN", "FAIL_CLOSE": "FAIL_CLOSED"}
KINDS = ("WasmPlugin", "TrafficExtension")


def filters(resources: list[Json], kind: str, context: str, phase: str) -> list[Json]:
    """The filters of this `kind` (HTTP or NETWORK) for the listeners of a context, by priority."""
    chosen = [
        one
        for one in resources
        if _wasm(one).get("type", "HTTP") == kind
        and one["spec"].get("phase", "UNSPECIFIED") == phase
        and _attaches(one, context)
        and _matches(one["spec"], context)
    ]
    chosen.sort(key=lambda one: one["spec"].get("priority", 0), reverse=True)
    return [_discovered(one, _LAYERS[kind]) for one in chosen]


def extension_configs(resources: list[Json], names: Iterable[str]) -> list[Json]:
    """The configurations of those that are discovered under one of these names."""
    return [_extension_config(one) for one in resources if _name(one) in names]


def _wasm(resource: Json) -> Json:
    """In a TrafficExtension that part has a level of its own."""
    return resource["spec"]["wasm"] if resource["kind"] == "TrafficExtension" else resource["spec"]


def _attaches(resource: Json, context: str) -> bool:
    """A waypoint heeds what targets it and nothing else; other proxies heed nothing that has a target."""
    spec = resource["spec"]
    assert "selector" not in spec, "selecting workloads is beyond these tests"
    targets = spec.get("targetRefs", [])
    assert targets in ([], [_WAYPOINTS]), "targeting single proxies is beyond these tests"
    if context == "WAYPOINT":
        return bool(targets) and resource["metadata"]["namespace"] == _ROOT_NAMESPACE
    return not targets


def _matches(spec: Json, context: str) -> bool:
    modes = [match.get("mode", "CLIENT_AND_SERVER") for match in spec.get("match", [{}])]
    return bool({"CLIENT_AND_SERVER", _MODES[context]} & set(modes))


def _name(resource: Json) -> str:
    metadata = resource["metadata"]
    return f"extensions.istio.io/{resource['kind'].lower()}/{metadata['namespace']}.{metadata['name']}"


def _discovered(resource: Json, layer: str) -> Json:
    return {
        "name": _name(resource),
        "config_discovery": {
            "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "type_urls": [f"{EXTENSION}filters.{layer}.wasm.v3.Wasm", f"{EXTENSION}filters.{layer}.rbac.v3.RBAC"],
        },
    }


def _extension_config(resource: Json) -> Json:
    wasm = _wasm(resource)
    metadata = resource["metadata"]
    uri = wasm["url"] if "://" in wasm["url"] else f"oci://{wasm['url']}"
    config = {
        "name": f"{metadata['namespace']}.{metadata['name']}",
        "root_id": wasm.get("pluginName", ""),
        "configuration": {"@type": TYPE + "google.protobuf.StringValue", "value": json.dumps(wasm["pluginConfig"])},
        "failure_policy": _FAILURE_POLICIES[wasm.get("failStrategy", "FAIL_CLOSE")],
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"remote": {"http_uri": {"uri": uri, "cluster": "_", "timeout": "30s"}, "sha256": wasm["sha256"]}},
            # For the agent, which takes it out again.
            "environment_variables": {"key_values": {"ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION": "1"}},
        },
    }
    layer = _LAYERS[wasm.get("type", "HTTP")]
    typed_config = {"@type": f"{EXTENSION}filters.{layer}.wasm.v3.Wasm", "config": config}
    return {"name": _name(resource), "typed_config": typed_config}
