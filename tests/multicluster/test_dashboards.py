"""Whatever the project's dashboards, recording rules and alerts ask for, the federating Prometheus has."""

import pytest

from tests.multicluster.mesh import expect
from tests.multicluster.mesh.prometheus import Prometheus
from tests.prometheus.checks import dashboards, rules
from tests.prometheus.checks.queries import Query

pytestmark = pytest.mark.usefixtures("traffic")


@pytest.fixture
def query(federated: Prometheus) -> Query:
    """As the checks want it."""
    return lambda expression: [{"metric": one.labels, "value": one.value} for one in federated.query(expression)]


@pytest.mark.parametrize("reporter", ["source", "destination"])
def test_every_panel_has_data(query: Query, reporter: str) -> None:
    expect.nothing("panels", lambda: dashboards.without_data(query, {"reporter": reporter}))


def test_every_rule_has_data(query: Query) -> None:
    expect.nothing("rules", lambda: rules.without_data(query))


def test_the_proxies_have_only_the_troubles_that_they_were_given(query: Query) -> None:
    """Above all, none of them says that it counts less than Envoy itself."""
    expected = {"IstioStatsSeriesOverflow", "IstioStatsPeerDecodeErrors", "IstioStatsConfigErrors"}
    assert rules.firing(query, {"proxies.yaml"}) == expected
