"""A gRPC backend, with messages as raw bytes: no generated code is needed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

SERVICE = "test.Stock"
# Until another message it keeps even the head of its answer.
UNANSWERED = b"unanswered"


def _reserve(request: bytes, _context: grpc.ServicerContext) -> bytes:
    return b"reserved " + request


def _refuse(_request: bytes, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.NOT_FOUND, "no such item")


def _return(request: bytes, _context: grpc.ServicerContext) -> bytes:
    return request


def _break_off(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    yield request
    context.abort(grpc.StatusCode.NOT_FOUND, "no more of them")


def _watch(requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    for request in requests:
        if request != UNANSWERED:
            yield b"seen " + request


_METHODS: "dict[str, grpc.RpcMethodHandler[bytes, bytes]]" = {
    "Reserve": grpc.unary_unary_rpc_method_handler(_reserve),
    "Refuse": grpc.unary_unary_rpc_method_handler(_refuse),
    "Return": grpc.unary_unary_rpc_method_handler(_return),
    "BreakOff": grpc.unary_stream_rpc_method_handler(_break_off),
    "Watch": grpc.stream_stream_rpc_method_handler(_watch),
}


@contextmanager
def running() -> Iterator[int]:
    """Yields the port."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, _METHODS)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()
