"""Proxies whose bootstrap differs from what it should be."""

from collections.abc import Callable
from pathlib import Path

from lab.tree import Json, plugins
from tests.e2e.harness.discovery import FILTER, LISTENER, publish, source
from tests.e2e.harness.runnable import Runnable, Wrapper


class Altered(Wrapper):
    """A proxy whose bootstrap goes through a function before Envoy gets it."""

    def __init__(self, sidecar: Runnable, change: Callable[[Json], object]) -> None:
        super().__init__(sidecar)
        self._change = change

    def bootstrap(self) -> Json:
        whole = self.sidecar.bootstrap()
        self._change(whole)
        return whole


def use_module(whole: Json, path: Path | str, failure_policy: str = "FAIL_OPEN") -> None:
    """The stats plugin runs another module."""
    for plugin in plugins(whole, "istio_stats"):
        plugin["vm_config"]["code"]["local"]["filename"] = str(path)
        plugin["failure_policy"] = failure_policy


def http_manager(whole: Json) -> Json:
    """The configuration of the first listener's HTTP connection manager."""
    return whole["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def deliver_listeners(whole: Json, directory: Path) -> None:
    """The listeners come by discovery, from a file, as a control plane sends them."""
    path = directory / "listeners.json"
    publish(path, LISTENER, whole["static_resources"].pop("listeners"))
    whole["dynamic_resources"] = {"lds_config": source(path)}


def deliver_filter(whole: Json, name: str, directory: Path) -> None:
    """The filter comes by extension discovery, as Istio sends a WasmPlugin."""
    (filter_,) = [one for one in http_manager(whole)["http_filters"] if one["name"] == name]
    path = directory / f"{name}.json"
    publish(path, FILTER, [dict(filter_)])
    type_url = filter_.pop("typed_config")["@type"]
    filter_["config_discovery"] = {"config_source": source(path), "type_urls": [type_url]}
