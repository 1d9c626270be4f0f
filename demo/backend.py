"""The application behind the west proxy: HTTP/1.1 on port 18003, gRPC on 18004, TCP on 18008.

    GET /         200, after some milliseconds
    GET /broken   500
    any other     404

    shop.Reviews/Get    one message in, one out; NOT_FOUND if it says "nothing"
    shop.Reviews/Chat   answers each message of a stream with one

    a line over TCP     "ok" and the line, in a line

Messages are plain bytes, so no generated code is needed.
"""

import http.server
import random
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent import futures

import grpc

HTTP_PORT = 18003
GRPC_PORT = 18004
TCP_PORT = 18008

# Spread over several histogram buckets, so that p50 and p99 differ.
DELAYS_MS = (2, 3, 5, 8, 12, 20, 35, 60)


class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A response is two small writes; with Nagle's algorithm the second one
    # would wait 40 ms for the first one's acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/":
            time.sleep(random.choice(DELAYS_MS) / 1000)
            self.answer(200, b"five stars\n")
        elif self.path == "/broken":
            self.answer(500, b"broken\n")
        else:
            self.answer(404, b"no such page\n")

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are what the proxies count; no need to list them here."""


def get(message: bytes, context: grpc.ServicerContext) -> bytes:
    if message == b"nothing":
        context.abort(grpc.StatusCode.NOT_FOUND, "no review of nothing")
    return b"five stars"


def chat(messages: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    for message in messages:
        yield b"thanks for " + message


def grpc_server() -> grpc.Server:
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Reviews", methods),))
    server.add_insecure_port(f"127.0.0.1:{GRPC_PORT}")
    return server


class Ledger(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            time.sleep(random.choice(DELAYS_MS) / 1000)
            self.wfile.write(b"ok " + line)


class LedgerServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    server = grpc_server()
    server.start()
    ledger = LedgerServer(("127.0.0.1", TCP_PORT), Ledger)
    threading.Thread(target=ledger.serve_forever, daemon=True).start()
    try:
        http.server.ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Application).serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop(grace=None)


if __name__ == "__main__":
    main()
