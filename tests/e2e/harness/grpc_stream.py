"""A bidirectional gRPC stream that a test holds open."""

import queue

import grpc

from tests.e2e.harness.clients import GrpcClient


class Stream:
    """A stream on which every message is answered before the next one is sent."""

    def __init__(self, caller: GrpcClient) -> None:
        self._outgoing: queue.Queue[bytes | None] = queue.Queue()
        self._answers = caller.watch(iter(self._outgoing.get, None))

    def send(self, message: bytes) -> None:
        self._outgoing.put(message)

    def exchange(self, messages: int) -> None:
        for number in range(messages):
            self.send(b"item %d" % number)
            assert next(self._answers) == b"seen item %d" % number

    def end(self) -> None:
        self._outgoing.put(None)
        assert list(self._answers) == []
        assert self._answers.code() == grpc.StatusCode.OK

    def cancel(self) -> None:
        self._answers.cancel()
        self._outgoing.put(None)
