"""`istio-stats doctor` where the plugin does not run, or not as it was meant."""

from pathlib import Path

import yaml

from lab import bootstrap, plugins, tree
from lab.tree import Json
from tests.e2e.harness import tcp
from tests.e2e.harness.altered import Altered, deliver_filter, deliver_listeners, use_module
from tests.e2e.harness.discovery import LISTENER, publish
from tests.e2e.harness.doctor import call, diagnose, pasted, serve
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.usual import ABSENT

ANSWER = [bootstrap.direct_response("/", 200)]
# Envoy's log has lines about Wasm that these tests cause.
ANY_LOG: Json = {"permitted_log": "."}
NO_V8: Json = {"arguments": ("--disable-extensions", "envoy.wasm.runtime/envoy.wasm.runtime.v8")}


def _start_without_listener(mesh: Mesh, sidecar: Runnable) -> Envoy:
    """Its only listener is refused, so there is no port to wait for."""
    try:
        mesh.start(sidecar)
    except KeyError:
        return mesh[sidecar.name]
    raise AssertionError("the listener was accepted")


def test_an_envoy_without_the_runtime(mesh: Mesh, tmp_path: Path) -> None:
    sidecar = Altered(west(1, routes=ANSWER, **NO_V8, **ANY_LOG), lambda whole: deliver_listeners(whole, tmp_path))
    envoy = _start_without_listener(mesh, sidecar)
    found = diagnose(envoy, "no-wasm-runtime", "configuration-rejected")
    assert found["no-wasm-runtime"]["seen"][0].startswith("a plugin asks for envoy.wasm.runtime.v8; Envoy 1.")
    assert found["configuration-rejected"]["seen"] == ["listener west: Unable to create Wasm plugin metadata_exchange"]


def test_an_envoy_without_the_runtime_that_was_given_no_plugin_yet(mesh: Mesh) -> None:
    envoy = serve(mesh, west(1, routes=ANSWER, stats=ABSENT, exchange=ABSENT, **NO_V8), count=False)
    diagnose(envoy, "no-wasm-runtime", "plugin-not-loaded")


def test_a_module_that_is_not_there(mesh: Mesh, tmp_path: Path) -> None:
    def change(whole: Json) -> None:
        use_module(whole, "/nowhere/istio_stats.wasm")
        deliver_listeners(whole, tmp_path)

    envoy = _start_without_listener(mesh, Altered(west(1, routes=ANSWER, **ANY_LOG), change))
    finding = diagnose(envoy, "configuration-rejected")["configuration-rejected"]
    assert finding["seen"] == ["listener west: Invalid path: /nowhere/istio_stats.wasm"]


def test_a_listener_that_was_replaced_by_a_bad_one(mesh: Mesh, tmp_path: Path, doubler: int) -> None:
    """What is in effect is healthy; that the newer one is not in effect is said."""
    good = tcp.west(doubler, listeners_file=tmp_path / "listeners.json", **ANY_LOG)
    mesh.start(good)
    diagnose(mesh["west"], hints=["nothing-counted"])
    bad = plugins.network_filter(plugins.plugin("istio_stats", "/nowhere/istio_stats.wasm", "", "{}"))
    listener = good.listener()
    listener["filter_chains"][0]["filters"].insert(0, bad)
    publish(tmp_path / "listeners.json", LISTENER, [listener])
    mesh["west"].await_stat("listener_manager.lds.update_rejected", 1)
    diagnose(mesh["west"], "configuration-rejected")


def test_a_filter_of_extension_discovery(mesh: Mesh, tmp_path: Path) -> None:
    envoy = serve(mesh, Altered(west(1, routes=ANSWER), lambda whole: deliver_filter(whole, "istio_stats", tmp_path)))
    diagnose(envoy)


def test_a_filter_of_extension_discovery_that_was_refused(mesh: Mesh, tmp_path: Path) -> None:
    def change(whole: Json) -> None:
        use_module(whole, "/nowhere/istio_stats.wasm")
        deliver_filter(whole, "istio_stats", tmp_path)

    envoy = serve(mesh, Altered(west(1, routes=ANSWER, **ANY_LOG), change), count=False)
    finding = diagnose(envoy, "configuration-rejected")["configuration-rejected"]
    assert finding["seen"][0].startswith("http_filter.istio_stats: 1 configurations refused, none accepted")


def test_no_stats_plugin_in_the_chain(mesh: Mesh) -> None:
    envoy = serve(mesh, west(1, routes=ANSWER, stats=ABSENT), count=False)
    finding = diagnose(envoy, "plugin-not-loaded")["plugin-not-loaded"]
    assert finding["seen"][0].endswith("there is metadata_exchange in listener west (HTTP)")


def test_stats_that_envoy_throws_away(mesh: Mesh) -> None:
    def match_only(*patterns: Json) -> Altered:
        def change(whole: Json) -> None:
            whole["stats_config"]["stats_matcher"] = {"inclusion_list": {"patterns": list(patterns)}}

        return Altered(west(1, routes=ANSWER), change)

    envoy = serve(mesh, match_only({"prefix": "http"}, {"prefix": "istio"}, {"prefix": "reporter="}), count=False)
    finding = diagnose(envoy, "stats-excluded")["stats-excluded"]
    cure = yaml.safe_load(pasted(finding))
    diagnose(serve(mesh, match_only({"prefix": "http"}, *cure)))


def test_some_stats_that_envoy_throws_away(mesh: Mesh) -> None:
    def change(whole: Json) -> None:
        patterns = [{"suffix": "istio_request_bytes"}]
        whole["stats_config"]["stats_matcher"] = {"exclusion_list": {"patterns": patterns}}

    envoy = serve(mesh, Altered(west(1, routes=ANSWER), change))
    finding = diagnose(envoy, "stats-excluded")["stats-excluded"]
    assert finding["seen"][0].startswith("istio_request_bytes, by stats_matcher: ")
    assert "istio_request_bytes" not in envoy.families()


def test_a_configuration_with_mistakes(mesh: Mesh) -> None:
    sidecar = west(1, routes=ANSWER, stats={"reporter": "SIDEWAYS"}, exchange={"trust": "maybe"}, **ANY_LOG)
    finding = diagnose(serve(mesh, sidecar), "configuration-mistakes")["configuration-mistakes"]
    assert [fact.split(": ")[:2] for fact in finding["seen"]] == [
        ["metadata_exchange of listener west (HTTP)", "trust"],
        ["istio_stats of listener west (HTTP)", "reporter"],
    ]


def test_a_configuration_that_is_none(mesh: Mesh) -> None:
    envoy = serve(mesh, west(1, routes=ANSWER, stats="reporter: source", **ANY_LOG), count=False)
    diagnose(envoy, "configuration-mistakes")


def test_a_configuration_whose_mistake_only_envoy_finds(mesh: Mesh) -> None:
    stats = {"metrics": [{"dimensions": {"team": "no.such(("}}]}
    finding = diagnose(serve(mesh, west(1, routes=ANSWER, stats=stats, **ANY_LOG)), "configuration-mistakes")
    assert finding["configuration-mistakes"]["seen"] == ["istio_stats_config_errors is 1"]


def test_a_configuration_as_a_struct(mesh: Mesh) -> None:
    def change(whole: Json) -> None:
        for plugin in tree.plugins(whole, "istio_stats"):
            value = {"@type": bootstrap.TYPE + "google.protobuf.Struct", "value": {"reporter": "SIDEWAYS"}}
            plugin["configuration"] = value

    diagnose(serve(mesh, Altered(west(1, routes=ANSWER, **ANY_LOG), change)), "configuration-mistakes")


def test_a_configuration_without_fault(mesh: Mesh) -> None:
    port = mesh.start(west(1, routes=ANSWER))
    call(mesh["west"], port)
    diagnose(mesh["west"])
