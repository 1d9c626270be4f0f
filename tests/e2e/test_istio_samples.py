"""Every sample for Istio, in real Envoys that are configured as Istio would."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab import tree
from lab.certs import Authority
from lab.tree import Json
from tests.e2e.harness import golden
from tests.e2e.harness.command import istio_stats
from tests.e2e.harness.customised import changed
from tests.e2e.harness.doctor import diagnose
from tests.e2e.harness.istio import crds, samples, world
from tests.e2e.harness.istio.proxies import GATEWAY, SHOP, STOCK
from tests.e2e.harness.istio.tunnel import OWN_LISTENERS
from tests.e2e.harness.istio.waypoint import WAYPOINT as WAYPOINT_WORKLOAD
from tests.e2e.harness.istio.world import Builder
from tests.e2e.harness.mesh import Mesh

BESIDE = samples.ISTIO / "beside"
INSTEAD = samples.ISTIO / "instead"
WAYS = ("envoy-filter", "wasm-plugin", "traffic-extension", "access-log")
# For other proxies than these.
WAYPOINT = "waypoint"
# The first, of which the others are clones, that of the main thread, that of the only worker.
VMS_PER_ID = 3


@pytest.fixture
def istio(
    mesh: Mesh, tmp_path: Path, backend: int, grpc_backend_port: int, doubler: int, authority: Authority
) -> Iterator[Builder]:
    identities = {
        name: authority.issue(workload.spiffe_id())
        for name, workload in (
            ("shop", SHOP),
            ("stock", STOCK),
            ("front-door", GATEWAY),
            ("waypoint", WAYPOINT_WORKLOAD),
        )
    }
    with world.Builder(mesh, tmp_path, (backend, grpc_backend_port, doubler), identities) as builder:
        yield builder


@pytest.mark.parametrize("way", WAYS)
def test_beside_istios_metrics_both_report_the_same_under_names_of_their_own(istio: Builder, way: str) -> None:
    running = istio.start(samples.build(BESIDE / way).resources)
    running.send()
    running.expect("istio_", "mesh_")
    assert not running.idle_patches()
    # Istio's exchange, its metrics, and one VM for all listeners of ours.
    assert running.vm_counts() == {3 * VMS_PER_ID}
    assert running.bounds("mesh_request_bytes") == [1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 10000, 60000, 1000000]


@pytest.mark.parametrize("way", WAYS)
def test_instead_of_istios_metrics_the_names_are_istios(istio: Builder, way: str) -> None:
    running = istio.start(samples.build(INSTEAD / way).resources)
    running.send()
    running.expect("istio_")
    assert not running.idle_patches()
    assert running.vm_counts() == {2 * VMS_PER_ID}


@pytest.mark.parametrize("way", WAYS)
def test_a_tunnel_is_not_counted_beside_what_comes_out_of_it(istio: Builder, way: str) -> None:
    """Istio's own metrics are not in `connect_terminate`."""
    running = istio.start_tunnel(samples.build(BESIDE / way).resources)
    running.send()
    running.expect("istio_", "mesh_")


@pytest.mark.parametrize("way", WAYS)
def test_the_listeners_of_tunnels_themselves_are_left_out(istio: Builder, way: str) -> None:
    pods = istio.pods(samples.build(BESIDE / way).resources)
    listeners = [one for pod in pods for one in pod.bootstrap()["static_resources"]["listeners"]]
    own = [one for one in listeners if one["name"] in OWN_LISTENERS]
    assert {one["name"] for one in own} == set(OWN_LISTENERS)
    # A gateway's filters are discovered, a logger is told to pass them over.
    assert not list(tree.values(own, "config_discovery"))
    loggers = [one for one in tree.nodes(own) if one.get("name") == "envoy.access_loggers.wasm"]
    assert all("filter" in one for one in loggers)


def test_a_waypoint_beside_istios_metrics_reports_the_same_under_names_of_its_own(istio: Builder) -> None:
    running = istio.start_waypoint(samples.build(BESIDE / WAYPOINT).resources)
    running.send()
    running.expect("istio_", "mesh_")
    # Istio's metrics, and one VM for both resources.
    assert running.vm_counts() == {2 * VMS_PER_ID}


def test_a_waypoint_instead_of_istios_metrics(istio: Builder, mesh: Mesh) -> None:
    running = istio.start_waypoint(samples.build(INSTEAD / WAYPOINT).resources)
    running.send()
    running.expect("istio_")
    diagnose(mesh["waypoint"])


@pytest.mark.parametrize("way", ["wasm-plugin", "traffic-extension"])
def test_a_waypoint_and_the_other_proxies_take_nothing_that_is_meant_for_the_other(istio: Builder, way: str) -> None:
    resources = samples.build(BESIDE / way).resources + samples.build(BESIDE / WAYPOINT).resources
    (waypoint,) = istio.start_waypoint(resources).pods
    told = [json.loads(one["configuration"]["value"]) for one in world.plugins(waypoint)]
    assert {one.get("reporter") for one in told} == {"SERVER_GATEWAY"}
    for pod in istio.pods(resources):
        configurations = [world.configuration(one) for one in world.plugins(pod)]
        assert configurations
        assert not any("reporter" in one for one in configurations)


def test_with_istios_names_beside_istios_metrics_everything_counts_twice(istio: Builder) -> None:
    """What the prefix of `beside` and the Telemetry of `instead` are for."""
    resources = samples.build(INSTEAD / "wasm-plugin").of_kind("WasmPlugin")
    running = istio.start(resources)
    running.send()
    running.expect("istio_", factor=2)


@pytest.mark.parametrize("way", ["envoy-filter", "access-log"])
def test_a_proxy_of_another_version_is_left_alone(istio: Builder, way: str) -> None:
    pods = istio.pods(samples.build(BESIDE / way).resources, istio_version="1.27.3")
    assert [world.plugins(pod) for pod in pods] == [[], [], []]


def test_where_the_module_cannot_be_fetched_traffic_flows_without_it(istio: Builder) -> None:
    running = istio.start(samples.build(BESIDE / "envoy-filter").resources, reaches_registry=False)
    running.send()
    running.expect("istio_")


@pytest.mark.parametrize("way", WAYS)
def test_every_listener_gets_the_plugin_with_its_side_and_kind(istio: Builder, way: str) -> None:
    # Only EnvoyFilters tell gateways from other clients.
    host_outbound = True if way in ("wasm-plugin", "traffic-extension") else None
    outbound = {("stats_outbound", "http", host_outbound), ("stats_outbound", "tcp", None)}
    inbound = {("stats_inbound", "http", True), ("stats_inbound", "tcp", None)}
    gateway = {("stats_outbound", "http", True), ("stats_outbound", "tcp", None)}
    shop, front_door, stock = (world.plugins(pod) for pod in istio.pods(samples.build(BESIDE / way).resources))
    assert [_told(one) for one in (shop, front_door, stock)] == [outbound | inbound, gateway, outbound | inbound]
    together = [*shop, *front_door, *stock]
    assert {one["failure_policy"] for one in together} == {"FAIL_OPEN"}
    # What decides on sharing VMs.
    assert len({json.dumps(one["vm_config"], sort_keys=True) for one in together}) == 1


def _told(plugins: list[Json]) -> set[tuple[str, str, bool | None]]:
    told = [(plugin["root_id"], world.configuration(plugin)) for plugin in plugins]
    return {(root_id, one["attachment"], one.get("disable_host_header_fallback")) for root_id, one in told}


# A Telemetry for the mesh, and one for the namespace of `stock`.
MESH_TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: mesh-default, namespace: istio-system }
spec:
  metrics:
    - providers: [{ name: prometheus }]
      overrides:
        - match: { metric: ALL_METRICS }
          tagOverrides: { source_principal: { operation: REMOVE } }
        - match: { metric: REQUEST_COUNT, mode: CLIENT }
          tagOverrides: { scheme: { value: request.scheme } }
"""
NAMESPACE_TELEMETRY = """---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: warehouse, namespace: warehouse }
spec:
  metrics:
    - overrides:
        - match: { metric: REQUEST_SIZE, mode: SERVER }
          disabled: true
        - match: { metric: TCP_SENT_BYTES }
          tagOverrides: { kind: { value: "'warehouse'" }, source_principal: { value: "'of TCP'" } }
"""


@pytest.mark.parametrize("way", ["envoy-filter", "wasm-plugin", "traffic-extension"])
def test_what_migrate_prints_reports_what_the_telemetries_ask_for(istio: Builder, way: str) -> None:
    # Only EnvoyFilters tell one namespace from the mesh.
    of_namespace = NAMESPACE_TELEMETRY if way == "envoy-filter" else ""
    printed = istio_stats("migrate", "--to", way, "-", stdin=MESH_TELEMETRY + of_namespace)
    resources = list(yaml.safe_load_all(printed))
    assert [problem for resource in resources for problem in crds.problems(resource)] == []
    (labels,) = re.findall(r"sidecar.istio.io/extraStatTags: (\S+)", printed)
    running = istio.start(resources, default_config={"extraStatTags": labels.split(",")})
    running.send()
    wanted = {
        envoy: {name: changed(family, source_principal=None) for name, family in families.items()}
        for envoy, families in golden.load(running.golden).items()
    }
    for envoy in ("shop", "front-door"):
        requests = wanted[envoy]["istio_requests_total"]
        wanted[envoy]["istio_requests_total"] = changed(requests, scheme="http")
    if of_namespace:
        del wanted["stock"]["istio_request_bytes"]
        sent = wanted["stock"]["istio_tcp_sent_bytes_total"]
        wanted["stock"]["istio_tcp_sent_bytes_total"] = changed(sent, source_principal="of TCP", kind="warehouse")
    running.mesh.expect_families(wanted, "golden/istio.yaml as the Telemetry resources want it")
    assert not running.idle_patches()


def test_no_sample_is_forgotten() -> None:
    """Whoever adds a file has to add it to a kustomization, and a kustomization to these tests."""
    ways = (*WAYS, WAYPOINT)
    tried = {file for root in (BESIDE, INSTEAD) for way in ways for file in samples.build(root / way).files}
    # Every world is built with these two.
    assert set(samples.ISTIO.rglob("*.yaml")) == tried | {world.VALUES, world.POD_PATCH}
