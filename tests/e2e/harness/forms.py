"""The forms that the plugins come in: as Wasm modules, and as a native module of Envoy 1.40 and later.

A test with `pytestmark = forms.BOTH` (in its module, or on itself) runs with each, and expects the same.
"""

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from lab import envoy, paths, plugins, tree
from lab.bootstrap import TYPE
from lab.tree import Json


class Form(Enum):
    WASM = "wasm"
    # Its series have handles.
    NATIVE = "native"
    # They have none.
    LOOKED_UP = "native_looked_up"


class Lacks(Enum):
    """Why something is not run with the native form. What it lacks docs/native.md says, too."""

    LOGGER = "it is no access logger"
    ISTIO = "inside Istio there are the Wasm modules"
    VM = "it has no VM"
    CEL_LIST = "it reads without Envoy's CEL"
    STATS_TAGS = "its labels are labels"
    TCP_METADATA = "of TCP no metadata of endpoints can be read"
    TCP_ANOTHER_FILE = "TCP is recorded by what the bootstrap has, with the module's file of that"
    UPSTREAM_STATE = "the filter state of an upstream connection cannot be seen"
    ZEROS = "a counter without labels is there from the beginning"
    NOTHING = "it lacks nothing there"
    NO_PLUGIN = "no plugin runs in it"
    SAMPLES = "its samples have the Wasm modules"
    COMMAND = "it is of the command, which reads the same of both"


# The files of tests that are not for each form. All others are; test_forms.py compares.
WASM_ONLY = {
    "access_log": Lacks.LOGGER,
    "bulk": Lacks.CEL_LIST,
    "command": Lacks.COMMAND,
    "doctor": Lacks.COMMAND,
    "doctor_counting": Lacks.COMMAND,
    "doctor_labels": Lacks.STATS_TAGS,
    "doctor_loading": Lacks.VM,
    "doctor_peers": Lacks.COMMAND,
    "doctor_setup": Lacks.COMMAND,
    "envoy_gateway": Lacks.SAMPLES,
    "fault_traps": Lacks.VM,
    "forms": Lacks.NO_PLUGIN,
    "func_e": Lacks.SAMPLES,
    "install_docs": Lacks.NO_PLUGIN,
    "istio_envoy_filter": Lacks.ISTIO,
    "istio_extensions": Lacks.ISTIO,
    "istio_resources": Lacks.ISTIO,
    "istio_samples": Lacks.ISTIO,
    "matchers": Lacks.NO_PLUGIN,
    "plan": Lacks.COMMAND,
    "tcp_families": Lacks.NO_PLUGIN,
    "top": Lacks.COMMAND,
}


def each_of(*forms: Form) -> list[pytest.MarkDecorator]:
    """The test runs with each of these."""
    parametrize = pytest.mark.parametrize("form", forms, ids=[form.value for form in forms], indirect=True)
    return [pytest.mark.usefixtures("form"), parametrize]


BOTH = each_of(Form.WASM, Form.NATIVE)


class _Current:
    form = Form.WASM


def wasm_only(why: Lacks) -> pytest.MarkDecorator:
    """What the native form does not do."""
    return pytest.mark.wasm_only(why)


def choose(form: Form, request: pytest.FixtureRequest) -> None:
    """From here on proxies have this form; skips the test if there is none."""
    if form is not Form.WASM:
        marker = request.node.get_closest_marker("wasm_only")
        if marker:
            pytest.skip(f"the native form: {marker.args[0].value}")
        if request.node.callspec.params.get("logger"):
            pytest.skip(f"the native form: {Lacks.LOGGER.value}")
        # One that does not tell its release may have it.
        if (0, 0) < envoy.release() < plugins.FIRST_NATIVE:
            pytest.skip("Envoy before 1.40 has no native form")
    _Current.form = form


def is_native() -> bool:
    return _Current.form is not Form.WASM


def module(name: str) -> Path:
    """The built module of a plugin."""
    return paths.native_module() if is_native() else paths.module(name)


def replaceable_files(whole: Any, name: str) -> Iterator[Json]:
    """Where the filters that a plugin is in say from which file it is loaded, if that can be another one while Envoy
    runs (`Lacks.TCP_ANOTHER_FILE`)."""
    yield from (plugin["vm_config"]["code"]["local"] for plugin in tree.plugins(whole, name))
    for plugin in tree.native_plugins(whole, name):
        if not (name == "istio_stats" and "NetworkFilter" in plugin["@type"]):
            yield plugin["dynamic_module_config"]["module"]["local"]


def stat_namespace() -> str:
    """What Envoy's own names of the plugins' stats begin with."""
    return "dynamicmodulescustom" if is_native() else "wasmcustom"


def http_filter(plugin: Json) -> Json:
    """One of the plugins in the form of the test."""
    return plugins.native_http_filter(plugin) if is_native() else plugins.http_filter(plugin)


def network_filter(plugin: Json) -> Json:
    """The same for TCP."""
    return plugins.native_network_filter(plugin) if is_native() else plugins.network_filter(plugin)


def configure_handles(whole: Json, **configuration: Any) -> None:
    """Where filters are configured to have other names or labels than usual the handles are to be of those, too."""
    value = {"@type": TYPE + "google.protobuf.StringValue", "value": json.dumps(configuration)}
    for upstream_cluster in whole["static_resources"]["clusters"]:
        if upstream_cluster["name"] == plugins.native_handles()["name"]:
            upstream_cluster["cluster_type"]["typed_config"]["cluster_config"] = value


def fitted(whole: Json, discovered: Sequence[Json] = ()) -> Json:
    """A bootstrap as the form of the test wants it; `discovered` are the listeners that are not in it."""
    if not is_native():
        return whole
    del whole["stats_config"]
    whole["layered_runtime"] = plugins.NATIVE_RUNTIME
    # Without one there is nothing that network filters could report by.
    configurations: list[Json | None] = [None] if _Current.form is Form.NATIVE else []
    for listener in [*whole["static_resources"]["listeners"], *discovered]:
        for filter_ in (one for chain in listener["filter_chains"] for one in chain["filters"]):
            if filter_["name"] == "istio_stats":
                configuration = filter_["typed_config"].get("filter_config")
                if configuration not in configurations:
                    configurations.append(configuration)
    upstream_clusters = whole["static_resources"]["clusters"]
    for upstream_cluster in upstream_clusters:
        metadata = upstream_cluster.get("metadata", {}).get("filter_metadata", {})
        for service in metadata.get("istio", {}).get("services", [])[:1]:
            texts = {f"service_{field}": text for field, text in service.items() if isinstance(text, str)}
            metadata["istio-stats"] = {**metadata.get("istio-stats", {}), **texts}
    names = ("istio_stats", *(f"istio_stats_{number}" for number in range(1, len(configurations))))
    handles = [plugins.native_handles(*one) for one in zip(names, configurations, strict=False)]
    whole["static_resources"]["clusters"] = [*upstream_clusters, *handles]
    return whole
