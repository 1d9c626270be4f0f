"""The last word after everything: what the proxies have logged."""

import re

import pytest

from tests.multicluster.mesh.running import Mesh


@pytest.mark.usefixtures("traffic")
def test_no_proxy_has_logged_an_error(mesh: Mesh) -> None:
    found = {
        pod.name: errors
        for pod in mesh.inventory.pods
        if (errors := re.findall(r".*\[(?:error|critical)\].*|.*panicked.*", mesh.compose.log(pod.proxy)))
    }
    assert not found
