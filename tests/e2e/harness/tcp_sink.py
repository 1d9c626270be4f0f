"""A statsd server: Envoy pushes its counters to it when it ends, when nobody can scrape
it any more."""

import re
import socket
import threading
from collections import Counter

from lab import bootstrap
from lab.tree import Json
from tests.e2e.harness.altered import Altered
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.tcp_families import FAMILIES, Counts


class Sink:
    """Adds up what one Envoy pushes."""

    def __enter__(self) -> "Sink":
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Room for all lines of a flush.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._counted: Counter[str] = Counter()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def attach(self, sidecar: Runnable) -> Altered:
        """The proxy, with an Envoy that pushes to this sink when it ends, and not before."""
        return Altered(sidecar, self._add_to)

    def _add_to(self, whole: Json) -> None:
        address = bootstrap.socket_address(*self._socket.getsockname())
        address["socket_address"]["protocol"] = "UDP"
        typed = {"@type": bootstrap.TYPE + "envoy.config.metrics.v3.StatsdSink", "address": address}
        whole["stats_sinks"] = [{"name": "envoy.stat_sinks.statsd", "typed_config": typed}]
        # As long as may be: Envoy leaves out the last flush if it ends amid another one.
        whole["stats_flush_interval"] = "299s"

    def counted(self) -> dict[str, int]:
        """What was pushed so far of each of the plugin's counters, over all series."""
        return {name: value for name, value in dict(self._counted).items() if name.startswith("istio_")}

    def totals(self) -> Counts:
        """The same of TCP."""
        counters = [(field, name) for name, (kind, field) in FAMILIES.items() if kind == "counter"]
        return Counts(**{field: self._counted[name] for field, name in counters})

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                lines = self._socket.recv(1 << 16).decode(errors="replace").splitlines()
            except TimeoutError:
                continue
            for line in lines:
                # A stat's whole name: labels, then the metric's name; of the native form the other way round.
                name, _, value = line.rpartition(":")
                if value.endswith("|c"):
                    metric = re.search(r"\bistio_[a-z_]+_total\b", name)
                    self._counted[metric.group() if metric else name] += int(value.removesuffix("|c"))
