"""The files of envoy-config/standalone/ with the plugin as a logger, or as a native module, on ports of a test."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import yaml

from lab.paths import ROOT
from lab.tree import Json
from lab.waiting import await_equal
from tests.e2e.harness import clients
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.runnable import Runnable

# What a request for the service of the samples has to say.
REVIEWS = {"host": "reviews.shop.svc.cluster.local"}


@dataclass
class Logger:
    """One of the two, `east` or `west`; can be started in a Mesh."""

    name: str
    # By the port that the file names for what is upstream.
    ports: dict[int, int]
    workers: int = 1
    arguments: tuple[str, ...] = ()
    expected_log: tuple[str, ...] = ()
    permitted_log: str | None = None

    # Which of the files.
    form: str = "logger"
    # The file's content, if it is not that of the sample.
    content: Json | None = None

    def bootstrap(self) -> Json:
        """Its upstream ports are replaced; its own are the kernel's choice."""
        sample = ROOT / "envoy-config" / "standalone" / f"{self.name}-{self.form}.yaml"
        config = self.content or yaml.safe_load(sample.read_text())
        for place in [config["admin"], *config["static_resources"]["listeners"]]:
            place["address"]["socket_address"]["port_value"] = 0
        text = json.dumps(config)
        for old, new in self.ports.items():
            text = text.replace(f'"port_value": {old}', f'"port_value": {new}')
        return json.loads(text.replace('"dist/', f'"{ROOT}/dist/'))


@dataclass
class LoggerPair:
    """Both, running, with applications behind them."""

    mesh: Mesh
    http_backend: int
    grpc_backend: int
    tcp_backend: int
    # Changes a proxy before it runs.
    change: Callable[[Runnable], Runnable] = field(default=lambda sidecar: sidecar)
    form: str = "logger"

    def __post_init__(self) -> None:
        applications = {18003: self.http_backend, 18004: self.grpc_backend, 18008: self.tcp_backend}
        west = self.mesh.run(self.change(Logger("west", applications, form=self.form)))
        proxies = {port: west.port(listener) for port, listener in ((18002, "inbound"), (18007, "inbound_tcp"))}
        self.mesh.run(self.change(Logger("east", proxies, form=self.form)))

    def __getitem__(self, name: str) -> Envoy:
        return self.mesh[name]

    def call_and_expect(self) -> None:
        """Sends some requests and opens some connections, which both are to count under the names of both sides."""
        with clients.http1(self["east"].port("outbound")) as caller:
            for _ in range(5):
                assert caller.get("/", headers=REVIEWS).status_code == 200
        for _ in range(2):
            traffic.converse(self["east"].port("outbound_tcp"))
        both = ("east", "west", "frontend", "reviews")
        requests = {(*both, "reviews.shop.svc.cluster.local", "reviews", "shop"): 5.0}
        connections = {(*both, "ledger.shop.svc.cluster.local", "ledger", "shop"): 2.0}
        labels = [
            *("source_cluster", "destination_cluster", "source_app", "destination_app"),
            *("destination_service", "destination_service_name", "destination_service_namespace"),
        ]
        for name in ("east", "west"):
            await_equal(partial(self.mesh.requests, name, labels), requests, f"requests of {name}")
            closed = partial(self.mesh.requests, name, labels, "istio_tcp_connections_closed_total")
            await_equal(closed, connections, f"connections of {name}")
