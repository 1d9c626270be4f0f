"""Peers as Istio's own filters leave them in the filter state, and filters that put them there."""

import struct
from typing import Any

import flatbuffers

from lab import bootstrap, plugins
from lab.paths import test_module
from lab.tree import Json
from tests.e2e.harness.peer_metadata import serialize
from tests.e2e.harness.workloads import Workload

# Fields of Istio's FlatBuffers table by the keys of the same facts in node metadata.
_FLAT_NODE = {
    "NAME": 0,
    "NAMESPACE": 1,
    "LABELS": 2,
    "OWNER": 3,
    "WORKLOAD_NAME": 4,
    "MESH_ID": 7,
    "CLUSTER_ID": 9,
}
_FLAT_NODE_FIELDS = 11

STRUCT_TYPE = bootstrap.TYPE + "google.protobuf.Struct"


def node_metadata(workload: Workload) -> bytes:
    """Istio 1.4 and 1.5: a serialised Struct."""
    return serialize(workload.peer_metadata())


def flat_node(workload: Workload) -> bytes:
    """Istio 1.6 to 1.23: a FlatBuffers table."""
    metadata = workload.peer_metadata()
    builder = flatbuffers.Builder()
    labels = [_table(builder, 2, {0: key, 1: value}) for key, value in sorted(metadata.pop("LABELS").items())]
    builder.StartVector(4, len(labels), 4)
    for label in reversed(labels):
        builder.PrependUOffsetTRelative(label)
    facts = {_FLAT_NODE["LABELS"]: builder.EndVector()}
    facts |= {_FLAT_NODE[key]: value for key, value in metadata.items()}
    builder.Finish(_table(builder, _FLAT_NODE_FIELDS, facts))
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, size: int, fields: dict[int, Any]) -> int:
    """A table with these fields, texts or what was written before, by their indices."""
    places = {n: builder.CreateString(value) if isinstance(value, str) else value for n, value in fields.items()}
    builder.StartObject(size)
    for index, place in places.items():
        builder.PrependUOffsetTRelativeSlot(index, place, 0)
    return builder.EndObject()


def fields(workload: Workload) -> dict[str, str]:
    """Istio 1.24 and later: an object's fields."""
    labels = workload.labels
    return {
        "name": workload.pod,
        "namespace": workload.namespace,
        "workload": workload.name,
        "cluster": workload.cluster_id,
        "service": labels["service.istio.io/canonical-name"],
        "revision": labels["service.istio.io/canonical-revision"],
        "app": labels.get("app.kubernetes.io/name", labels["app"]),
        "version": labels.get("app.kubernetes.io/version", labels["version"]),
        "type": "deployment",
        "identity": workload.spiffe_id(),
    }


def pairs(entries: dict[str, str]) -> bytes:
    """A map of texts as the host shows it to a Wasm plugin."""
    texts = [(key.encode(), value.encode()) for key, value in entries.items()]
    lengths = b"".join(struct.pack("<II", len(key), len(value)) for key, value in texts)
    return struct.pack("<I", len(texts)) + lengths + b"".join(key + b"\0" + value + b"\0" for key, value in texts)


def line(key: str, value: bytes, message_type: str | None = None) -> str:
    """A line of the test module's configuration: bytes under a key, perhaps a message."""
    return " ".join([key, value.hex(), *([message_type] if message_type else [])])


def keep(*lines: str, network: bool = False) -> Json:
    """The test module, with these lines as its configuration."""
    plugin = plugins.plugin("filter_state", test_module("filter_state"), "", "\n".join(lines))
    # A peer that could not be put there is the test's failure.
    plugin["failure_policy"] = "FAIL_CLOSED"
    return plugins.network_filter(plugin) if network else plugins.http_filter(plugin)


def set_filter_state(key: str, text: str, network: bool = False, **options: object) -> Json:
    """Envoy's own filter, which keeps a text under any key."""
    layer, moment = ("network", "on_new_connection") if network else ("http", "on_request_headers")
    value = {
        "object_key": key,
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": text}},
        **options,
    }
    return bootstrap.extension(f"filters.{layer}.set_filter_state.v3.Config", **{moment: [value]})


def header_to_metadata(header: str, **keys: str) -> Json:
    """Envoy's own filter, which takes a header away and keeps it as dynamic metadata; by request and response."""

    def rule(key: str) -> Json:
        present = {"metadata_namespace": "istio_stats", "key": key}
        return {"header": header, "on_header_present": present, "remove": True}

    rules = {f"{message}_rules": [rule(key)] for message, key in keys.items()}
    return bootstrap.extension("filters.http.header_to_metadata.v3.Config", **rules)


def header_mutation(message: str, header: str, value: str) -> Json:
    """Envoy's own filter, which sets a header of requests or responses."""
    mutation = {"append": {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    mutations = {f"{message}_mutations": [mutation]}
    return bootstrap.extension("filters.http.header_mutation.v3.HeaderMutation", mutations=mutations)
