"""CPU time of a worker per HTTP request, for each kind of request that a proxy sees.

Each kind has an Envoy to itself, with a listener for each variant. What they add is added to the same
stream without telemetry, but with its exchange and its TLS.
"""

import statistics
from collections.abc import Iterator

from benches.load import envoy_stats, labels, paired
from benches.load.h2load import Load
from benches.load.mesh import Mesh, Variant, ours
from benches.load.per_request import LOADS, Rounds
from benches.load.report import Part, Verdict
from benches.load.request_cpu import bench_filter, floor
from benches.load.stream import (
    CLIENT_IDENTITY,
    SERVER_IDENTITY,
    SOURCE,
    Stream,
    client,
    headers_of_peer,
    our_exchange,
    server,
    stock_exchange,
)
from lab import plugins
from lab.metrics import Labels
from lab.processes import Processes
from lab.tree import Json

ROUNDS = 24
STEADY = Load("50 a second", 1, 25, 50)
ALL_LOADS = (*LOADS, STEADY)
# Variant, what it is compared with, the most its cost may be of that one's.
TARGETS = (("logger", "floor", 1.15), ("logger", "envoy-stats", 1.1), ("filter", "reference", 0.45))
RECORDING = ("reference", "envoy-stats", "filter", "logger")


def run(effort: float) -> Part:
    count = max(4, round(ROUNDS * effort))
    measured = {}
    for stream in all_streams():
        with Processes() as processes:
            variants = all_variants(stream)
            mesh = Mesh(processes, f"stream-{stream.name}", variants)
            rounds = Rounds(mesh, variants, count, ALL_LOADS)
            measured[stream] = (rounds, check(mesh, variants, rounds.requests_per_variant))
    return report(measured, {"envoy": mesh.proxy.version, "rounds": count})


def all_streams() -> list[Stream]:
    destination = {
        "reporter": "destination",
        **labels.workload("destination", client()["metadata"]),
        "connection_security_policy": "none",
    }
    unknown = dict.fromkeys(labels.workload("source", client()["metadata"]), "unknown")
    nobody = {**unknown, "source_canonical_revision": "latest"}
    identities = {"source_principal": CLIENT_IDENTITY, "destination_principal": SERVER_IDENTITY}
    inbound: Json = {"direction": "INBOUND", "root_id": "stats_inbound", "described": False}
    return [
        SOURCE,
        Stream("no-route", "the same, its route without a name", route_name=""),
        Stream("source-exchange", "source, the peer known by Envoy's filters", filters=stock_exchange(), answered=True),
        Stream(
            "mutual-tls",
            "the same over mutual TLS",
            filters=stock_exchange(),
            answered=True,
            mutual_tls=True,
            labels=identities,
        ),
        Stream("destination", "destination, its client plain", **inbound, labels={**destination, **nobody}),
        Stream(
            "destination-exchange",
            "destination, the peer known by our exchange",
            **inbound,
            filters=our_exchange("stats_inbound"),
            headers=headers_of_peer(),
            labels={**destination, **labels.workload("source", server()["metadata"])},
        ),
        Stream(
            "gateway",
            "gateway: no direction, the request's host names the service",
            direction="UNSPECIFIED",
            root_id="",
            named_service=False,
        ),
    ]


def all_variants(stream: Stream) -> list[Variant]:
    filters = (plugins.http_filter(ours("istio_stats", stream.root_id, "filter")),)
    loggers = (plugins.access_logger(ours("istio_stats", stream.root_id, "logger")),)
    return [
        Variant("none", "no telemetry", stream=stream),
        floor(stream),
        envoy_stats.variant(stream),
        Variant("logger", "istio_stats, access logger", loggers=loggers, stream=stream),
        Variant("reference", "reference plugin", filters=(bench_filter("reference"),), stream=stream),
        Variant("filter", "istio_stats, filter", filters=filters, stream=stream),
    ]


def check(mesh: Mesh, variants: list[Variant], requests: int) -> Verdict:
    def said(variant: Variant) -> Labels:
        return envoy_stats.said(variant) if variant.name == "envoy-stats" else labels.expected(variant)

    # The reference plugin is that of a source, and knows no exchange.
    recording = [v for v in variants if v.name in RECORDING and v.name != "reference"]
    return labels.check(mesh.proxy, {v: (requests, said(v)) for v in recording})


# === reporting


def report(measured: dict[Stream, tuple[Rounds, Verdict]], about: Json) -> Part:
    verdicts = [Verdict(one.reached, f"{stream.name}: {one.text}") for stream, (_, one) in measured.items()]
    for stream, (rounds, _) in measured.items():
        verdicts += _targets(stream, rounds)
    return Part(
        name="streams",
        title="CPU time of the worker per request in µs, added to no telemetry: medians, and ratios of them",
        columns=[
            *("stream", "load", "no telemetry", "one list, 4 records", "Envoy's stats logger"),
            *("our logger", "of the list", "of Envoy's", "reference plugin", "our filter", "of the reference"),
        ],
        rows=[_row(stream, rounds, load) for stream, (rounds, _) in measured.items() for load in ALL_LOADS],
        about=about,
        raw={stream.name: rounds.raw() for stream, (rounds, _) in measured.items()},
        verdicts=verdicts,
    )


def _row(stream: Stream, rounds: Rounds, load: Load) -> list[str]:
    def added(name: str) -> float:
        return statistics.median(rounds.added(name, load, ("none",)))

    def text(name: str, *others: str) -> list[str]:
        mine = added(name)
        return [f"{mine:.1f}", *(f"{mine / added(other):.2f}" for other in others)]

    none = statistics.median(rounds.microseconds("none", load))
    return [
        *(stream.what, load.name, f"{none:.1f}", *text("floor"), *text("envoy-stats")),
        *(*text("logger", "floor", "envoy-stats"), *text("reference"), *text("filter", "reference")),
    ]


def _targets(stream: Stream, rounds: Rounds) -> Iterator[Verdict]:
    for load in ALL_LOADS:
        for name, other, most in TARGETS:
            mine, theirs = (rounds.added(one, load, ("none",)) for one in (name, other))
            ratio, interval = paired.ratio_of_medians(mine, theirs)
            yield Verdict.at_most(f"{stream.name}, {load.name}: {name} of {other}:", ratio, most, interval)
