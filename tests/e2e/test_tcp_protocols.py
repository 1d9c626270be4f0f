"""Protocols that our proxies do not speak pass unchanged."""

import socket
import ssl
from typing import Any

from lab.certs import Identity
from tests.e2e.harness import forms, tcp
from tests.e2e.harness import tcp_traffic as traffic
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.tcp_families import Counts, expect_both

pytestmark = forms.BOTH


def test_tls_between_client_and_server_passes_untouched(mesh: Mesh, stock_identity: Identity) -> None:
    """Both proxies count the encrypted bytes, to the byte."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(stock_identity.certificate, stock_identity.key)

    def serve(connection: socket.socket) -> None:
        with server_side.wrap_socket(connection, server_side=True) as secure:
            while data := secure.recv(1000):
                secure.sendall(data)
            secure.unwrap()

    with traffic.backend(serve) as backend_port:
        port = mesh.start(tcp.east(mesh.start(tcp.west(backend_port))))
        with traffic.connect(port) as connection:
            client = _TlsClient(connection, stock_identity.authority)
            client.do("do_handshake")
            client.do("write", b"secret")
            assert client.do("read", 100) == b"secret"
            client.do("unwrap")
            counts = Counts(opened=1, closed=1, received=client.sent, sent=client.received)
        assert counts.received > 200 and counts.sent > 500, "too little for a handshake"
        expect_both(mesh, counts)


class _TlsClient:
    """TLS over a socket, with every encrypted byte counted."""

    def __init__(self, connection: socket.socket, authority: str) -> None:
        context = ssl.create_default_context(cafile=authority)
        # The server's name is a SPIFFE ID.
        context.check_hostname = False
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        self.sent = self.received = 0

    def do(self, operation: str, *arguments: Any) -> Any:
        while True:
            try:
                result = getattr(self._tls, operation)(*arguments)
                self._send()
                return result
            except ssl.SSLWantReadError:
                self._send()
                data = self._connection.recv(65536)
                assert data, f"the connection ended during {operation}"
                self.received += len(data)
                self._incoming.write(data)

    def _send(self) -> None:
        data = self._outgoing.read()
        self._connection.sendall(data)
        self.sent += len(data)


GREETING = b"\x0f\x00\x00\x00\x0a8.0.36\x00salt+\x00"
LOGIN = b"\x08\x00\x00\x01root\x00pw\x00"


def test_a_server_that_speaks_first_loses_the_exchange_and_no_byte(mesh: Mesh) -> None:
    """As MySQL's does: it greets before the client's first byte, so there is no place for a frame."""

    def database(connection: socket.socket) -> None:
        connection.sendall(GREETING)
        assert traffic.receive(connection, len(LOGIN)) == LOGIN
        connection.sendall(b"ok")
        while query := connection.recv(100):
            connection.sendall(query.upper())

    with traffic.backend(database) as backend_port:
        port = mesh.start(tcp.east(mesh.start(tcp.west(backend_port))))
        with traffic.connect(port) as connection:
            assert traffic.receive(connection, len(GREETING)) == GREETING
            connection.sendall(LOGIN)
            assert traffic.receive(connection, 2) == b"ok"
            connection.sendall(b"select 1")
            assert traffic.receive(connection, 8) == b"SELECT 1"
        counts = Counts(opened=1, closed=1, received=len(LOGIN) + 8, sent=len(GREETING) + 10)
        expect_both(mesh, counts, "east_alone", "west_alone")
