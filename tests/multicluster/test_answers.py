"""What the federating Prometheus answers about traffic between and within the Kubernetes clusters."""

from bisect import bisect_left
from functools import partial

import pytest

from tests.multicluster.conftest import Window
from tests.multicluster.mesh import expect
from tests.multicluster.mesh.accounts import FRONTENDS, LABELS
from tests.multicluster.mesh.envoy import FOREIGN
from tests.multicluster.mesh.expect import Values
from tests.multicluster.mesh.pods import KUBERNETES_CLUSTERS
from tests.multicluster.mesh.prometheus import Prometheus, Series
from tests.multicluster.mesh.running import Mesh
from tests.multicluster.mesh.traffic import ENTRY, FOREIGN_PEERS, RECEIPT, TRIED_HOSTS

pytestmark = pytest.mark.usefixtures("traffic")

PAIR = "source_cluster, destination_cluster"
PAIRS = {(source, destination) for source in KUBERNETES_CLUSTERS for destination in KUBERNETES_CLUSTERS}
REPORTERS = ("source", "destination")


def by_pair(federated: Prometheus, expression: str, time: float | None = None) -> dict[tuple[str, ...], float]:
    """Values by the two Kubernetes clusters."""
    found = federated.by(f"sum by ({PAIR}) ({expression})", *PAIR.split(", "), time=time)
    return {pair: value for pair, value in found.items() if "unknown" not in pair}


@pytest.mark.parametrize("metric", ["istio_requests_total", "istio_request_duration_milliseconds_count"])
@pytest.mark.parametrize("reporter", REPORTERS)
def test_each_side_counts_every_request_once(mesh: Mesh, federated: Prometheus, reporter: str, metric: str) -> None:
    selector = f'{metric}{{reporter="{reporter}", {FRONTENDS}}}'
    expect.equal(
        f"{metric} of the {reporter}s",
        lambda: federated.by(f"sum by ({', '.join(LABELS)}) ({selector})", *LABELS),
        mesh.account.requests_of(reporter),
    )


@pytest.mark.parametrize("reporter", REPORTERS)
def test_each_side_counts_grpc_messages(mesh: Mesh, federated: Prometheus, reporter: str) -> None:
    for metric, wanted in (
        ("istio_request_messages_total", mesh.account.messages_sent),
        ("istio_response_messages_total", mesh.account.messages_received),
    ):
        expect.equal(metric, partial(by_pair, federated, f'{metric}{{reporter="{reporter}"}}'), wanted)


@pytest.mark.parametrize("reporter", REPORTERS)
def test_each_side_counts_tcp_connections_and_their_bytes(mesh: Mesh, federated: Prometheus, reporter: str) -> None:
    for metric, wanted in (
        ("istio_tcp_connections_opened_total", mesh.account.connections),
        ("istio_tcp_connections_closed_total", mesh.account.connections),
        ("istio_tcp_connection_duration_milliseconds_count", mesh.account.connections),
        ("istio_tcp_received_bytes_total", mesh.account.bytes(ENTRY)),
        ("istio_tcp_sent_bytes_total", mesh.account.bytes(RECEIPT)),
    ):
        expect.equal(metric, partial(by_pair, federated, f'{metric}{{reporter="{reporter}"}}'), wanted)


def test_federation_adds_up_what_both_have(mesh: Mesh, federated: Prometheus) -> None:
    for metric in ("istio_requests_total", "istio_tcp_sent_bytes_total"):
        expect.equal(
            f"{metric} by the Prometheus that scraped it",
            partial(federated.by, f"sum by (cluster) ({metric})", "cluster"),
            {(one,): mesh.prometheis[f"{one}-prometheus"].by(f"sum({metric})")[()] for one in KUBERNETES_CLUSTERS},
        )


@pytest.mark.parametrize("reporter", REPORTERS)
def test_request_rates(mesh: Mesh, federated: Prometheus, traffic: Window, reporter: str) -> None:
    rate = f'rate(istio_requests_total{{reporter="{reporter}", {FRONTENDS}}}[{traffic.seconds:.0f}s])'
    wanted = {pair: mesh.account.rate(mesh.account.answer_times(pair), traffic) for pair in PAIRS}
    expect.close("requests per second", by_pair(federated, rate, time=traffic.end), wanted, 0.2)


@pytest.mark.parametrize("reporter", REPORTERS)
def test_tcp_throughput(mesh: Mesh, federated: Prometheus, traffic: Window, reporter: str) -> None:
    for metric, message in (("istio_tcp_received_bytes_total", ENTRY), ("istio_tcp_sent_bytes_total", RECEIPT)):
        rate = f'rate({metric}{{reporter="{reporter}"}}[{traffic.seconds:.0f}s])'
        wanted = {pair: len(message) * mesh.account.rate(mesh.account.entries[pair], traffic) for pair in PAIRS}
        expect.close(f"{metric} per second", by_pair(federated, rate, time=traffic.end), wanted, 0.2)


def test_error_ratios(mesh: Mesh, federated: Prometheus) -> None:
    selector = f'istio_requests_total{{reporter="source", {FRONTENDS}%s}}'
    failed, all_requests = (f"sum by ({PAIR}) ({selector % condition})" for condition in (', response_code=~"5.."', ""))
    sent, broken = dict.fromkeys(PAIRS, 0), dict.fromkeys(PAIRS, 0)
    for request, count in mesh.account.requests.items():
        if request.destination:
            sent[request.pair] += count
            broken[request.pair] += count if request.code.startswith("5") else 0
    ratios = federated.by(f"{failed} / {all_requests}", *PAIR.split(", "))
    expect.close("5xx per request", ratios, {pair: broken[pair] / sent[pair] for pair in PAIRS}, 1e-9)


def test_latency_quantiles(mesh: Mesh, federated: Prometheus) -> None:
    """Those of the caller's proxy lie between the callee's and what the caller measured, up to the buckets' width."""
    bounds = sorted(
        float(bound) for (bound,) in federated.by("count by (le) (istio_request_duration_milliseconds_bucket)", "le")
    )

    def quantiles(reporter: str, q: float) -> dict[tuple[str, ...], float]:
        buckets = f'istio_request_duration_milliseconds_bucket{{reporter="{reporter}", {FRONTENDS}}}'
        return by_pair(federated, f"histogram_quantile({q}, sum by (le, {PAIR}) ({buckets}))")

    def bucket(milliseconds: float) -> int:
        return bisect_left(bounds, milliseconds)

    last: Values = dict.fromkeys(PAIRS, 0.0)
    for q in (0.5, 0.9, 0.99):
        inner, outer = quantiles("destination", q), quantiles("source", q)
        assert outer.keys() == inner.keys() == PAIRS
        for pair in PAIRS:
            measured = sorted(milliseconds for _, milliseconds in mesh.account.answers[pair])
            upper = measured[min(len(measured) - 1, int(q * len(measured)))]
            # A proxy that waits for its turn writes the end down a little late, into the next bucket at most.
            assert bucket(inner[pair]) <= bucket(outer[pair]) + 1, (q, pair, inner[pair], outer[pair])
            assert bucket(outer[pair]) <= bucket(upper) + 1, (q, pair, outer[pair], upper)
            assert outer[pair] >= last[pair]
        last = outer
    # A quarter of the application's answers take 35 ms and more.
    assert min(last.values()) > 25, last


def test_mutual_tls_goes_from_end_to_end(federated: Prometheus) -> None:
    labels = (*PAIR.split(", "), "source_principal", "destination_principal", "connection_security_policy")
    for metric in ("istio_requests_total", "istio_tcp_connections_opened_total"):
        service = "reviews" if metric == "istio_requests_total" else "ledger"
        found = federated.by(f'sum by ({", ".join(labels)}) ({metric}{{reporter="destination", {FRONTENDS}}})', *labels)
        principals = tuple(f"spiffe://shop-mesh/ns/shop/sa/{app}" for app in ("frontend", service))
        assert found.keys() == {(*pair, *principals, "mutual_tls") for pair in PAIRS}


def test_both_versions_answer_in_both_kubernetes_clusters(federated: Prometheus) -> None:
    labels = ("destination_cluster", "destination_workload", "destination_version", "destination_canonical_revision")
    found = federated.by(
        f'sum by ({", ".join(labels)}) (istio_requests_total{{destination_service_name="reviews", {FRONTENDS}}})',
        *labels,
    )
    assert found.keys() == {(one, f"reviews-{v}", v, v) for one in KUBERNETES_CLUSTERS for v in ("v1", "v2")}


# Which Kubernetes cluster answers nobody can know when nobody, or a stranger, answers.
UNKNOWN = {
    "nowhere.test": "a host that the frontend's proxy has no route for",
    FOREIGN: "a peer that says nonsense about itself",
    "tried-[0-9]+.test": "a host that the gateway has no route for",
}


def test_the_kubernetes_cluster_is_unknown_only_where_it_must_be(federated: Prometheus) -> None:
    everything = '__name__=~"istio_.*", __name__!~"istio_build|istio_stats_.*"'
    assert names(federated.query(f'{{{everything}, source_cluster=~"unknown|"}}')) == set()
    expected = "|".join(UNKNOWN)
    assert (
        names(federated.query(f'{{{everything}, destination_cluster=~"unknown|", destination_service!~"{expected}"}}'))
        == set()
    )
    for host, reason in UNKNOWN.items():
        assert federated.query(
            f'istio_requests_total{{destination_cluster="unknown", destination_service=~"{host}"}}'
        ), reason


def names(found: list[Series]) -> set[tuple[str, str | None]]:
    return {(series.labels["__name__"], series.labels.get("destination_service")) for series in found}


def test_hosts_that_clients_try_end_in_the_overflow(federated: Prometheus) -> None:
    tried = 'sum by (source_cluster) (istio_requests_total{source_workload="gateway-v1", destination_service=~"%s"})'
    overflow = federated.by(tried % "overflow", "source_cluster")
    kept = federated.by(tried % "tried-.*", "source_cluster")
    assert {one: overflow[one] + kept[one] for one in overflow} == {(one,): TRIED_HOSTS for one in KUBERNETES_CLUSTERS}
    counted = federated.by("sum by (cluster) (istio_stats_series_overflow_total)", "cluster")
    assert counted == overflow


def test_mistakes_of_a_configuration_are_counted(federated: Prometheus) -> None:
    found = federated.by("sum by (cluster, pod) (istio_stats_config_errors)", "cluster", "pod")
    assert found == {(one, "gateway-v1-0"): 1 for one in KUBERNETES_CLUSTERS}


def test_peers_that_cannot_be_decoded_are_counted(federated: Prometheus) -> None:
    found = federated.by("sum by (cluster, reason) (istio_stats_peer_decode_errors_total)", "cluster", "reason")
    assert found == {(one, "base64"): FOREIGN_PEERS for one in KUBERNETES_CLUSTERS}
