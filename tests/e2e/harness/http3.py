"""HTTP/3: a listener of Envoy's for it, and a real client."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamReset

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from lab.waiting import PATIENCE_SECONDS
from tests.e2e.harness.clients import HOST

Result = TypeVar("Result")
Headers = dict[str, str]


def listener(over_tcp: Json, identity: Identity) -> Json:
    """A listener for HTTP, but over QUIC; serves as `identity`."""
    (chain,) = over_tcp["filter_chains"]
    (manager,) = chain["filters"]
    over_http3 = {**manager["typed_config"], "codec_type": "HTTP3", "http3_protocol_options": {}}
    tls = bootstrap.downstream_tls(identity, require_client_certificate=False)
    # A client without a certificate is not asked for one.
    del tls["common_tls_context"]["validation_context"]
    socket = bootstrap.extension("transport_sockets.quic.v3.QuicDownstreamTransport", downstream_tls_context=tls)
    address = over_tcp["address"]["socket_address"]
    return {
        "name": over_tcp["name"],
        "traffic_direction": over_tcp["traffic_direction"],
        "address": {"socket_address": {**address, "protocol": "UDP"}},
        "udp_listener_config": {"quic_options": {}},
        "filter_chains": [{"filters": [{**manager, "typed_config": over_http3}], "transport_socket": socket}],
    }


@dataclass
class Answer:
    """A response, or how far it came."""

    headers: Headers = field(default_factory=dict)
    body: bytes = b""
    trailers: Headers = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    # Whether the server broke it off.
    was_reset: bool = False

    @property
    def status(self) -> int:
        return int(self.headers[":status"])


class Client(QuicConnectionProtocol):
    """A connection."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._http = H3Connection(self._quic)
        self._answers: dict[int, Answer] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            for answer in self._answers.values():
                answer.ended.set()
        elif isinstance(event, StreamReset) and event.stream_id in self._answers:
            answer = self._answers[event.stream_id]
            answer.was_reset = True
            answer.ended.set()
        for one in self._http.handle_event(event):
            if isinstance(one, HeadersReceived):
                answer = self._answers[one.stream_id]
                headers = {name.decode(): value.decode() for name, value in one.headers}
                (answer.trailers if answer.headers else answer.headers).update(headers)
            elif isinstance(one, DataReceived):
                answer = self._answers[one.stream_id]
                answer.body += one.data
            else:
                continue
            if one.stream_ended:
                answer.ended.set()

    def begin(self, path: str = "/", body: bytes | None = None, **headers: str) -> int:
        """Sends a request's headers, and its whole body if there is one; returns its number."""
        stream = self._quic.get_next_available_stream_id()
        self._answers[stream] = Answer()
        method = "GET" if body is None else "POST"
        all_headers = {":method": method, ":scheme": "https", ":authority": HOST, ":path": path, **headers}
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in all_headers.items()]
        self._http.send_headers(stream, pairs, end_stream=body is None)
        if body is not None:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()
        return stream

    async def answer(self, stream: int) -> Answer:
        """The whole response."""
        answer = self._answers[stream]
        await asyncio.wait_for(answer.ended.wait(), PATIENCE_SECONDS)
        return answer

    async def get(self, path: str = "/", body: bytes | None = None, **headers: str) -> Answer:
        return await self.answer(self.begin(path, body, **headers))

    def reset(self, stream: int) -> None:
        """Takes a request back."""
        for break_off in (self._quic.reset_stream, self._quic.stop_stream):
            break_off(stream, ErrorCode.H3_REQUEST_CANCELLED)
        self.transmit()


def with_client(port: int, story: Callable[[Client], Awaitable[Result]]) -> Result:
    """Tells a story over one connection."""

    async def tell() -> Result:
        configuration = QuicConfiguration(
            alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, server_name="stock.example"
        )
        async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Client) as client:
            assert isinstance(client, Client)
            return await story(client)

    return asyncio.run(tell())


def statuses(port: int, requests: Sequence[str]) -> list[int]:
    """Asks for these paths, all at once over one connection."""

    async def ask(client: Client) -> list[int]:
        return [answer.status for answer in await asyncio.gather(*map(client.get, requests))]

    return with_client(port, ask)
