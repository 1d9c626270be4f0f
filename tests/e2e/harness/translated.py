"""Filters of Envoy's own that make gRPC of another protocol, or another one of gRPC, and their clients."""

import base64
import json
from collections.abc import Callable

import grpc
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from lab import bootstrap
from lab.tree import Json
from tests.e2e.harness import clients
from tests.e2e.harness.grpc_backend import SERVICE

Call = Callable[[int], object]

# As protobuf: its name is "lamp".
ITEM = b"\x0a\x04lamp"


def grpc_web() -> Json:
    return bootstrap.extension("filters.http.grpc_web.v3.GrpcWeb")


def reverse_bridge(content_type: str) -> Json:
    """gRPC in front of a server that speaks plain HTTP."""
    kind = "filters.http.grpc_http1_reverse_bridge.v3.FilterConfig"
    return bootstrap.extension(kind, content_type=content_type, withhold_grpc_frames=True)


def json_transcoder(convert_status: bool = False) -> Json:
    return bootstrap.extension(
        "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor_bin=base64.b64encode(_descriptor()).decode(),
        services=[SERVICE],
        auto_mapping=True,
        convert_grpc_status=convert_status,
    )


def web_call(method: str) -> Call:
    def call(port: int) -> None:
        with clients.http1(port) as caller:
            content = b"\0" + len(ITEM).to_bytes(4, "big") + ITEM
            kind = "application/grpc-web+proto"
            answer = caller.post(f"/{SERVICE}/{method}", content=content, headers={"content-type": kind})
            assert answer.headers["content-type"] == kind

    return call


def json_call(method: str, status: int) -> Call:
    def call(port: int) -> None:
        with clients.http1(port) as caller:
            answer = caller.post(f"/{SERVICE}/{method}", json={"name": "lamp"})
            assert answer.status_code == status

    return call


def bridged_call(path: str, content_type: str, status: grpc.StatusCode) -> Call:
    """To the HTTP backend, by gRPC."""

    def call(port: int) -> None:
        answer_with = json.dumps({"content-type": content_type})
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            assert method.future(ITEM, metadata=(("x-answer-with", answer_with),)).code() == status

    return call


def _descriptor() -> bytes:
    """Of the gRPC backend's methods, as far as the transcoder needs them."""
    field = FieldDescriptorProto(
        name="name",
        number=1,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
        json_name="name",
    )
    package, service = SERVICE.split(".")
    described = FileDescriptorProto(name="stock.proto", package=package, syntax="proto3")
    described.message_type.add(name="Item", field=[field])
    methods = described.service.add(name=service).method
    for name in ("Return", "Refuse"):
        methods.add(name=name, input_type=f".{package}.Item", output_type=f".{package}.Item")
    return FileDescriptorSet(file=[described]).SerializeToString()
