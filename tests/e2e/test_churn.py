"""Listeners, filter chains, configurations and modules are replaced under load, and everything is counted once.

CHURN_SECONDS=60 goes on for a minute.
"""

import os
from collections import Counter
from collections.abc import KeysView
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from lab import bootstrap
from lab.memory import resident_bytes
from lab.tree import nodes
from lab.waiting import await_equal
from tests.e2e.harness import forms, sidecar, tcp, usual
from tests.e2e.harness.churn import STEADY, Churn, old_ones
from tests.e2e.harness.discovery import Delivered
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.load import Load
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.scrape import standard
from tests.e2e.harness.sidecar import Sidecar
from tests.e2e.harness.tcp import TcpSidecar
from tests.e2e.harness.workloads import STOCK_SERVICE

pytestmark = forms.BOTH

SECONDS = float(os.environ.get("CHURN_SECONDS", "15"))
# Changes of each kind, however long they take.
LEAST_OF_EACH = 2
# Until the connections of an old listener are cut. A gRPC client uses one until it is told of its end, which is
# when the next stream begins, so it takes two streams and some time.
DRAIN_SECONDS = 8
# Envoy's and V8's allocators keep what VMs had that are gone. Those of 40 modules, a minute's, would take 480 MB.
MAX_GROWTH_BYTES = 200_000_000
CREATED = "wasm.envoy.wasm.runtime.v8.created"
# The values of series by metric, reporter and protocol.
Counted = dict[tuple[str, str | None, str | None], list[float]]

REFUSALS = r"\.(update_rejected|config_fail|listener_create_failure)$|^wasm\..*\.vm_reload"


def _delivered(http: Sidecar, tcp_proxies: list[TcpSidecar], directory: Path) -> Delivered:
    http.stats["tcp_reporting_duration"] = "1s"
    for one in tcp_proxies:
        one.stats["tcp_reporting_duration"] = "1s"
    http.joined = list(tcp_proxies)
    http.workers = 2
    http.arguments = ("--drain-time-s", str(DRAIN_SECONDS), "--drain-strategy", "immediate")
    return Delivered(http, directory)


def _west(http_port: int, grpc_port: int, tcp_port: int, directory: Path) -> Delivered:
    routes = [bootstrap.route("/test.Stock/", "grpc"), bootstrap.route("/", sidecar.BACKEND)]
    http = sidecar.west(http_port, routes=routes)
    services = [STOCK_SERVICE]
    http.upstream_clusters.append(usual.upstream_cluster("grpc", [grpc_port], services, protocol="http2"))
    steady = tcp.west(tcp_port, name=STEADY)
    _name_anew(steady)
    return _delivered(http, [tcp.west(tcp_port, name="tcp"), steady], directory)


def _name_anew(one: TcpSidecar) -> None:
    """Of another port, its upstream cluster is of the same service."""
    (upstream_cluster,) = one.upstream_clusters
    upstream_cluster["name"] = upstream_cluster["name"].replace("5432", "5433")


def _east(west: Envoy, directory: Path) -> Delivered:
    http = sidecar.east(west.port("west"))
    for options in nodes(http.upstream_clusters):
        if "use_downstream_protocol_config" in options:
            # West cuts connections in the end, and must not do it while a request is on its way.
            options["common_http_protocol_options"] = {"idle_timeout": "1s"}
    steady = tcp.east(west.port(STEADY), name=STEADY)
    _name_anew(steady)
    return _delivered(http, [tcp.east(west.port("tcp"), name="tcp"), steady], directory)


def test_every_request_message_and_byte_is_counted(
    mesh: Mesh, backend: int, grpc_backend_port: int, doubler: int, tmp_path: Path
) -> None:
    west_proxy = _west(backend, grpc_backend_port, doubler, tmp_path / "west")
    west = mesh.run(west_proxy)
    east_proxy = _east(west, tmp_path / "east")
    east = mesh.run(east_proxy)
    proxies = {east: east_proxy, west: west_proxy}
    churns = [Churn(envoy, proxy, tmp_path / f"{envoy.name}.modules") for envoy, proxy in proxies.items()]
    before = {envoy: (old_ones(envoy), resident_bytes(envoy.pid)) for envoy in proxies}

    load = Load()
    http_jobs = [load.keep_alive, load.keep_alive, load.fresh, load.grpc, load.grpc]
    tcp_jobs = [load.tcp, load.tcp, load.tcp]
    jobs = [(job, east.port("east")) for job in http_jobs] + [(job, east.port("tcp")) for job in tcp_jobs]
    with load.running(*jobs, *[(load.tcp_all_along, east.port(STEADY))] * 2):
        for envoy in proxies:
            # A series that is new just when its module goes may be lost.
            _await_series(envoy, _wanted(envoy, load.done).keys())
            workers = envoy.stats(r"^listener\..*\.worker_\d+\.downstream_cx_total$")
            assert len(workers) == 2 and all(workers.values()), f"{envoy.name}: idle workers: {workers}"
        with ThreadPoolExecutor(len(churns)) as pool:
            made = dict(zip(before, pool.map(lambda churn: churn.go_on(SECONDS, LEAST_OF_EACH), churns), strict=True))

    for envoy, (none_old, memory) in before.items():
        # Once the last drain is over, nothing of old is left.
        await_equal(partial(old_ones, envoy), none_old, f"{envoy.name}: nothing old")
        await_equal(partial(_counted, envoy), _wanted(envoy, load.done), f"{envoy.name}: counted")
        assert not any(envoy.stats(REFUSALS).values())
        print(f"{envoy.name}: {dict(made[envoy])}, {envoy.stats(CREATED)}")
        growth = resident_bytes(envoy.pid) - memory
        print(f"{envoy.name}: {memory / 1e6:.0f} MB, {growth / 1e6:+.0f} MB afterwards")
        assert growth < MAX_GROWTH_BYTES
    print(dict(load.done))


def _counted(envoy: Envoy) -> Counted:
    """The values of all series, by metric, reporter and protocol."""
    found: Counted = {}
    for name, family in standard(envoy.families()).items():
        for labels, value in family.series.items():
            told = dict(labels)
            found.setdefault((name, told.get("reporter"), told.get("request_protocol")), []).append(value)
    return found


def _wanted(envoy: Envoy, done: Counter[str]) -> Counted:
    """One series each: who called whom was known all the time."""
    reporter = {"east": "source", "west": "destination"}[envoy.name]
    wanted: Counted = {("istio_build", None, None): [1]}
    for name in ("requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes"):
        wanted.update({(f"istio_{name}", reporter, protocol): [done[protocol]] for protocol in ("http", "grpc")})
    for name in ("request", "response"):
        wanted[f"istio_{name}_messages_total", reporter, None] = [done["messages"]]
    connections = {
        "connections_opened_total": done["connections"],
        "connections_closed_total": done["connections"],
        "connection_duration_milliseconds": done["connections"],
        "received_bytes_total": done["bytes"],
        "sent_bytes_total": 2 * done["bytes"],
    }
    return wanted | {(f"istio_tcp_{name}", reporter, "tcp"): [value] for name, value in connections.items()}


def _await_series(envoy: Envoy, keys: KeysView[Any]) -> None:
    await_equal(lambda: _counted(envoy).keys(), keys, f"{envoy.name}: every series")
