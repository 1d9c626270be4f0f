"""The two Envoys of envoy-config/standalone, on free ports, and traffic that gives every metric."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import yaml

from lab import tree
from lab.paths import ROOT, module
from lab.tree import Json
from tests.e2e.harness import backend, clients, grpc_backend, peer_metadata, requests, tcp_traffic
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.workloads import SHOP

STANDALONE = ROOT / "envoy-config" / "standalone"
REVIEWS = "reviews.shop.svc.cluster.local"
DETAILS = "details.shop.svc.cluster.local"
# Where the samples' Envoys look for the application, by what stands there in the tests.
HTTP, GRPC, TCP, DOWN, WEST, WEST_TCP = 18003, 18004, 18008, 18005, 18002, 18007

# What Istio calls a Kubernetes cluster by default, and a name with whatever may be in one.
CLUSTER_IDS = {"east": "Kubernetes", "west": "gke_shop-4711_europe-west1.b_West"}
# Few, so that the label sets of some strangers reach it.
MAX_SERIES = 8
STRANGERS = 12
# It has no such field: a mistake to be reported.
MISTAKE = {"metrics": [{"name": "requests_total", "dimensions": {"broken": "1 +"}}]}


@dataclass(frozen=True)
class Mesh:
    east: Envoy
    west: Envoy

    @property
    def envoys(self) -> dict[str, Envoy]:
        return {"east": self.east, "west": self.west}

    def admin_port(self, name: str) -> int:
        port = urlsplit(self.envoys[name].admin_url).port
        assert port
        return port

    def send(self) -> None:
        """One round of everything."""
        self._http()
        self._grpc()
        for _ in range(2):
            tcp_traffic.converse(self.east.port("outbound_tcp"))
        self._strangers()

    def _http(self) -> None:
        with clients.http1(self.east.port("outbound"), REVIEWS) as caller:
            for path, times in (("/", 8), ("/status/404", 1), ("/status/500", 2)):
                for _ in range(times):
                    caller.get(path)
            caller.get("/", headers={"host": DETAILS})
            caller.get("/", headers={"host": "nowhere.test"})

    def _grpc(self) -> None:
        with clients.grpc_client(self.east.port("outbound"), REVIEWS) as caller:
            for _ in range(3):
                caller.reserve(b"item")
            list(caller.watch(iter([b"one", b"two"])))
            with suppress(grpc.RpcError):
                caller.refuse(b"item")

    def _strangers(self) -> None:
        """More peers than the west proxy keeps series for, and one that cannot be read."""
        peers = [{**SHOP.peer_metadata(), "WORKLOAD_NAME": f"stranger-{number}"} for number in range(STRANGERS)]
        headers = [{peer_metadata.METADATA: peer_metadata.encode(peer)} for peer in peers]
        requests.send(self.west.port("inbound"), [*headers, {peer_metadata.METADATA: "no metadata"}])


@contextmanager
def running(directory: Path) -> Iterator[Mesh]:
    with ExitStack() as stack:
        ports = {
            HTTP: stack.enter_context(backend.running()),
            GRPC: stack.enter_context(grpc_backend.running()),
            TCP: stack.enter_context(tcp_traffic.backend(tcp_traffic.doubler)),
            DOWN: stack.enter_context(clients.refusing_port()),
        }
        sample = _sample("west", ports, {"max_series": MAX_SERIES})
        west = stack.enter_context(Envoy("west", sample, directory))
        ports |= {WEST: west.port("inbound"), WEST_TCP: west.port("inbound_tcp")}
        sample = _sample("east", ports, MISTAKE)
        east = stack.enter_context(Envoy("east", sample, directory, workers=2, permitted_log=r"1 \+"))
        yield Mesh(east, west)


def _sample(name: str, ports: dict[int, int], http_configuration: Json) -> Json:
    """The sample's bootstrap with other ports, and more in the configuration of its stats plugin for HTTP."""
    bootstrap = yaml.safe_load((STANDALONE / f"{name}.yaml").read_text())
    bootstrap["stats_flush_interval"] = "0.2s"
    bootstrap["node"]["metadata"]["CLUSTER_ID"] = CLUSTER_IDS[name]
    for metadata in tree.values(bootstrap, "istio"):
        if "workload" in metadata:
            workload, _, cluster_id = metadata["workload"].rpartition(";")
            metadata["workload"] = f"{workload};{CLUSTER_IDS[cluster_id]}"
    for address in tree.values(bootstrap, "socket_address"):
        address["port_value"] = ports.get(address["port_value"], 0)
    for code in tree.values(bootstrap, "local"):
        code["filename"] = str(module(code["filename"].removeprefix("dist/").removesuffix(".wasm")))
    for plugin in tree.values(bootstrap, "config"):
        configuration = json.loads(plugin["configuration"]["value"])
        if plugin["name"] == "istio_stats" and configuration["attachment"] == "http":
            plugin["configuration"]["value"] = json.dumps(configuration | http_configuration)
    return bootstrap
