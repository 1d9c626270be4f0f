"""The sample for Envoy Gateway, in a real Envoy that is configured as Envoy Gateway would."""

import json

import pytest

from tests.e2e.harness import clients, peer_metadata
from tests.e2e.harness.istio import envoy_gateway, samples
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.workloads import SHOP

RESOURCES = samples.build(samples.ENVOY_GATEWAY).resources


@pytest.fixture
def gateway(mesh: Mesh, backend: int) -> int:
    """Port of the gateway; the called workload's proxy has the exchange."""
    running = mesh.run(envoy_gateway.Gateway(RESOURCES, mesh.start(west(backend))))
    return running.port(envoy_gateway.LISTENER)


def test_the_gateway_and_the_proxy_behind_it_know_each_other(mesh: Mesh, gateway: int) -> None:
    with clients.http1(gateway, host="anything.example") as caller:
        assert [caller.get("/stock").status_code for _ in range(3)] == [200] * 3
        # Goes to no route, and so to no extension.
        assert caller.get("/elsewhere").status_code == 404
    mesh.expect("envoy_gateway.yaml")


def test_clients_outside_learn_nothing(gateway: int) -> None:
    with clients.http1(gateway) as caller:
        response = caller.get("/stock", headers=peer_metadata.headers(SHOP))
    assert response.status_code == 200
    assert peer_metadata.found_in(response.headers.items()) == []
    # Nor does the application: the proxy before it took the headers away.
    assert peer_metadata.found_in(response.json()) == []


def test_every_extension_fails_open_and_says_what_it_is_attached_to() -> None:
    plugins = [one["typed_config"]["config"] for one in envoy_gateway.Gateway(RESOURCES, 0).filters()]
    assert [plugin["name"] for plugin in plugins] == ["metadata-exchange", "istio-stats"]
    assert all(plugin["fail_open"] and plugin["root_id"] == "stats_outbound" for plugin in plugins)
    told = [json.loads(plugin["configuration"]["value"]) for plugin in plugins]
    assert {one["attachment"] for one in told} == {"http"}
    assert told[1]["disable_host_header_fallback"] is True


def test_the_labels_are_those_of_every_bootstrap() -> None:
    bootstrap = envoy_gateway.Gateway(RESOURCES, 0).bootstrap()
    shipped = samples.stats_tags()
    assert bootstrap["stats_config"]["stats_tags"][-len(shipped) :] == shipped


def test_no_sample_is_forgotten() -> None:
    assert set(samples.ENVOY_GATEWAY.rglob("*.yaml")) == samples.build(samples.ENVOY_GATEWAY).files
