"""What `istio-stats doctor` finds in a running Envoy."""

from collections.abc import Sequence
from typing import Any

from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness import clients
from tests.e2e.harness.command import read_json
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import headers
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.workloads import SHOP, Workload


def diagnose(envoy: Envoy, *codes: str, seconds: float = 0, hints: Sequence[str] = ()) -> dict[str, Json]:
    """Looks at an Envoy's admin interface; finds exactly these problems and hints. Returns findings by code."""
    return diagnose_url(envoy.admin_url, *codes, seconds=seconds, hints=hints)


def diagnose_url(
    url: str, *codes: str, seconds: float = 0, hints: Sequence[str] = (), options: Sequence[str] = ()
) -> dict[str, Json]:
    found = read_json("doctor", url, "--seconds", seconds, *options, status=1 if codes else 0)
    assert found["healthy"] == (not codes)
    by_code = {finding["code"]: finding for finding in found["findings"]}
    assert len(by_code) == len(found["findings"]), found
    severities = {code: finding["severity"] for code, finding in by_code.items()}
    assert severities == {**dict.fromkeys(codes, "problem"), **dict.fromkeys(hints, "hint")}, found
    return by_code


def pasted(finding: Json) -> str:
    """All that a finding says to paste."""
    return "\n".join(paste["lines"] for paste in finding["paste"])


def call(
    envoy: Envoy, port: int, times: int = 3, path: str = "/", peer: Workload | None = SHOP, count: bool = True
) -> None:
    """Requests whose peer says who it is, and waits until they are counted."""
    more = headers(peer) if peer else {}
    with clients.http1(port) as caller:
        for _ in range(times):
            caller.get(path, headers=more)
    if count:
        await_counted(envoy, times)


def serve(mesh: Mesh, sidecar: Runnable, **calls: Any) -> Envoy:
    """Starts a proxy and calls it; returns its Envoy."""
    port = mesh.start(sidecar)
    call(mesh[sidecar.name], port, **calls)
    return mesh[sidecar.name]


def await_counted(envoy: Envoy, times: int) -> None:
    """Waits for so many requests, under whatever name."""
    wait_until(lambda: sum(envoy.stats(r"_requests_total$").values()) == times, f"{times} requests counted")
