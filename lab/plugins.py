"""Wasm plugins in a bootstrap, wherever they stand."""

from pathlib import Path

from lab.bootstrap import EXTENSION, TYPE
from lab.tree import Json


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


def _typed(name: str, kind: str, plugin: Json) -> Json:
    return {"name": name, "typed_config": {"@type": EXTENSION + kind, "config": plugin}}
