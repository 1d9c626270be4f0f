"""What kinds of requests a proxy sees: at which side of a call it stands, and how it knows the peer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from lab import plugins
from lab.paths import module
from lab.tree import Json

SAMPLES = Path("envoy-config/standalone")
# Of the samples of the access logger, what makes the exchange.
STOCK_EXCHANGE = ("envoy.filters.http.header_to_metadata", "envoy.filters.http.header_mutation")
CLIENT_IDENTITY, SERVER_IDENTITY = (f"spiffe://cluster.local/ns/shop/sa/{name}" for name in ("frontend", "reviews"))
# Another workload than the one that answers the exchange, to tell where labels come from.
ENDPOINT = {
    "workload": "reviews-v1",
    "namespace": "shop",
    "canonical_service": "reviews",
    "canonical_revision": "v1",
    "cluster_id": "west",
}


@cache
def sample(name: str) -> Json:
    return yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())


def client() -> Json:
    """The node of the client's side: that of the proxy that is measured, whichever its side is in a stream."""
    return sample("east-logger")["node"]


def server() -> Json:
    """The node of the other side."""
    return sample("west-logger")["node"]


@dataclass(frozen=True, eq=False)
class Stream:
    """Requests of one kind."""

    name: str = "source"
    what: str = "source, the peer known from its endpoint"
    direction: str = "OUTBOUND"
    # Of the stats plugin; empty: the listener says which side it is.
    root_id: str = "stats_outbound"
    # In front of whatever is measured: the exchange, if the stream has one.
    filters: tuple[Json, ...] = ()
    # What the client sends besides the usual.
    headers: tuple[str, ...] = ()
    route_name: str = "default"
    # Whether the peer's endpoint has metadata.
    described: bool = True
    # Whether the server's side answers the exchange.
    answered: bool = False
    # Whether upstream metadata names the service; if not, the request's host does.
    named_service: bool = True
    mutual_tls: bool = False
    # How the labels differ from a source's.
    labels: Mapping[str, str] = field(default_factory=dict)


SOURCE = Stream()


# === the exchange


def our_exchange(root_id: str = "stats_outbound") -> tuple[Json, ...]:
    """The metadata exchange by our module."""
    name = "metadata_exchange"
    return (plugins.http_filter(plugins.plugin(name, module(name), root_id, '{"attachment": "http"}')),)


def stock_exchange() -> tuple[Json, ...]:
    """The same by Envoy's own filters, as in the sample of the access logger."""
    return tuple(one for one in _http_filters("east-logger") if one["name"] in STOCK_EXCHANGE)


def headers_of_peer() -> tuple[str, ...]:
    """What the proxy of the other side says of itself, as a client."""
    [delegate] = [one for one in _http_filters("west-logger") if one["name"] == "envoy.filters.http.match_delegate"]
    [mutations] = delegate["typed_config"]["extension_config"]["typed_config"]["mutations"].values()
    headers = [one["append"]["header"] for one in mutations]
    return tuple(f"{one['key']}: {one['value']}" for one in headers)


def _http_filters(name: str) -> list[Json]:
    [listener, *_] = sample(name)["static_resources"]["listeners"]
    [chain] = listener["filter_chains"]
    filters: list[Json] = chain["filters"][0]["typed_config"]["http_filters"]
    return filters
