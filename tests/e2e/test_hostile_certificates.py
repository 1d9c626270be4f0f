"""What a certificate proves, what it does not, and names in it that would write labels."""

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from lab import bootstrap
from lab.certs import Authority, Identity
from tests.e2e.harness import forms, unharmed
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, encode, headers
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.unharmed import Target
from tests.e2e.harness.workloads import SHOP, STOCK

pytestmark = forms.BOTH

FORGERY = ";.;reporter=.=x;.;source_cluster=.=y"
CLAIM = {METADATA: encode({"WORKLOAD_NAME": "claimed", "NAMESPACE": "claimed", "CLUSTER_ID": "north"})}


def _get(port: int, identity: Identity | None = None, **sent: Any) -> None:
    # The client cannot verify a certificate that names a workload instead of an address.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    with httpx.Client(verify=context, trust_env=False) as caller:
        assert caller.get(f"https://127.0.0.1:{port}/", **sent).status_code == 200


def _start(mesh: Mesh, sidecar: Runnable, identity: Identity) -> tuple[Target, int]:
    """The target, whose legitimate requests come with this identity, and its port."""
    port = mesh.start(sidecar)
    target = unharmed.http(mesh["west"], lambda: _get(port, identity, headers=headers(SHOP)), "west")
    proved = {
        "source_principal": SHOP.spiffe_id(),
        "destination_principal": STOCK.spiffe_id(),
        "connection_security_policy": "mutual_tls",
    }
    return replace(target, labels={**target.labels, **proved}), port


def _told(mesh: Mesh, *labels: str) -> set[tuple[str, ...]]:
    found = mesh["west"].families()["istio_requests_total"].series
    return {tuple(dict(series)[label] for label in labels) for series in found}


def test_with_trust_mtls_another_kubernetes_cluster_is_claimed_only_by_who_has_a_certificate(
    mesh: Mesh, backend: int, shop_identity: Identity, stock_identity: Identity
) -> None:
    tls = bootstrap.downstream_tls(stock_identity, require_client_certificate=False)
    target, port = _start(mesh, west(backend, tls=tls, exchange={"trust": "mtls"}), shop_identity)
    with unharmed.unharmed(target):
        _get(port, headers=CLAIM)
        _get(port, shop_identity, headers=CLAIM)
    assert _told(mesh, "source_cluster", "source_workload_namespace", "source_principal") == {
        ("east", "retail", SHOP.spiffe_id()),
        ("unknown", "unknown", "unknown"),
        # The Kubernetes cluster is a claim still; the principal says whose.
        ("north", "retail", SHOP.spiffe_id()),
    }


NAMES = {
    f"spiffe://forged{FORGERY}/ns/a/sa/one": ("a", "spiffe://forged_._reporter=_=x_._source_cluster=_=y/ns/a/sa/one"),
    f"spiffe://forged/ns/b{FORGERY}/sa/two": (
        "b_._reporter=_=x_._source_cluster=_=y",
        "spiffe://forged/ns/b_._reporter=_=x_._source_cluster=_=y/sa/two",
    ),
    "spiffe://forged/ns/a\nb\x01/sa/three": ("a_b_", "spiffe://forged/ns/a_b_/sa/three"),
    "spiffe://" + "x" * 4000 + "/sa/four": ("unknown", "spiffe://" + "x" * 247),
    "spiffe://forged/ns//sa/five": ("unknown", "spiffe://forged/ns//sa/five"),
    "ns/sa/six": ("unknown", "ns/sa/six"),
}


def test_names_in_certificates_cannot_write_labels(
    mesh: Mesh, backend: int, shop_identity: Identity, stock_identity: Identity, tmp_path: Path
) -> None:
    """Of an authority that nobody knows, at a proxy that does not mind."""
    tls = bootstrap.downstream_tls(stock_identity)
    tls["common_tls_context"]["validation_context"]["trust_chain_verification"] = "ACCEPT_UNTRUSTED"
    target, port = _start(mesh, west(backend, tls=tls), shop_identity)
    authority = Authority(tmp_path)
    with unharmed.unharmed(target):
        for name in NAMES:
            _get(port, authority.issue(name))
    known = ("retail", SHOP.spiffe_id())
    assert _told(mesh, "source_workload_namespace", "source_principal") == {known, *NAMES.values()}
