"""What these tests make of WasmPlugin, TrafficExtension and Telemetry."""

import json
from typing import Any

import pytest

from lab.tree import Json
from tests.e2e.harness.istio import agent, extensions
from tests.e2e.harness.istio.control_plane import istio_reports

CONTEXTS = ("SIDECAR_OUTBOUND", "SIDECAR_INBOUND", "GATEWAY")


def _extension(name: str = "a", kind: str = "WasmPlugin", wasm: Json | None = None, **spec: Any) -> Json:
    plugin = {
        "url": "oci://registry.example.com/istio-stats/istio_stats:v1",
        "sha256": "0" * 64,
        "pluginConfig": {"attachment": "http", "max_series": 7},
        **(wasm or {}),
    }
    spec = {**spec, **({"wasm": plugin} if kind == "TrafficExtension" else plugin)}
    return {"kind": kind, "metadata": {"name": name, "namespace": "istio-system"}, "spec": spec}


def _names(
    resources: list[Json], kind: str = "HTTP", context: str = "GATEWAY", phase: str = "UNSPECIFIED"
) -> list[str]:
    return [one["name"].rpartition(".")[2] for one in extensions.filters(resources, kind, context, phase)]


@pytest.mark.parametrize(
    "match, contexts",
    [
        ([{"mode": "CLIENT"}], ["SIDECAR_OUTBOUND", "GATEWAY"]),
        ([{"mode": "SERVER"}], ["SIDECAR_INBOUND"]),
        ([{"mode": "CLIENT_AND_SERVER"}], list(CONTEXTS)),
        ([{}], list(CONTEXTS)),
        ([{"mode": "SERVER"}, {"mode": "CLIENT"}], list(CONTEXTS)),
    ],
)
def test_the_mode_decides_on_listeners(match: list[Json], contexts: list[str]) -> None:
    resource = _extension(match=match)
    assert [context for context in CONTEXTS if _names([resource], context=context)] == contexts


def test_type_phase_and_priority_decide_on_the_place() -> None:
    tcp = _extension("tcp", wasm={"type": "NETWORK"})
    late = _extension("late", priority=1)
    early = _extension("early", "TrafficExtension", priority=5)
    stats = _extension("stats", phase="STATS")
    everything = [tcp, late, early, stats]
    assert _names(everything) == ["early", "late"]
    assert _names(everything, phase="STATS") == ["stats"]
    assert _names(everything, "NETWORK") == ["tcp"]


@pytest.mark.parametrize("kind", extensions.KINDS)
def test_the_plugin_gets_its_configuration_as_json(kind: str) -> None:
    told = {"pluginName": "stats_inbound", "failStrategy": "FAIL_OPEN"}
    resource = _extension(kind=kind, wasm=told)
    (name,) = [one["name"] for one in extensions.filters([resource], "HTTP", "GATEWAY", "UNSPECIFIED")]
    assert name == f"extensions.istio.io/{kind.lower()}/istio-system.a"
    (config,) = extensions.extension_configs([resource], {name})
    plugin = config["typed_config"]["config"]
    assert plugin["configuration"]["@type"].endswith("google.protobuf.StringValue")
    assert json.loads(plugin["configuration"]["value"]) == {"attachment": "http", "max_series": 7}
    assert (plugin["root_id"], plugin["failure_policy"]) == ("stats_inbound", "FAIL_OPEN")
    fetched = agent.fetched(config)["typed_config"]["config"]["vm_config"]
    assert fetched["code"]["local"]["filename"].endswith("/dist/istio_stats.wasm")
    assert "environment_variables" not in fetched


@pytest.mark.parametrize("strategy", ["FAIL_OPEN", "FAIL_CLOSE"])
def test_an_unfetched_module_stops_traffic_unless_it_fails_open(strategy: str) -> None:
    (config,) = extensions.extension_configs(
        [_extension(wasm={"failStrategy": strategy})], {"extensions.istio.io/wasmplugin/istio-system.a"}
    )
    # An RBAC filter with rules, but none that allows anything, refuses everything.
    assert ("rules" in agent.unfetched(config)["typed_config"]) is (strategy == "FAIL_CLOSE")


@pytest.mark.parametrize(
    "override, reports",
    [
        ({"disabled": True}, False),
        ({"match": {"metric": "ALL_METRICS"}, "disabled": True}, False),
        ({"match": {"metric": "ALL_METRICS", "mode": "CLIENT_AND_SERVER"}, "disabled": True}, False),
        ({"match": {"metric": "REQUEST_COUNT"}, "disabled": True}, True),
        ({"match": {"mode": "CLIENT"}, "disabled": True}, True),
        ({"disabled": False}, True),
    ],
)
def test_a_telemetry_switches_istios_metrics_off_only_as_a_whole(override: Json, reports: bool) -> None:
    telemetry = {"spec": {"metrics": [{"providers": [{"name": "prometheus"}], "overrides": [override]}]}}
    assert istio_reports([telemetry]) is reports
    assert istio_reports([]) is True
