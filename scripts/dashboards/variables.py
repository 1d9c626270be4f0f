"""The variables that dashboards share, and selectors made of them."""

from scripts.dashboards.grafana import choice, label_values

_REPORTER = (
    "Each request is counted by both sides, so exactly one is asked. source: as callers see it, with requests that "
    "never arrived. destination: as the called see it, with callers that have no proxy. waypoint: the proxy between."
)
# A regular expression, so that TCP and gRPC streams without any request yet show their Kubernetes clusters, too.
_TRAFFIC = '{__name__=~"istio_requests_total|istio_tcp_connections_opened_total", reporter="$reporter"}'

REPORTER = choice("reporter", "Reported by", _REPORTER, ("source", "destination", "waypoint"))
SOURCE_CLUSTER = label_values("source_cluster", "From Kubernetes cluster", _TRAFFIC)
DESTINATION_CLUSTER = label_values("destination_cluster", "To Kubernetes cluster", _TRAFFIC)

PAIRS = 'source_cluster=~"$source_cluster", destination_cluster=~"$destination_cluster"'
# What every panel about traffic selects.
TRAFFIC = f'reporter="$reporter", {PAIRS}'
