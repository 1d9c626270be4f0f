"""Principals, security policy and namespaces from SPIFFE certificates."""

import ssl

import httpx
import pytest

from lab import bootstrap
from lab.certs import Authority, Identity
from lab.tree import Json
from lab.waiting import wait_until
from tests.e2e.harness import clients, forms
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.sidecar import east, west
from tests.e2e.harness.workloads import SHOP, STOCK, Workload

pytestmark = forms.BOTH


@pytest.fixture
def shop_tls(shop_identity: Identity) -> Json:
    return bootstrap.upstream_tls(shop_identity, peer_spiffe_id=STOCK.spiffe_id())


@pytest.fixture
def stock_tls(stock_identity: Identity) -> Json:
    return bootstrap.downstream_tls(stock_identity)


@pytest.mark.parametrize("trust", ["always", "mtls"])
def test_both_sides_report_both_principals(
    mesh: Mesh, backend: int, shop_tls: Json, stock_tls: Json, trust: str
) -> None:
    west_port = mesh.start(west(backend, exchange={"trust": trust}, tls=stock_tls))
    with clients.http1(mesh.start(east(west_port, exchange={"trust": trust}, tls=shop_tls))) as caller:
        for _ in range(2):
            assert caller.get("/").status_code == 200
    mesh.expect("mutual_tls.yaml")


def test_a_peers_namespace_is_the_one_its_certificate_proves(
    mesh: Mesh, backend: int, shop_tls: Json, stock_tls: Json
) -> None:
    west_port = mesh.start(west(backend, node=_claiming(STOCK, "claimed-west"), services=(), tls=stock_tls))
    port = mesh.start(
        east(
            west_port,
            node=_claiming(SHOP, "claimed-east"),
            services=(),
            endpoint_metadata=None,
            tls=shop_tls,
        )
    )
    with clients.http1(port) as caller:
        assert caller.get("/").status_code == 200
    mesh.expect("mutual_tls_namespace.yaml")


def test_tls_without_a_client_certificate_is_not_mutual(mesh: Mesh, backend: int, stock_identity: Identity) -> None:
    tls = bootstrap.downstream_tls(stock_identity, require_client_certificate=False)
    port = mesh.start(west(backend, tls=tls))
    # The client cannot verify a certificate that names a workload instead of an address.
    assert httpx.get(f"https://127.0.0.1:{port}/", verify=False, trust_env=False).status_code == 200
    mesh.expect("tls_without_client_certificate.yaml")


def test_a_certificate_without_a_spiffe_id_is_mutual_all_the_same(
    mesh: Mesh, backend: int, authority: Authority, stock_identity: Identity
) -> None:
    port = mesh.start(west(backend, tls=bootstrap.downstream_tls(stock_identity)))
    client = authority.issue_for_host("client.example.com")
    # The client cannot verify a certificate that names a workload instead of an address.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(client.certificate, client.key)
    assert httpx.get(f"https://127.0.0.1:{port}/", verify=context, trust_env=False).status_code == 200
    counted = wait_until(lambda: mesh["west"].families().get("istio_requests_total"), "the request to be counted")
    (series,) = counted.series
    labels = dict(series)
    assert labels["connection_security_policy"] == "mutual_tls"
    assert labels["source_principal"] == "unknown"
    assert labels["destination_principal"] == STOCK.spiffe_id()


def _claiming(workload: Workload, namespace: str) -> Json:
    node = workload.node()
    node["metadata"]["NAMESPACE"] = namespace
    return node
