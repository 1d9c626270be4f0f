"""Our plugins in a bootstrap, wherever they stand."""

from pathlib import Path

from lab.bootstrap import EXTENSION, TYPE
from lab.paths import native_module
from lab.tree import Json

# The first Envoy with all that the native module needs.
FIRST_NATIVE = (1, 40)
# Without it names of metrics begin with `envoy_` and Envoy's namespace for modules.
NATIVE_RUNTIME: Json = {
    "layers": [
        {
            "name": "static",
            "static_layer": {"envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": True},
        }
    ]
}


def plugin(name: str, module: Path | str, root_id: str, configuration: str | None, vm_id: str | None = None) -> Json:
    """The part that does not depend on the place; `configuration` is its text, or None to leave the field out."""
    config: Json = {
        "name": name,
        "root_id": root_id,
        "failure_policy": "FAIL_OPEN",
        "vm_config": {
            "vm_id": vm_id or name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(module)}},
        },
    }
    if configuration is not None:
        config["configuration"] = {"@type": TYPE + "google.protobuf.StringValue", "value": configuration}
    return config


def http_filter(plugin: Json) -> Json:
    return _typed(plugin["name"], "filters.http.wasm.v3.Wasm", plugin)


def network_filter(plugin: Json) -> Json:
    return _typed(plugin["name"], "filters.network.wasm.v3.Wasm", plugin)


def access_logger(plugin: Json) -> Json:
    """Told of a stream when it is over."""
    return _typed("envoy.access_loggers.wasm", "access_loggers.wasm.v3.WasmAccessLog", plugin)


def native_http_filter(plugin: Json, module: Path | None = None) -> Json:
    """The native module, or another one, in place of a Wasm plugin; its name stands for the root id."""
    return _native(plugin, "filters.http.dynamic_modules.v3.DynamicModuleFilter", module)


def native_network_filter(plugin: Json) -> Json:
    """The same for TCP; the bootstrap has to have its `native_handles`."""
    return _native(plugin, "filters.network.dynamic_modules.v3.DynamicModuleNetworkFilter")


def _native(plugin: Json, kind: str, module: Path | None = None) -> Json:
    is_exchange = plugin["name"] == "metadata_exchange"
    config = {
        "@type": EXTENSION + kind,
        "dynamic_module_config": {
            "module": {"local": {"filename": str(module or native_module())}},
            "do_not_close": True,
        },
        "filter_name": plugin["name"] if is_exchange else plugin["root_id"] or plugin["name"],
    }
    if "configuration" in plugin:
        config["filter_config"] = plugin["configuration"]
    return {"name": plugin["name"], "typed_config": config}


def native_handles(name: str = "istio_stats", configuration: Json | None = None) -> Json:
    """The upstream cluster by which the native module's metrics have handles; `configuration` is the filters'."""
    config = {
        "@type": EXTENSION + "clusters.dynamic_modules.v3.ClusterConfig",
        "cluster_name": name,
        "dynamic_module_config": {"module": {"local": {"filename": str(native_module())}}, "do_not_close": True},
    }
    if configuration is not None:
        config["cluster_config"] = configuration
    return {"name": name, "cluster_type": {"name": "envoy.clusters.dynamic_modules", "typed_config": config}}


def _typed(name: str, kind: str, plugin: Json) -> Json:
    return {"name": name, "typed_config": {"@type": EXTENSION + kind, "config": plugin}}
