"""What survives a change of configuration or module, and what cannot, as docs/install.md and docs/native.md say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import bootstrap
from lab.tree import Json, plugins
from lab.waiting import await_equal, wait_until
from tests.e2e.harness import clients, forms, sidecar, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.churn import Churn, old_ones
from tests.e2e.harness.discovery import Delivered
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.forms import Lacks
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA
from tests.e2e.harness.requests import send
from tests.e2e.harness.tcp import TcpSidecar
from tests.e2e.harness.tcp_families import Counts, await_totals

pytestmark = forms.BOTH

ANSWER = [bootstrap.direct_response("/", 200)]
DRAIN = ("--drain-time-s", "2", "--drain-strategy", "immediate")
FAMILIES = ("istio_requests_total", "istio_request_duration_milliseconds")


class Proxy:
    """A proxy that answers itself, and what is done to it."""

    def __init__(self, mesh: Mesh, directory: Path, apart: bool = True, **changes: Any) -> None:
        proxy = sidecar.west(1, routes=ANSWER, workers=2, arguments=DRAIN, **changes)
        self.delivered = Delivered(proxy, directory / "west", apart)
        self.envoy = mesh.run(self.delivered)
        self.churn = Churn(self.envoy, self.delivered, directory / "modules")
        self._none_old = old_ones(self.envoy)

    def call(self, times: int) -> None:
        for _ in range(times):
            with clients.http1(self.envoy.port("west")) as caller:
                assert caller.get("/").status_code == 200

    def expect(self, total: int) -> None:
        """Waits until so many requests are counted, in a counter and in a histogram."""
        wanted = dict.fromkeys(FAMILIES, total)
        await_equal(self.counted, wanted, "counted")

    def counted(self) -> dict[str, float]:
        families = self.envoy.families()
        return {name: sum(families[name].series.values()) if name in families else 0 for name in FAMILIES}

    def call_and_expect(self, times: int, total: int) -> None:
        self.call(times)
        self.expect(total)

    def await_end_of_the_old(self) -> None:
        """Nothing is left that counted so far, and with it would go what only it has."""
        await_equal(lambda: old_ones(self.envoy), self._none_old, "nothing old")


def _replace_module_of_listeners(churn: Churn) -> None:
    churn.use_module_of_listeners("istio_stats", churn.another_build())


# The change, and whether the filters come apart from their listeners.
SURVIVED = {
    "configuration": (Churn.reconfigure, True),
    "listener": (Churn.replace_listeners, True),
    "filter_chain": (Churn.replace_filter_chains, True),
    "module": (Churn.replace_stats_module, True),
    "module_of_a_listener": (_replace_module_of_listeners, False),
}


@pytest.mark.parametrize("change, apart", SURVIVED.values(), ids=SURVIVED.keys())
def test_an_idle_proxy_goes_on_where_it_was(
    mesh: Mesh, tmp_path: Path, change: Callable[[Churn], None], apart: bool
) -> None:
    proxy = Proxy(mesh, tmp_path, apart)
    proxy.call_and_expect(6, total=6)
    for total in (9, 12):
        change(proxy.churn)
        proxy.await_end_of_the_old()
        proxy.expect(total - 3)
        proxy.call_and_expect(3, total)


def test_a_rollback(mesh: Mesh, tmp_path: Path) -> None:
    proxy = Proxy(mesh, tmp_path)
    proxy.call_and_expect(2, total=2)
    proxy.churn.replace_stats_module()
    proxy.await_end_of_the_old()
    proxy.call_and_expect(2, total=4)
    proxy.churn.use_module("istio_stats", forms.module("istio_stats").read_bytes())
    proxy.await_end_of_the_old()
    proxy.call_and_expect(2, total=6)


@forms.wasm_only(Lacks.TCP_ANOTHER_FILE)
def test_a_connection_is_counted_by_one_module_from_beginning_to_end(mesh: Mesh, doubler: int, tmp_path: Path) -> None:
    west = Delivered(tcp.west(doubler, workers=2), tmp_path / "west")
    envoy = mesh.run(west)
    churn = Churn(envoy, west, tmp_path / "modules")
    with traffic.connect(envoy.port("west")) as connection:
        for _ in range(3):
            traffic.exchange_words(connection, b"x" * 100)
            churn.replace_stats_module()
            traffic.converse(envoy.port("west"))
        await_totals(envoy, Counts(opened=4, closed=3, received=318, sent=636))
    await_totals(envoy, Counts(opened=4, closed=4, received=318, sent=636))


# Fewer than are taken over at once, however busy the machine is.
MANY = [{"host": f"shop-{number}.example"} for number in range(30)]


def test_many_label_sets(mesh: Mesh, tmp_path: Path) -> None:
    proxy = Delivered(sidecar.east(1, routes=ANSWER, services=()), tmp_path / "east")
    envoy = mesh.run(proxy)
    churn = Churn(envoy, proxy, tmp_path / "modules")
    for times in (1, 2):
        send(envoy.port("east"), MANY)
        _await_hosts(envoy, times)
        churn.replace_stats_module()
    _await_hosts(envoy, times)


def _await_hosts(envoy: Envoy, times: int) -> None:
    wanted = dict.fromkeys((one["host"] for one in MANY), times)
    await_equal(lambda: _by_host(envoy), wanted, "requests by host")


def _by_host(envoy: Envoy) -> dict[str, float]:
    family = envoy.families().get(FAMILIES[0])
    return {dict(labels)["destination_service"]: value for labels, value in family.series.items()} if family else {}


def _another_vm_id(proxy: Proxy) -> None:
    for plugin in plugins(proxy.delivered.filters, "istio_stats"):
        plugin["vm_config"]["vm_id"] = "another"
    proxy.churn.reconfigure()


LOST = {
    "another_vm_id": ({}, _another_vm_id),
    "define_in_place": ({"define_in_place": True}, lambda proxy: proxy.churn.replace_stats_module()),
}


@forms.wasm_only(Lacks.VM)
@pytest.mark.parametrize("stats, change", LOST.values(), ids=LOST.keys())
def test_an_idle_proxy_that_begins_anew(
    mesh: Mesh, tmp_path: Path, stats: Json, change: Callable[[Proxy], None]
) -> None:
    proxy = Proxy(mesh, tmp_path, stats={"attachment": "http", **stats})
    proxy.call_and_expect(6, total=6)
    change(proxy)
    proxy.await_end_of_the_old()
    proxy.expect(0)
    proxy.call_and_expect(3, total=3)


def test_what_the_plugin_counts_about_itself_begins_anew(mesh: Mesh, tmp_path: Path) -> None:
    proxy = Proxy(mesh, tmp_path)
    with clients.http1(proxy.envoy.port("west")) as caller:
        assert caller.get("/", headers={METADATA: "no base64"}).status_code == 200
    errors = "istio_stats_peer_decode_errors_total"
    wait_until(lambda: errors in proxy.envoy.families(), errors)
    proxy.expect(1)
    proxy.churn.replace_stats_module()
    proxy.await_end_of_the_old()
    proxy.expect(1)
    wait_until(lambda: errors not in proxy.envoy.families(), f"no {errors}")


def test_a_restart_begins_anew(mesh: Mesh, tmp_path: Path) -> None:
    for run in ("first", "second"):
        directory = tmp_path / run
        directory.mkdir()
        proxy = Proxy(mesh, directory)
        proxy.expect(0)
        proxy.call_and_expect(2, total=2)
        proxy.envoy.stop()


def test_a_hot_restart_begins_anew(mesh: Mesh, doubler: int) -> None:
    """Envoy's processes hand over sockets, and of counters only what is added meanwhile."""
    with traffic.reserved_port() as port:

        def west(epoch: int) -> TcpSidecar:
            restart = ("--base-id", str(port), "--restart-epoch", str(epoch), "--parent-shutdown-time-s", "3")
            return tcp.west(doubler, name=f"epoch-{epoch}", port=port, arguments=(*DRAIN, *restart))

        old = mesh.run(west(0))
        for _ in range(2):
            traffic.converse(port)
        await_totals(old, Counts(opened=2, closed=2, received=12, sent=24))
        new = mesh.run(west(1))
        # What the old process counted in its last moments is shown until it ends.
        await_totals(new, Counts())
        traffic.converse(port)
        await_totals(new, Counts(opened=1, closed=1, received=6, sent=12))
        # The new process tells it to; if it ended before that, nobody would.
        old.await_end()
        await_totals(new, Counts(opened=1, closed=1, received=6, sent=12))
