"""What hostcalls add to the CPU time of a request: behind how the plugin reads attributes.

An access logger makes the calls that its configuration lists, after it has
recorded four metrics. Sets of attributes grow: each holds the smaller ones.
Elements of the plugin's own list are evaluated many times in one request, each in
a list of its own: they differ by less than one request differs from another.
"""

from collections.abc import Iterator, Sequence

from benches.load import paired, plot
from benches.load.mesh import Mesh, Variant
from benches.load.paired import Quartiles
from benches.load.per_request import LOADS, Rounds
from benches.load.proxy import Proxy
from benches.load.report import Part, Verdict
from benches.load.request_cpu import MODULES
from lab import plugins
from lab.processes import Processes
from lab.tree import Json

ROUNDS = 32
XDS = "xds.cluster_metadata.filter_metadata"
HOST = "xds.upstream_host_metadata.filter_metadata"
# What every request has here: as a read, as an element of a CEL list, and the same where it might be absent.
PRESENT = [
    ("response.code", "response.code", "has(response.code) ? response.code : 0"),
    ("response.flags", "response.flags", "has(response.flags) ? response.flags : 0"),
    ("request.duration", "request.duration", 'has(request.duration) ? request.duration : duration("0s")'),
    ("request.total_size", "request.total_size", "has(request.total_size) ? request.total_size : 0"),
    ("response.total_size", "response.total_size", "has(response.total_size) ? response.total_size : 0"),
    ("xds.cluster_name", "xds.cluster_name", 'has(xds.cluster_name) ? xds.cluster_name : ""'),
    ("xds.route_name", "xds.route_name", 'has(xds.route_name) ? xds.route_name : ""'),
    (
        f"{XDS}.istio.services.0.host",
        f"{XDS}.istio.services[0].host",
        (
            f'has(xds.cluster_metadata) && "istio" in {XDS} && "services" in {XDS}.istio'
            f' ? {XDS}.istio.services[0].host : ""'
        ),
    ),
    (
        f"{HOST}.istio.workload",
        f"{HOST}.istio.workload",
        (
            f'has(xds.upstream_host_metadata) && xds.upstream_host_metadata != null && "istio" in {HOST}'
            f' && "workload" in {HOST}.istio ? {HOST}.istio.workload : ""'
        ),
    ),
    (
        "request/headers/content-type",
        'request.headers["content-type"]',
        '"content-type" in request.headers ? request.headers["content-type"] : ""',
    ),
    ("request.host", "request.host", 'has(request.host) ? request.host : ""'),
]
ABSENT = [
    "upstream.uri_san_peer_certificate",
    "upstream.uri_san_local_certificate",
    "connection.uri_san_peer_certificate",
    "filter_state.nobody",
    "metadata.filter_metadata.nobody.key",
]
COUNTS = (1, 3, 5, 8, 11)
# Each in a list of its own, so often in one request; what is measured is one of these.
OFTEN = 20
OFTEN_NAMED = "alone-"
PEERS = ('"wasm.istio_stats.upstream_peer" in filter_state', '"upstream_peer" in filter_state')
ALONE = [
    *("", "1", "response.code", "response.flags", "xds.cluster_name", "xds.route_name"),
    *('request.headers["content-type"]', "request.duration", "request.total_size", "upstream.address"),
    *(*PEERS, "has(filter_state.upstream_peer)", ", ".join(PEERS), " || ".join(PEERS)),
    *("has(metadata.filter_metadata.istio_stats)", '"istio_stats" in metadata.filter_metadata'),
    *("has(upstream.tls_version)", f"{HOST}.istio.workload", f'{HOST}["istio"]["workload"]'),
]
# What the others are compared with: an access logger that only records.
BASE = ("records",)
# The module counts its steps at the first of so many requests.
SAMPLE = 1000


def run(effort: float) -> Part:
    count = max(4, round(ROUNDS * effort))
    plans = dict(all_variants())
    variants = list(plans)
    with Processes() as processes:
        mesh = Mesh(processes, "hostcalls", variants)
        rounds = Rounds(mesh, variants, count)
        check = check_steps(mesh.proxy, list(plans.values()), rounds.requests_per_variant)
    return report(variants, rounds, {"envoy": mesh.proxy.version, "rounds": count}, check)


def all_variants() -> Iterator[tuple[Variant, list[str]]]:
    """Variants, and the steps their loggers take."""
    yield Variant("none", "no access logger"), []
    lists = [("empty", "an empty access logger", []), ("records", "4 records", ["records"])]
    lists += [("headers", "4 records, all request headers", ["records", "headers"])]
    for count in COUNTS:
        singles, elements, guarded = zip(*PRESENT[:count], strict=True)
        forms = (
            ("single", "read singly", [f"get {path}" for path in singles]),
            ("cel", "in a CEL list", [f"cel [{', '.join(elements)}]"]),
            ("guarded", "in a CEL list, guarded", [f"cel [{', '.join(f'({one})' for one in guarded)}]"]),
        )
        lists += [(f"{name}-{count}", f"4 records, {count} {what}", ["records", *steps]) for name, what, steps in forms]
    reads = [f"get {path}" for path in ABSENT]
    lists += [("absent", f"4 records, {len(ABSENT)} single reads, absent", ["records", *reads])]
    for number, element in enumerate(ALONE):
        lists += [
            (f"{OFTEN_NAMED}{number}", f"one of {OFTEN}: [{element}]", ["records", *[f"cel [{element}]"] * OFTEN])
        ]
    for name, what, steps in lists:
        plugin = plugins.plugin("empty_logger", MODULES / "empty_logger.wasm", "bench", "\n".join(steps))
        yield Variant(name, what, loggers=(plugins.access_logger(plugin),)), steps


def check_steps(envoy: Proxy, plans: Sequence[Sequence[str]], requests: int) -> Verdict:
    """Every step did what it says, except to read what is absent."""
    samples = -(-requests // SAMPLE)
    failed = len(ABSENT) * samples
    done = sum(map(len, plans)) * samples - failed
    found = [sum(envoy.counters(f"bench_{name}$")) for name in ("failed_steps", "steps")]
    text = f"{failed} steps fail and {done} succeed"
    return Verdict(found == [failed, done], text if found == [failed, done] else f"{text}, but it was {found}")


def report(variants: Sequence[Variant], rounds: Rounds, about: Json, check: Verdict) -> Part:
    def quartiles(variant: Variant) -> list[Quartiles]:
        share = OFTEN if variant.name.startswith(OFTEN_NAMED) else 1
        added = [rounds.added(variant.name, load, BASE) for load in LOADS]
        return [paired.Quartiles.of([one / share for one in of_load]) for of_load in added]

    return Part(
        name="hostcalls",
        title="CPU time of hostcalls per request, added to 4 records, in µs: medians (quartiles)",
        columns=["access logger", *(load.name for load in LOADS)],
        rows=[[v.what, *(one.text(1) for one in quartiles(v))] for v in variants],
        about=about,
        raw=rounds.raw(),
        verdicts=[check],
        svg=plot.bars(
            "What hostcalls add to the CPU time of a request",
            "µs of the worker thread above 4 records, median and quartiles",
            [load.name for load in LOADS],
            [(v.what, quartiles(v)) for v in variants if not v.name.startswith(OFTEN_NAMED)],
        ),
    )
