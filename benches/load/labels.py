"""What the metrics must say at the end of a run: if they do not, its figures are worth nothing."""

from collections.abc import Iterator, Mapping

from benches.load.mesh import Variant, service_host
from benches.load.proxy import Proxy
from benches.load.report import Verdict
from benches.load.stream import ENDPOINT, client, server
from lab import metrics
from lab.metrics import Labels, Snapshot
from lab.tree import Json
from lab.waiting import leftovers

HISTOGRAMS = (
    "istio_request_duration_milliseconds",
    "istio_request_bytes",
    "istio_response_bytes",
)


# Of each variant how many requests with which labels.
Wanted = Mapping[Variant, tuple[int, Labels]]


def expected(variant: Variant) -> Labels:
    """All labels of a variant's requests."""
    return {
        "reporter": "source",
        **workload("source", client()["metadata"]),
        **(workload("destination", server()["metadata"]) if variant.stream.answered else _endpoint()),
        "source_principal": "unknown",
        "destination_principal": "unknown",
        "destination_service": service_host(variant),
        "destination_service_name": variant.name if variant.stream.named_service else service_host(variant),
        "destination_service_namespace": "shop",
        "request_protocol": "http",
        "response_flags": "-",
        "connection_security_policy": "unknown",
        "response_code": "200",
        "grpc_response_status": "",
        **variant.stream.labels,
    }


def workload(side: str, node: Json) -> Labels:
    """What is known of a workload whose node tells all."""
    meta = node["LABELS"]
    return {
        f"{side}_workload": node["WORKLOAD_NAME"],
        f"{side}_workload_namespace": node["NAMESPACE"],
        f"{side}_app": meta["app"],
        f"{side}_version": meta["version"],
        f"{side}_canonical_service": meta["service.istio.io/canonical-name"],
        f"{side}_canonical_revision": meta["service.istio.io/canonical-revision"],
        f"{side}_cluster": node["CLUSTER_ID"],
    }


def _endpoint() -> Labels:
    return {
        "destination_workload": ENDPOINT["workload"],
        "destination_workload_namespace": ENDPOINT["namespace"],
        "destination_app": "unknown",
        "destination_version": "unknown",
        "destination_canonical_service": ENDPOINT["canonical_service"],
        "destination_canonical_revision": ENDPOINT["canonical_revision"],
        "destination_cluster": ENDPOINT["cluster_id"],
    }


def check(proxy: Proxy, wanted: Wanted) -> Verdict:
    """The verdict on what the metrics say."""
    # Histograms are flushed every 5 s, and a new series may take a while.
    if wrong := leftovers(lambda: _differences(proxy.metrics(), wanted)):
        return Verdict(False, "the metrics say what was sent; but\n  " + "\n  ".join(wrong))
    return Verdict(True, "the metrics say what was sent, every request with every label")


def _differences(snapshot: Snapshot, wanted: Wanted) -> Iterator[str]:
    for variant, (requests, labels) in wanted.items():
        for name in (metrics.REQUESTS, *(f"{histogram}_count" for histogram in HISTOGRAMS)):
            series = [s for s in snapshot.series(name) if s[0].get("destination_service") == service_host(variant)]
            if series != [(labels, requests)]:
                yield f"{name} of {variant.name}: {_difference(series, labels, requests)}"


def _difference(series: list[tuple[Labels, float]], labels: Labels, requests: int) -> str:
    found = [f"{count:.0f} with {_differing(found, labels) or 'these labels'}" for found, count in series]
    return f"of {requests} requests " + ("; ".join(found) or "none")


def _differing(found: Labels, labels: Labels) -> str:
    keys = sorted({*labels, *found})
    return ", ".join(f"{key} {found.get(key)!r}" for key in keys if found.get(key) != labels.get(key))
