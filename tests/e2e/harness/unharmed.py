"""What no attack may change, whatever it is."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from lab.memory import resident_bytes
from lab.metrics import Labels
from lab.waiting import wait_until
from tests.e2e.harness import envoy_log, golden, tcp_families
from tests.e2e.harness.envoy import Envoy

LEGITIMATE = 3
# The allocators of Envoy and V8 keep some of what they used; of hundreds of connections at once that is 9 MB.
MOST_BYTES = 16_000_000
# One for each attack would be a way to fill a disk.
MOST_LOG_LINES = 3

_ABOUT_ITSELF = {
    "istio_build": {"component", "tag"},
    "istio_stats_build": {"component", "tag"},
    "istio_stats_series": set(),
    "istio_stats_series_overflow_total": set(),
    "istio_stats_series_refused_total": set(),
    "istio_stats_peer_decode_errors_total": {"reason"},
}
# How the labels begin that a proxy knows by itself, if it reports as this.
_OWN = {"source": "source_", "destination": "destination_"}
# These are named by the upstream cluster, the host or a certificate.
_SERVICE, _PRINCIPAL = "destination_service", "_principal"


@dataclass(frozen=True)
class Target:
    """A running proxy that is going to be attacked."""

    envoy: Envoy
    # A legitimate request or connection; fails if it does not get what it wants.
    serve: Callable[[], object]
    # The labels of its series.
    labels: Labels
    # How many requests or connections Envoy itself saw the end of.
    ended: Callable[[], int]
    # The metric that counts each of them once.
    counter: str
    # Of each metric the names of its labels.
    names: Mapping[str, Collection[str]]


def http(envoy: Envoy, serve: Callable[[], object], side: str, dimensions: Iterable[str] = ()) -> Target:
    """A proxy that does HTTP, whose legitimate requests are those of golden/http.yaml."""
    counter = "istio_requests_total"
    ((labels, _),) = golden.load("http.yaml")[side][counter].series.items()
    counts = f"http.{side}.downstream_rq_"
    # Has every metric.
    families = golden.load("grpc_unary.yaml")[side].items()
    names = {name: {label for label, _ in next(iter(family.series))} | set(dimensions) for name, family in families}

    def ended() -> int:
        found = envoy.stats(rf"^{re.escape(counts)}(total|active)$")
        return found[f"{counts}total"] - found[f"{counts}active"]

    return Target(envoy, serve, dict(labels), ended, counter, names)


def tcp(envoy: Envoy, serve: Callable[[], object], side: str) -> Target:
    """A proxy that does TCP, whose legitimate connections have the labels of this side."""
    labels = tcp_families.label_sets()[side]
    names = dict.fromkeys(tcp_families.FAMILIES, labels.keys())

    def ended() -> int:
        return sum(envoy.stats(r"^listener\.127\.0\.0\.1_\d+\.downstream_cx_destroy$").values())

    return Target(envoy, serve, labels, ended, "istio_tcp_connections_closed_total", names)


@contextmanager
def unharmed(target: Target, most_label_sets: int = 50, headless: int = 0) -> Iterator[None]:
    """What is sent in the context leaves the proxy as it was.

    It serves, and counts each request or connection once; its VMs are those that it had; its log and its memory do not
    grow; no metric has a name or a label of its own, and what nobody outside chooses stands in each series.

    `headless`: requests that Envoy counts, though it never had or refused a head of theirs: it tells no filter of them.
    """
    target.serve()
    _await_counted(target, legitimate=1)
    envoy = target.envoy
    vms = _vms(envoy)
    lines, memory = len(envoy_log.entries(envoy.log())), resident_bytes(envoy.pid)
    yield
    for _ in range(LEGITIMATE):
        target.serve()
    _await_counted(target, 1 + LEGITIMATE, headless)
    assert _vms(envoy) == vms
    _check_names(target, most_label_sets)
    said = envoy_log.entries(envoy.log())[lines:]
    assert len(said) <= MOST_LOG_LINES, "\n".join(map(str, said))
    grown = resident_bytes(envoy.pid) - memory
    print(f"{envoy.name}: {grown / 1e6:+.1f} MB, {len(said)} lines in its log")
    assert grown < MOST_BYTES


def _await_counted(target: Target, legitimate: int, headless: int = 0) -> None:
    """Waits until everything is counted, and as much of it as legitimate as was."""

    def counted() -> tuple[float, float]:
        family = target.envoy.families().get(target.counter)
        series = family.series if family else {}
        of_peer = sum(value for labels, value in series.items() if wanted.items() <= dict(labels).items())
        return sum(series.values()), of_peer

    def told() -> bool:
        return counted() == (target.ended() - headless, legitimate)

    wanted = {label: value for label, value in target.labels.items() if not label.startswith(_SERVICE)}
    try:
        wait_until(told, target.counter)
    except TimeoutError:
        found, ended = counted(), target.ended() - headless
        raise AssertionError(f"{target.counter} in all and legitimate: {found}, of {ended} and {legitimate}") from None


def _vms(envoy: Envoy) -> dict[str, int]:
    """Envoy's own account: VMs there are, VMs that were made, VMs that were loaded again."""
    return envoy.stats(r"^wasm\.")


def _check_names(target: Target, most_label_sets: int) -> None:
    own = {label: value for label, value in target.labels.items() if _is_own(label, target.labels["reporter"])}
    names = {**target.names, **_ABOUT_ITSELF}
    for name, family in target.envoy.families().items():
        assert name in names, f"{name} is no metric of ours"
        assert len(family.series) <= most_label_sets, f"{name} has {len(family.series)} series"
        for labels in map(dict, family.series):
            assert labels.keys() == names[name], f"{name}: {labels.keys() ^ names[name]}"
            assert name in _ABOUT_ITSELF or own.items() <= labels.items(), f"{name}: {labels}"


def _is_own(label: str, reporter: str) -> bool:
    if label.startswith(_SERVICE) or label.endswith(_PRINCIPAL):
        return False
    return label == "reporter" or label.startswith(_OWN[reporter])
