"""Envoy's own stats access logger, told to emit the four HTTP metrics with all labels."""

from benches.load import labels
from lab import bootstrap, metrics
from lab.metrics import Labels
from lab.tree import Json

# What is not the same for every request of a listener.
FORMATS = {
    "source_principal": "%UPSTREAM_LOCAL_URI_SAN%",
    "destination_principal": "%UPSTREAM_PEER_URI_SAN%",
    "destination_workload": "%METADATA(UPSTREAM_HOST:bench:workload)%",
    "destination_workload_namespace": "%METADATA(UPSTREAM_HOST:bench:namespace)%",
    "destination_canonical_service": "%METADATA(UPSTREAM_HOST:bench:canonical_service)%",
    "destination_canonical_revision": "%METADATA(UPSTREAM_HOST:bench:canonical_revision)%",
    "destination_cluster": "%METADATA(UPSTREAM_HOST:bench:cluster_id)%",
    "destination_service": "%METADATA(CLUSTER:bench:host)%",
    "destination_service_name": "%METADATA(CLUSTER:bench:name)%",
    "destination_service_namespace": "%METADATA(CLUSTER:bench:namespace)%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code": "%RESPONSE_CODE%",
    "grpc_response_status": "%GRPC_STATUS_NUMBER%",
}
# What the logger says where there is nothing.
ABSENT = {"source_principal": "", "destination_principal": ""}
VALUES = ("%DURATION%", "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", "%DOWNSTREAM_WIRE_BYTES_SENT%")
# Prometheus shows names below it as Wasm's, without a prefix.
PREFIX = "wasmcustom"


def logger(variant_labels: Labels) -> Json:
    tags = [{"name": name, "value_format": FORMATS.get(name, value)} for name, value in variant_labels.items()]

    def stat(name: str) -> Json:
        return {"stat": {"name": name, "tags": tags}}

    return bootstrap.extension(
        "access_loggers.stats.v3.Config",
        stat_prefix=PREFIX,
        counters=[{**stat(metrics.REQUESTS), "value_fixed": 1}],
        histograms=[
            {**stat(name), "value_format": value} for name, value in zip(labels.HISTOGRAMS, VALUES, strict=True)
        ],
    )
