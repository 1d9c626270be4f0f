"""Ports of this machine."""

import socket
from contextlib import ExitStack

from lab.failure import Failure


def free_ports(count: int) -> list[int]:
    """Different ones that nobody has now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def require_free(port: int, purpose: str) -> None:
    with socket.socket() as probe:
        # As Envoy does: a connection of the last run that lingers is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failure(
                f"port {port} of 127.0.0.1 is taken ({error.strerror}), and is needed for {purpose}. "
                f"To see who has it: ss -ltnp 'sport = :{port}'"
            ) from error


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
