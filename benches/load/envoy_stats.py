"""Envoy's own stats access logger, told to emit the four HTTP metrics with all labels."""

from dataclasses import replace

from benches.load import labels
from benches.load.mesh import Variant
from benches.load.stream import SOURCE, Stream
from lab import bootstrap, metrics
from lab.metrics import Labels
from lab.tree import Json

# Of what is not the same for every request of a listener. Who the client is (by an exchange) it has to be told.
ALWAYS = {
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code": "%RESPONSE_CODE%",
    "grpc_response_status": "%GRPC_STATUS_NUMBER%",
}
SOURCE_PRINCIPALS = {
    "source_principal": "%UPSTREAM_LOCAL_URI_SAN%",
    "destination_principal": "%UPSTREAM_PEER_URI_SAN%",
}
DESTINATION_PRINCIPALS = {
    "source_principal": "%DOWNSTREAM_PEER_URI_SAN%",
    "destination_principal": "%DOWNSTREAM_LOCAL_URI_SAN%",
}
ENDPOINT = {
    "destination_workload": "%METADATA(UPSTREAM_HOST:bench:workload)%",
    "destination_workload_namespace": "%METADATA(UPSTREAM_HOST:bench:namespace)%",
    "destination_canonical_service": "%METADATA(UPSTREAM_HOST:bench:canonical_service)%",
    "destination_canonical_revision": "%METADATA(UPSTREAM_HOST:bench:canonical_revision)%",
    "destination_cluster": "%METADATA(UPSTREAM_HOST:bench:cluster_id)%",
}
SERVICE = {
    "destination_service": "%METADATA(CLUSTER:bench:host)%",
    "destination_service_name": "%METADATA(CLUSTER:bench:name)%",
    "destination_service_namespace": "%METADATA(CLUSTER:bench:namespace)%",
}
HOST = {
    "destination_service": "%REQ(:AUTHORITY)%",
    "destination_service_name": "%REQ(:AUTHORITY)%",
}
# What the logger says where there is nothing.
ABSENT = {"source_principal": "", "destination_principal": ""}
VALUES = ("%DURATION%", "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", "%DOWNSTREAM_WIRE_BYTES_SENT%")
# Prometheus shows names below it as Wasm's, without a prefix.
PREFIX = "wasmcustom"


def variant(stream: Stream = SOURCE) -> Variant:
    one = Variant("envoy-stats", "Envoy's stats access logger", stream=stream)
    return replace(one, loggers=(_logger(one),))


def said(variant: Variant) -> Labels:
    """The labels of its series."""
    return _told(variant) | ({} if variant.stream.mutual_tls else ABSENT)


def _told(variant: Variant) -> Labels:
    """As if nobody had answered: it knows no exchange."""
    return labels.expected(replace(variant, stream=replace(variant.stream, answered=False)))


def _logger(variant: Variant) -> Json:
    stream = variant.stream
    formats = {
        **ALWAYS,
        **(DESTINATION_PRINCIPALS if stream.direction == "INBOUND" else SOURCE_PRINCIPALS),
        **(ENDPOINT if stream.described else {}),
        **(SERVICE if stream.named_service else HOST),
    }
    told = _told(variant).items()
    tags = [{"name": name, "value_format": formats.get(name, value)} for name, value in told]

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
