"""The account of what was sent, held against what is federated."""

import time
from functools import partial

from tests.multicluster.mesh import expect
from tests.multicluster.mesh.running import Mesh

LABELS = ("source_cluster", "destination_cluster", "request_protocol", "response_code", "grpc_response_status")
# Of what the frontends sent; gateways and their clients are not in it.
FRONTENDS = 'source_workload="frontend-v1"'
# A round of flush, scrape and federation: what came too much would be there.
LATE_SECONDS = 5


def check(mesh: Mesh) -> None:
    """Both sides' requests are those sent, since the beginning and whatever was restarted meanwhile."""
    check_now(mesh)
    time.sleep(LATE_SECONDS)
    check_now(mesh)


def check_now(mesh: Mesh) -> None:
    for reporter in ("source", "destination"):
        selector = f'istio_requests_total{{reporter="{reporter}", {FRONTENDS}}}'
        expect.equal(
            f"requests that the {reporter}s count",
            partial(_counted, mesh, selector),
            mesh.account.requests_of(reporter),
        )


def _counted(mesh: Mesh, selector: str) -> dict[tuple[str, ...], float]:
    return mesh.federated.counted(selector, mesh.age, *LABELS)
