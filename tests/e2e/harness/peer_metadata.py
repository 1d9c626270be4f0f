"""The peer metadata headers, encoded by protobuf's own library."""

import base64
import binascii
from collections.abc import Iterable

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any
from google.protobuf.struct_pb2 import Struct

from lab.tree import Json
from tests.e2e.harness.workloads import Workload

METADATA = "x-envoy-peer-metadata"
NODE_ID = "x-envoy-peer-metadata-id"


def encode(metadata: Json) -> str:
    """Header text of a dictionary; map keys are sorted, as Istio's proxies do."""
    return armour(serialize(metadata))


def serialize(metadata: Json) -> bytes:
    struct = Struct()
    struct.update(metadata)
    return struct.SerializeToString(deterministic=True)


def armour(serialized: bytes) -> str:
    return base64.b64encode(serialized).decode()


def decode(text: str) -> Json:
    """The dictionary in a header text."""
    try:
        serialized = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise AssertionError(f"not base64: {text}") from error
    return json_format.MessageToDict(Struct.FromString(serialized))


def headers(workload: Workload) -> dict[str, str]:
    """What the workload's proxy sends."""
    return {METADATA: encode(workload.peer_metadata()), NODE_ID: workload.node_id}


def found_in(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The peer metadata headers among header pairs, in any case."""
    return [(name, value) for name, value in pairs if name.lower() in (METADATA, NODE_ID)]


def frame(metadata: Json, node_id: str) -> bytes:
    """The frame in front of a TCP connection's data, as Istio's proxies write it."""
    both = Struct()
    both.update({METADATA: metadata, NODE_ID: node_id})
    payload = Any()
    payload.Pack(both)
    return raw_frame(payload.SerializeToString(deterministic=True))


def raw_frame(payload: bytes) -> bytes:
    return FRAME_MAGIC + len(payload).to_bytes(4, "big") + payload


FRAME_MAGIC = (0x3D230467).to_bytes(4, "big")
