"""Fixtures of the end-to-end tests.

The tests run real Envoys with the built modules. `make test` sets everything
up; after that, from the project's root:

    .venv/bin/pytest -n 3                          every test
    .venv/bin/pytest -k mutual_tls                 some of them
    ENVOY_VERSION=1.36.2 .venv/bin/pytest -n 3     with another Envoy
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import certs
from lab.certs import Authority, Identity
from tests.e2e.harness import backend as http_backend
from tests.e2e.harness import forms, grpc_backend, tcp_traffic
from tests.e2e.harness.forms import Form
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.workloads import SHOP, STOCK


@pytest.fixture(scope="session")
def backend() -> Iterator[int]:
    """Port of the HTTP backend."""
    with http_backend.running() as port:
        yield port


@pytest.fixture(scope="session")
def grpc_backend_port() -> Iterator[int]:
    """Port of the gRPC backend."""
    with grpc_backend.running() as port:
        yield port


@pytest.fixture(scope="session")
def doubler() -> Iterator[int]:
    """Port of a TCP backend that sends everything back twice."""
    with tcp_traffic.backend(tcp_traffic.doubler) as port:
        yield port


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues certificates that both sides trust."""
    return certs.Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def shop_identity(authority: Authority) -> Identity:
    return authority.issue(SHOP.spiffe_id())


@pytest.fixture(scope="session")
def stock_identity(authority: Authority) -> Identity:
    return authority.issue(STOCK.spiffe_id())


@pytest.fixture
def form(request: pytest.FixtureRequest) -> Iterator[Form]:
    """In which form a test's proxies have the plugins: `forms.BOTH`."""
    forms.choose(request.param, request)
    yield request.param
    forms.choose(Form.WASM, request)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    """Runs proxies for one test and checks their logs at its end."""
    with Mesh(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The same for all tests of a module that leave no trace in what they look at."""
    with Mesh(tmp_path_factory.mktemp("shared")) as running:
        yield running
