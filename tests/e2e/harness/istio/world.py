"""A small mesh in Istio's shape: the sidecars of `shop` and `stock` and the gateway
`front-door`, each with a real Envoy, and the traffic of golden/istio.yaml."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lab import tree
from lab.certs import Identity
from lab.tree import Json
from tests.e2e.harness import clients, golden, tcp_traffic
from tests.e2e.harness.istio import control_plane, proxies, samples, tunnel, waypoint
from tests.e2e.harness.istio.control_plane import Pod
from tests.e2e.harness.istio.proxies import Ports
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.scrape import Family
from tests.e2e.harness.workloads import Workload

# Helm values, and the patch of the Deployments whose sidecars log.
VALUES = samples.ISTIO / "mesh" / "values.yaml"
POD_PATCH = samples.ISTIO / "beside" / "access-log" / "pod-patch.yaml"


class Builder:
    """Makes worlds for one test."""

    def __init__(self, mesh: Mesh, directory: Path, backends: Sequence[int], identities: dict[str, Identity]) -> None:
        self._mesh = mesh
        self._directory = directory
        self._backends = backends
        self._identities = identities
        self._stack = ExitStack()

    def __enter__(self) -> "Builder":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pods(self, resources: list[Json], istio_version: str = proxies.VERSION, **of_pods: Any) -> list[Pod]:
        """The mesh as `resources` change it, with the mesh configuration and the pod patch of the samples."""
        own_ports, called_ports = self._ports(), self._ports()

        def pod(make: Callable[..., Pod], name: str, workload: Workload, *ports: Any) -> Pod:
            workload = replace(workload, istio_version=istio_version)
            return self._pod(make, name, workload, *ports, resources=resources, **of_pods)

        return [
            pod(control_plane.sidecar, "shop", proxies.SHOP, own_ports, called_ports),
            pod(control_plane.gateway, "front-door", proxies.GATEWAY, called_ports),
            pod(control_plane.sidecar, "stock", proxies.STOCK, called_ports, called_ports),
        ]

    def start(self, resources: list[Json], **of_pods: Any) -> "World":
        """The same, running."""
        pods = self.pods(resources, **of_pods)
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._mesh.run, pods))
        return World(self._mesh, pods)

    def start_waypoint(self, resources: list[Json]) -> "WaypointWorld":
        """A waypoint as `resources` change it, and the tunnel to it, running."""
        pod = self._pod(control_plane.waypoint, "waypoint", waypoint.WAYPOINT, self._backends, resources=resources)
        self._dig(pod, waypoint.WAYPOINT, waypoint.ADDRESSES)
        return WaypointWorld(self._mesh, [pod])

    def start_tunnel(self, resources: list[Json]) -> "TunnelWorld":
        """The called pod as `resources` change it, and a tunnel to it, running."""
        own_ports = self._ports()
        pod = self._pod(control_plane.sidecar, "stock", proxies.STOCK, own_ports, own_ports, resources=resources)
        ports = {waypoint.HTTP: own_ports.http, waypoint.TCP: own_ports.tcp}
        self._dig(pod, proxies.STOCK, {kind: f"{proxies.STOCK.address}:{port}" for kind, port in ports.items()})
        return TunnelWorld(self._mesh, [pod])

    def _dig(self, pod: Pod, workload: Workload, addresses: Mapping[str, str]) -> None:
        """A tunnel to the pod of that workload, once it runs."""
        port = self._mesh.run(pod).port(tunnel.CONNECT_TERMINATE)
        self._mesh.run(tunnel.Ztunnel("ztunnel", workload, port, addresses, self._identities["shop"]))

    def _pod(self, make: Callable[..., Pod], name: str, workload: Workload, *ports: Any, **of_pod: Any) -> Pod:
        values = yaml.safe_load(VALUES.read_text())
        patch = yaml.safe_load(POD_PATCH.read_text())["spec"]["template"]["metadata"]
        told = {
            "default_config": values["meshConfig"]["defaultConfig"],
            "annotations": {**values["sidecarInjectorWebhook"]["injectedAnnotations"], **patch["annotations"]},
            "labels": patch["labels"],
            **of_pod,
        }
        directory = self._directory / name
        directory.mkdir()
        return make(name, workload, *ports, self._identities[name], directory=directory, **told)

    def _ports(self) -> Ports:
        http, tcp = (self._stack.enter_context(tcp_traffic.reserved_port()) for _ in range(2))
        return proxies.Ports(http, tcp, *self._backends)


@dataclass
class World:
    """Running proxies, and what they were made of."""

    mesh: Mesh
    pods: list[Pod]
    # Whose traffic it is.
    golden = "istio.yaml"

    def send(self) -> None:
        """The traffic of the golden file."""
        shop, front_door = self.mesh["shop"], self.mesh["front-door"]
        with clients.http1(shop.port(proxies.OUTBOUND_HTTP)) as caller:
            statuses = [caller.get("/").status_code for _ in range(2)]
        with clients.http1(front_door.port(proxies.GATEWAY_HTTP)) as caller:
            statuses += [caller.get(path).status_code for path in ("/", "/unnamed")]
        assert statuses == [200] * 4
        with clients.grpc_client(shop.port(proxies.OUTBOUND_HTTP)) as caller:
            caller.reserve(b"")
        tcp_traffic.converse(shop.port(proxies.OUTBOUND_TCP))
        tcp_traffic.converse(front_door.port(proxies.GATEWAY_TCP))

    def expect(self, *prefixes: str, factor: int = 1) -> None:
        """Every family of the golden file under each prefix, and no other; counts `factor` times as high."""
        wanted = {
            envoy: {
                prefix + name.removeprefix("istio_"): _changed(family, prefix, factor)
                for prefix in prefixes
                for name, family in families.items()
            }
            for envoy, families in golden.load(self.golden).items()
        }
        self.mesh.expect_families(wanted, f"golden/{self.golden} with the prefixes {prefixes}")

    def vm_counts(self) -> set[int]:
        """How many VMs the Envoys have, each number once."""
        name = "wasm.envoy.wasm.runtime.v8.active"
        return {self.mesh[pod.name].stats(f"^{name}$")[name] for pod in self.pods}

    def bounds(self, histogram: str) -> list[float]:
        """The finite bounds of a histogram's buckets, in the first pod's Envoy."""
        text = self.mesh[self.pods[0].name].admin("/stats/prometheus").text
        found = re.findall(rf'^{histogram}_bucket{{.*le="([0-9.e+]+)"', text, re.MULTILINE)
        return sorted({float(bound) for bound in found})

    def idle_patches(self) -> list[Json]:
        """EnvoyFilter patches that changed no proxy."""
        first, *others = [pod.unapplied for pod in self.pods]
        return [patch for patch in first if all(patch in other for other in others)]


class WaypointWorld(World):
    """A waypoint and the caller's end of the tunnel to it."""

    golden = "istio_waypoint.yaml"

    def send(self) -> None:
        ztunnel = self.mesh["ztunnel"]
        with clients.http1(ztunnel.port(waypoint.HTTP)) as caller:
            assert [caller.get("/").status_code for _ in range(2)] == [200] * 2
        with clients.grpc_client(ztunnel.port(waypoint.HTTP)) as caller:
            caller.reserve(b"")
        tcp_traffic.converse(ztunnel.port(waypoint.TCP))


class TunnelWorld(WaypointWorld):
    """The same to a sidecar."""

    golden = "istio_tunnel.yaml"


def plugins(pod: Pod) -> list[Json]:
    """The plugin configurations that the samples bring to a pod's Envoy, in its bootstrap or by discovery."""
    parts = [pod.bootstrap(), *(json.loads(path.read_text()) for path in pod.directory.glob("*.json"))]
    return [one for part in parts for one in tree.plugins(part) if not one["name"].startswith("istio.")]


def configuration(plugin: Json) -> Json:
    """What a plugin is told, in either form."""
    value = plugin["configuration"]["value"]
    return json.loads(value) if isinstance(value, str) else value


def _changed(family: Family, prefix: str, factor: int) -> Family:
    name = prefix + family.name.removeprefix("istio_")
    # A gauge says the same however often it is said.
    times = 1 if family.kind == "gauge" else factor
    return Family(name, family.kind, {labels: times * value for labels, value in family.series.items()})
