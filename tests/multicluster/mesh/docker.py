"""The Docker engine's part: it starts the containers, cuts a network, and leaves nothing behind."""

import hashlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.failure import Failure
from lab.paths import ROOT
from lab.tree import Json
from tests.multicluster.mesh.paths import COMPOSE_FILE, GENERATED, LOGS, MODULES, OUT, PROMETHEUS
from tests.multicluster.mesh.say import say

# One mesh per checkout, found again after a run that could not clean up.
PROJECT = "istio-stats-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
ENVIRONMENT_FILE = OUT / "environment"
LOG_TAIL_LINES = 30
REMOVALS = 5


def run(
    *command: str | Path, check: bool = True, env: dict[str, str] | None = None, errors: int = subprocess.PIPE
) -> str:
    """Runs a command and returns what it printed; a failure is shown with all it said."""
    # A session of its own: Ctrl-C must not reach what is cleaning up.
    found = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    )
    if check and found.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))} failed:\n{found.stdout}{found.stderr or ''}")
    return found.stdout


def compose_command() -> list[str]:
    """Compose as a plugin of docker, or as the program of its own that it used to be."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise Failure("no Docker Compose. Install it: apt-get install docker-compose")


def free_networks(count: int) -> list[str]:
    """The first three bytes of networks that the engine would choose, as no one has them."""
    names = [f"{PROJECT}-probe-{i}" for i in range(count)]
    try:
        for name in names:
            run("docker", "network", "create", name)
        return [first_bytes(json.loads(run("docker", "network", "inspect", name))) for name in names]
    finally:
        for name in names:
            run("docker", "network", "rm", name, check=False)


def first_bytes(inspected: list[Json]) -> str:
    for config in inspected[0]["IPAM"]["Config"]:
        subnet = ipaddress.ip_network(config["Subnet"])
        if subnet.version == 4:
            return ".".join(str(subnet.network_address).split(".")[:3])
    raise Failure("the Docker engine makes networks without IPv4")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Nobody interrupts what is in this context."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {one: signal.signal(one, signal.SIG_IGN) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class Compose:
    """The containers of the mesh. Leaving the context removes them."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables
        lines = [f"COMPOSE_PROJECT_NAME={PROJECT}", *(f"{name}={value}" for name, value in variables.items())]
        ENVIRONMENT_FILE.write_text("\n".join(lines) + "\n")
        self._command = [*compose_command(), "--project-name", PROJECT, "--file", str(COMPOSE_FILE)]

    def __enter__(self) -> "Compose":
        self._remove()
        try:
            self._compose("up", "--detach")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        say("removing containers and networks")
        with undisturbed():
            self.save_logs()
            self._remove()

    def _compose(self, *arguments: str, check: bool = True) -> str:
        return run(*self._command, *arguments, check=check, env=self._variables)

    def _remove(self) -> None:
        # The engine may still be making what an interrupted run has asked for.
        for _ in range(REMOVALS):
            said = self._compose("down", "--volumes", "--remove-orphans", "--timeout", "1", check=False)
            if not self._left():
                return
            time.sleep(1)
        raise Failure(f"cannot remove {', '.join(self._left())}: {said}")

    def _left(self) -> list[str]:
        """Containers and networks of this mesh."""
        mine = f"--filter=label=com.docker.compose.project={PROJECT}"
        containers = run("docker", "ps", "--all", "--quiet", mine).split()
        return containers + run("docker", "network", "ls", "--quiet", mine).split()

    def states(self) -> dict[str, tuple[str, str]]:
        """The state of each container, by its service's name."""
        listed = run(
            "docker",
            "ps",
            "--all",
            f"--filter=label=com.docker.compose.project={PROJECT}",
            '--format={{.Label "com.docker.compose.service"}} {{.ID}} {{.State}}',
        )
        return {service: (container, state) for service, container, state in map(str.split, listed.splitlines())}

    def require_running(self) -> None:
        """Fails with the log of a container that has ended by itself."""
        ended = self.ended()
        if ended:
            raise Failure("\n".join(ended))

    def ended(self) -> list[str]:
        """Of each container that has ended, its name and the end of its log."""
        return [
            f"the container {service} has ended. Its log:\n{self.log_tail(service)}"
            for service, (_, state) in self.states().items()
            if state not in ("running", "created")
        ]

    def log_tail(self, service: str) -> str:
        return "\n".join(f"    {line}" for line in self.log(service).splitlines()[-LOG_TAIL_LINES:])

    def save_logs(self) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        for service in self.states():
            (LOGS / f"{service}.log").write_text(self.log(service))

    def log(self, service: str) -> str:
        """All that a container has said, also before it was started again."""
        container, _ = self.states()[service]
        return run("docker", "logs", container, errors=subprocess.STDOUT)

    def kill(self, *services: str) -> None:
        """Without a warning, as a process dies: its connections end at once, for their other sides, too."""
        # The last first: a proxy whose pod has lost its network before cannot end its connections, and who has one
        # of them waits for an answer until the route's timeout, which is another failure.
        for service in reversed(services):
            self._each("kill", [service])

    def start(self, *services: str) -> None:
        # One after the other: a proxy needs the network of its pod.
        for service in services:
            self._each("start", [service])

    def _each(self, action: str, services: Sequence[str]) -> None:
        states = self.states()
        run("docker", action, *(states[service][0] for service in services))

    def disconnect(self, service: str, network: str) -> None:
        run("docker", "network", "disconnect", f"{PROJECT}_{network}", self.states()[service][0])

    def connect(self, service: str, network: str, address: str) -> None:
        run("docker", "network", "connect", f"--ip={address}", f"{PROJECT}_{network}", self.states()[service][0])


def variables(images: dict[str, str]) -> dict[str, str]:
    """What the compose file leaves open."""
    east, west = free_networks(2)
    return {
        **images,
        "EAST": east,
        "WEST": west,
        "GENERATED": str(GENERATED),
        "MODULES": str(MODULES),
        "PROMETHEUS": str(PROMETHEUS),
    }
