"""The running mesh: everything a test needs of it."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import yaml

from lab.failure import Failure
from lab.tree import Json
from lab.waiting import PATIENCE_SECONDS, leftovers
from lab.web import answers_ok
from tests.multicluster.mesh import docker, images, prometheus
from tests.multicluster.mesh.docker import Compose
from tests.multicluster.mesh.envoy import STATS_PORT, Configurations
from tests.multicluster.mesh.paths import GENERATED, OUT
from tests.multicluster.mesh.pods import KUBERNETES_CLUSTERS, Inventory
from tests.multicluster.mesh.prometheus import Prometheus
from tests.multicluster.mesh.say import say
from tests.multicluster.mesh.traffic import Account, Client, Outside


class Mesh:
    """Clients, Prometheis and containers."""

    def __init__(self, inventory: Inventory, compose: Compose) -> None:
        self.inventory = inventory
        self.compose = compose
        self.account = Account()
        self.begin = time.time()
        self.clients: dict[str, Client] = {}
        self.outside: dict[str, Outside] = {}
        for one in KUBERNETES_CLUSTERS:
            self.clients[one] = Client(one, inventory.one("frontend", one).address, self.account)
            self.outside[one] = Outside(one, inventory.one("gateway", one).address)
        names = [*(f"{one}-prometheus" for one in KUBERNETES_CLUSTERS), "global-prometheus"]
        self.prometheis = {name: Prometheus(name, next(iter(inventory.addresses(name).values()))) for name in names}

    @property
    def federated(self) -> Prometheus:
        """The Prometheus that sees both Kubernetes clusters."""
        return self.prometheis["global-prometheus"]

    @property
    def age(self) -> float:
        """Seconds since the first container, and some."""
        return time.time() - self.begin + 2

    def wait_until_ready(self) -> None:
        waiting: dict[str, Callable[[], bool]] = {
            pod.name: partial(answers_ok, f"http://{pod.address}:{STATS_PORT}/ready") for pod in self.inventory.pods
        }
        waiting |= {name: one.is_ready for name, one in self.prometheis.items()}

        def unready() -> list[str]:
            self.compose.require_running()
            return [name for name, is_ready in waiting.items() if not is_ready()]

        if names := leftovers(unready):
            logs = "\n".join(f"{name}:\n{self.compose.log_tail(name)}" for name in names)
            raise Failure(
                f"not ready after {PATIENCE_SECONDS} s: {', '.join(names)}. If their logs say nothing: this needs an "
                f"engine on this machine whose networks the host can reach, not a rootless or remote one.\n{logs}"
            )

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
        for stranger in self.outside.values():
            stranger.close()


@contextmanager
def running() -> Iterator[Mesh]:
    """Brings the mesh up; removes all of it in the end."""
    with alone(), _running() as mesh:
        yield mesh


@contextmanager
def alone() -> Iterator[None]:
    """One at a time in a checkout: their containers have the same names."""
    OUT.parent.mkdir(exist_ok=True)
    with OUT.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure("it is running already, from another terminal") from error
        yield


@contextmanager
def _running() -> Iterator[Mesh]:
    chosen = {
        "ENVOY_IMAGE": images.envoy(),
        "PROMETHEUS_IMAGE": images.prometheus(),
        "APPLICATION_IMAGE": images.application(),
    }
    shutil.rmtree(OUT, ignore_errors=True)
    GENERATED.mkdir(parents=True)
    variables = docker.variables(chosen)
    inventory = Inventory(variables)
    generate(inventory)
    say(f"starting two Kubernetes clusters: networks {variables['EAST']}.0/24 and {variables['WEST']}.0/24")
    with Compose(variables) as compose:
        mesh = Mesh(inventory, compose)
        try:
            mesh.wait_until_ready()
            say(f"{len(inventory.pods)} pods with Envoys and {len(mesh.prometheis)} Prometheis are ready")
            yield mesh
        finally:
            mesh.close()


def generate(inventory: Inventory) -> None:
    """Writes every configuration."""
    configurations = Configurations(inventory)
    for pod in inventory.pods:
        write(pod.name, configurations.of(pod))
    for one in KUBERNETES_CLUSTERS:
        write(f"{one}-prometheus", prometheus.local(inventory, one))
    write("global-prometheus", prometheus.federating(inventory))


class Dumper(yaml.SafeDumper):
    """Writes what is there twice twice, for readers."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def write(name: str, configuration: Json) -> None:
    text = yaml.dump(configuration, Dumper=Dumper, sort_keys=False, width=200)
    (GENERATED / f"{name}.yaml").write_text(text)
