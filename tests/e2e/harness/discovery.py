"""Resources that Envoy reads from files, as a control plane would send them, and replaces while it runs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab import bootstrap
from lab.tree import Json, configure, nodes
from tests.e2e.harness.runnable import Runnable, Wrapper

LISTENER = bootstrap.TYPE + "envoy.config.listener.v3.Listener"
FILTER = bootstrap.TYPE + "envoy.config.core.v3.TypedExtensionConfig"
# The ends of the types of filters that may be plugins, in either form.
_PLUGINS = (".wasm.v3.Wasm", ".DynamicModuleFilter", ".DynamicModuleNetworkFilter")


def publish(path: Path, kind: str, resources: Iterable[Json]) -> None:
    """Hands these resources, instead of those in the file before, to whoever reads it."""
    _write(path, [{"@type": kind, **one} for one in resources])


def configure_anew(path: Path, **fields: Any) -> None:
    """Publishes what is in the file once more, with these fields in the configurations of its plugins."""
    resources = json.loads(path.read_text())["resources"]
    configure(resources, **fields)
    _write(path, resources)


def _write(path: Path, resources: Iterable[Json]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"resources": resources}))
    # Envoy looks again only when a file is moved into place.
    draft.replace(path)


def source(path: Path) -> Json:
    """Says to Envoy that resources come from this file."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


class Delivered(Wrapper):
    """A proxy whose listeners come by discovery (LDS), and apart from them their plugins (ECDS) if `apart`."""

    def __init__(self, sidecar: Runnable, directory: Path, apart: bool = True) -> None:
        super().__init__(sidecar)
        self._apart = apart
        self._directory = directory
        self._directory.mkdir()
        # By name. Whoever changes one publishes it.
        self.listeners: dict[str, Json] = {}
        self.filters: dict[str, Json] = {}

    def bootstrap(self) -> Json:
        whole = self.sidecar.bootstrap()
        self.listeners = {one["name"]: one for one in whole["static_resources"].pop("listeners")}
        for name, listener in self.listeners.items():
            # Hands connections to workers that may have the listener no more.
            listener.pop("connection_balance_config", None)
            if self._apart:
                self._take_filters(name, listener)
        self.publish_filters()
        self.publish_listeners()
        whole["dynamic_resources"] = {"lds_config": source(self._file("listeners"))}
        return whole

    def publish_listeners(self) -> None:
        publish(self._file("listeners"), LISTENER, self.listeners.values())

    def publish_filters(self, plugin: str = "") -> None:
        """Those with this plugin, or all."""
        for name, filter_ in self.filters.items():
            if name.endswith(plugin):
                publish(self._file(name), FILTER, [filter_])

    def _take_filters(self, listener_name: str, listener: Json) -> None:
        for node in nodes(listener):
            for filter_ in node.get("filters", []) + node.get("http_filters", []):
                typed = filter_.get("typed_config", {})
                if typed.get("@type", "").endswith(_PLUGINS):
                    name = f"{listener_name}.{filter_['name']}"
                    self.filters[name] = {"name": name, "typed_config": filter_.pop("typed_config")}
                    found = {"config_source": source(self._file(name)), "type_urls": [typed["@type"]]}
                    filter_.update(name=name, config_discovery=found)

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.json"
