"""Requests for hosts that nobody asked for before: each is a new label set."""

import http.client
import itertools
import threading
import time
from collections.abc import Callable

from lab.failure import Failure


class NewHosts:
    """A client with one connection; where no upstream metadata names the service, the host does.

    No two clients of an Envoy may have the same name: its hosts would be known.
    """

    def __init__(self, name: str, port: int) -> None:
        self._name = name
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._numbers = itertools.count(1)
        self.sent = 0

    def request(self, host: str) -> None:
        try:
            self._connection.request("GET", "/", headers={"Host": host})
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"no response for the host {host}: {error!r}") from error
        if response.status != 200:
            raise Failure(f"status {response.status} for the host {host}")
        self.sent += 1

    def request_often(self, host: str, count: int) -> None:
        for _ in range(count):
            self.request(host)

    def request_new(self, count: int) -> None:
        for _ in range(count):
            self.request(f"{self._name}-{next(self._numbers)}.elsewhere.svc.cluster.local")


class Steadily:
    """Requests at a fixed rate in the background, for as long as the `with` block lasts."""

    def __init__(self, per_second: int, request: Callable[[], object]) -> None:
        self._period = 1 / per_second
        self._request = request
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: Failure | None = None

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._end.wait(max(0, due - time.monotonic())):
                self._request()
                due += self._period
        except Failure as error:
            self._error = error
