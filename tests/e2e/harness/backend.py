"""An HTTP/1.1 backend in a thread of the tests. It answers by path:

/status/<code>     that status
/delay/<seconds>   200 after that time
anything else      200 with the request's headers as JSON pairs

The JSON object in the request header `x-answer-with` becomes response headers.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def running() -> Iterator[int]:
    """Yields the port."""
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.ending = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Headers and body leave in two writes; without this the second one waits for an acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        _, action, *argument = self.path.split("?")[0].split("/")
        if action == "status":
            self._answer(int(argument[0]), b"as asked")
        elif action == "delay":
            self.server.ending.wait(float(argument[0]))
            self._answer(200, b"late")
        else:
            self._answer(200, json.dumps(self.headers.items()).encode())

    do_POST = do_GET

    def _answer(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in json.loads(self.headers.get("x-answer-with", "{}")).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            # The proxy gave up on a delayed answer, as the test wants it to.
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Silent: pytest shows what matters."""
