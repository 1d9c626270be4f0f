"""What the proxies hold and use, read from outside while they run."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab import memory, threads
from lab.tree import Json
from tests.e2e.harness import forms
from tests.e2e.harness.envoy import Envoy

# Fields that hold bytes, and what they are.
MEMORY = {
    "anonymous": "memory that no file backs",
    "allocated": "Envoy's heap",
    "linear": "linear memory of the VMs",
}


@dataclass(frozen=True)
class Reading:
    """Of one proxy at one moment."""

    worker_seconds: float
    anonymous: int
    allocated: int
    linear: int
    vms: int
    series: int
    overflown: int


@dataclass(frozen=True)
class Sample:
    """Of all of them, and how much they had done by then."""

    seconds: float
    client_seconds: float
    sent: int
    configurations: int
    proxies: dict[str, Reading]

    def of(self, proxy: str, gauge: str) -> float:
        return getattr(self.proxies[proxy], gauge)

    def as_json(self) -> Json:
        return {**vars(self), "proxies": {name: vars(one) for name, one in self.proxies.items()}}

    def text(self) -> str:
        def of(name: str, one: Reading) -> str:
            sizes = ", ".join(f"{field} {getattr(one, field) / (1 << 20):.1f}" for field in MEMORY)
            return f"{name}: MiB {sizes}; series {one.series}, overflown {one.overflown}"

        proxies = "; ".join(of(name, one) for name, one in self.proxies.items())
        return f"{self.seconds / 60:6.1f} min, {self.sent} sent, {self.configurations} configurations; {proxies}"


def read(envoy: Envoy) -> Reading:
    linear = memory.linear_memories(envoy.pid)
    return Reading(
        worker_seconds=_worker_seconds(envoy),
        anonymous=memory.anonymous_bytes(envoy.pid),
        allocated=envoy.allocated_bytes(),
        linear=sum(linear),
        vms=len(linear),
        **_series(envoy),
    )


def _series(envoy: Envoy) -> dict[str, int]:
    namespace = forms.stat_namespace()
    found = envoy.stats(rf"^{namespace}\.istio_stats_series(_overflow_total)?$")
    names = {"series": "istio_stats_series", "overflown": "istio_stats_series_overflow_total"}
    return {field: found.get(f"{namespace}.{name}", 0) for field, name in names.items()}


def _worker_seconds(envoy: Envoy) -> float:
    """CPU time of the workers; configurations cost the main thread."""
    return sum(threads.cpu_seconds(envoy.pid, thread) for thread in threads.named(envoy.pid, "wrk:"))


def cpu_per_request(samples: Sequence[Sample], proxy: str) -> list[tuple[float, float, float]]:
    """At each sample since the one before: seconds, µs of the workers, and of the clients.

    The clients do the same all the time: what they need more than before, the machine is slower.
    """

    def spent(before: Sample, after: Sample) -> tuple[float, float, float]:
        sent = after.sent - before.sent
        workers = after.of(proxy, "worker_seconds") - before.of(proxy, "worker_seconds")
        return after.seconds, 1e6 * workers / sent, 1e6 * (after.client_seconds - before.client_seconds) / sent

    return [spent(before, after) for before, after in pairwise(samples) if after.sent > before.sent]
