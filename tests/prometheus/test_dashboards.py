"""The dashboards' JSON: written by their source, of Grafana's form, and nothing on top of another."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest

from lab import tree
from lab.paths import ROOT
from lab.tree import Json
from tests.prometheus.checks import dashboards

FILES = dashboards.files()
REQUIRED = {"title", "uid", "schemaVersion", "panels", "templating", "time", "tags"}
COLUMNS = 24
PANELS = {"stat", "timeseries", "table", "nodeGraph", "row"}


def test_the_committed_dashboards_are_those_of_their_source() -> None:
    command = [sys.executable, "-m", "scripts.dashboards", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_dashboard_has_an_identity_of_its_own() -> None:
    uids = [one["uid"] for one in dashboards.load()]
    assert uids == [file.stem for file in FILES]
    assert len(set(uids)) == len(uids) == 4


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def dashboard(request: pytest.FixtureRequest) -> Json:
    return json.loads(request.param.read_text())


def test_required_fields(dashboard: Json) -> None:
    assert dashboard.keys() >= REQUIRED
    # Grafana gives it its number.
    assert "id" not in dashboard
    for panel in dashboard["panels"]:
        assert panel["type"] in PANELS, panel["title"]
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["targets"], panel["title"]
            assert panel["fieldConfig"].keys() == {"defaults", "overrides"}, panel["title"]


def test_no_panel_is_twice_there_or_on_top_of_another(dashboard: Json) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        cells = itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
        for cell in cells:
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]


def test_every_data_source_is_the_variable(dashboard: Json) -> None:
    (source,) = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    assert (source["name"], source["query"]) == ("datasource", "prometheus")
    found = list(tree.values(dashboard, "datasource"))
    assert found
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in found)


def test_queries_of_a_panel_have_different_letters(dashboard: Json) -> None:
    for panel in dashboard["panels"]:
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters), panel["title"]


def test_every_variable_that_is_used_exists(dashboard: Json) -> None:
    known = {one["name"] for one in dashboard["templating"]["list"]} | dashboards.BUILT_IN.keys()
    for panel in dashboards.panels(dashboard):
        for expression in panel.expressions:
            used = {one or other for one, other in re.findall(r"\$([a-zA-Z_]\w*)|\$\{(\w+)", expression)}
            assert used <= known, f"{panel}: {used - known}"


def test_every_query_is_promql(dashboard: Json) -> None:
    values = dashboards.BUILT_IN | {one["name"]: ".*" for one in dashboard["templating"]["list"]}
    for panel in dashboards.panels(dashboard):
        for expression in panel.expressions:
            promql_parser.parse(dashboards.substituted(expression, values))


def test_a_request_is_not_counted_for_both_sides(dashboard: Json) -> None:
    """Each selector of traffic says whose report it takes; those of the plugin's own health sum nothing up."""
    values = dashboards.BUILT_IN | {one["name"]: "X" for one in dashboard["templating"]["list"]}
    for panel in dashboards.panels(dashboard):
        for expression in panel.expressions:
            for name, matchers in _selectors(dashboards.substituted(expression, values)):
                if re.match(r"istio_(request|response|tcp)", name):
                    assert "reporter" in matchers, f"{panel}: {expression}"


def test_links_lead_to_dashboards_and_variables_that_exist(dashboard: Json) -> None:
    known = {one["uid"]: {v["name"] for v in one["templating"]["list"]} for one in dashboards.load()}
    for link in itertools.chain.from_iterable(_values_of_links(dashboard)):
        ((uid, set_variables),) = re.findall(r"^/d/([\w-]+)\?(.*)$", link["url"])
        assert set(re.findall(r"var-(\w+)=", set_variables)) <= known[uid], link
        own = {one["name"] for one in dashboard["templating"]["list"]}
        assert set(re.findall(r"\$\{(\w+):queryparam\}", set_variables)) <= own & known[uid], link
        assert "${__url_time_range}" in set_variables


def test_a_link_takes_its_values_from_columns_that_are_there(dashboard: Json) -> None:
    for panel in dashboard["panels"]:
        columns = set()
        for target in panel.get("targets", []):
            columns |= set(re.findall(r"\w+", " ".join(re.findall(r"by \((.*?)\)", target["expr"]))))
        for links in _values_of_links(panel):
            for link in links:
                assert set(re.findall(r"__data\.fields\.(\w+)", link["url"])) <= columns, (panel["title"], link)


def test_every_override_is_of_a_column_that_exists(dashboard: Json) -> None:
    for panel in dashboard["panels"]:
        names = set()
        for transformation in panel.get("transformations", []):
            names |= set(transformation["options"].get("renameByName", {}).values())
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            assert override["matcher"]["options"] in names, (panel["title"], override)


def _selectors(expression: str) -> list[tuple[str, set[str]]]:
    found = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name or "", {one.name for one in node.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def _values_of_links(panel: Json) -> Iterator[list[Json]]:
    for override in tree.values(panel, "overrides"):
        for one in override:
            yield from (found["value"] for found in one["properties"] if found["id"] == "links")
