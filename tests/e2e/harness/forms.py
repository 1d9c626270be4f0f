"""The forms that the plugins come in: as Wasm modules, and as a native module of Envoy 1.40 and later.

A test with `pytestmark = forms.BOTH` (in its module, or on itself) runs with each, and expects the same.
"""

from collections.abc import Sequence
from enum import Enum

import pytest

from lab import envoy, plugins
from lab.tree import Json


class Form(Enum):
    WASM = "wasm"
    # Its series have handles.
    NATIVE = "native"
    # They have none.
    LOOKED_UP = "native_looked_up"


def each_of(*forms: Form) -> list[pytest.MarkDecorator]:
    """The test runs with each of these."""
    parametrize = pytest.mark.parametrize("form", forms, ids=[form.value for form in forms], indirect=True)
    return [pytest.mark.usefixtures("form"), parametrize]


BOTH = each_of(Form.WASM, Form.NATIVE)


class _Current:
    form = Form.WASM


def wasm_only(reason: str) -> pytest.MarkDecorator:
    """What the native form does not do, and docs/native.md says so."""
    return pytest.mark.wasm_only(reason)


def choose(form: Form, request: pytest.FixtureRequest) -> None:
    """From here on proxies have this form; skips the test if there is none."""
    if form is not Form.WASM:
        marker = request.node.get_closest_marker("wasm_only")
        if marker:
            pytest.skip(f"the native form: {marker.args[0]}")
        if request.node.callspec.params.get("logger"):
            pytest.skip("the native form has no access logger")
        if envoy.release() < plugins.FIRST_NATIVE:
            pytest.skip("Envoy before 1.40 has no native form")
    _Current.form = form


def is_native() -> bool:
    return _Current.form is not Form.WASM


def http_filter(plugin: Json) -> Json:
    """One of the plugins in the form of the test."""
    return plugins.native_http_filter(plugin) if is_native() else plugins.http_filter(plugin)


def network_filter(plugin: Json) -> Json:
    """The same for TCP."""
    return plugins.native_network_filter(plugin) if is_native() else plugins.network_filter(plugin)


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
