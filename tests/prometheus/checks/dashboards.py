"""The dashboards of envoy-config/grafana, and whether a Prometheus has data for them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.paths import ROOT
from lab.tree import Json
from tests.prometheus.checks.queries import Query, trouble

DIRECTORY = ROOT / "envoy-config" / "grafana"
# What Grafana puts for its own variables.
BUILT_IN = {"__rate_interval": "5m", "__range": "5m", "__interval": "15s"}

_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+),\s*(?P<label>\w+)\)")
# $1 is none: it belongs to label_replace.
_VARIABLE = re.compile(r"\$([a-zA-Z_]\w*)|\$\{(\w+)(?::\w+)?\}")


@dataclass(frozen=True)
class Panel:
    dashboard: str
    title: str
    expressions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.dashboard} / {self.title}"


def files() -> list[Path]:
    return sorted(DIRECTORY.glob("*.json"))


def load() -> list[Json]:
    return [json.loads(file.read_text()) for file in files()]


def panels(dashboard: Json) -> Iterator[Panel]:
    """Those that ask something, also within rows."""
    for panel in dashboard["panels"]:
        yield from panels({"title": dashboard["title"], "panels": panel.get("panels", [])})
        if "targets" in panel:
            expressions = tuple(target["expr"] for target in panel["targets"])
            yield Panel(dashboard["title"], panel["title"], expressions)


def variables(
    dashboard: Json, query: Query, chosen: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    """The variables' values by name, as if every one were at its default, or as `chosen`.

    A list that no series fills is as much a fault as a panel without data.
    """
    values, lacking = dict(BUILT_IN), []
    for variable in dashboard["templating"]["list"]:
        name = variable["name"]
        if chosen and name in chosen:
            values[name] = chosen[name]
        elif variable["type"] == "custom":
            values[name] = variable["current"]["value"]
        elif variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert found, variable
            expression = f"group by ({found['label']}) ({substituted(found['selector'], values)})"
            reason = trouble(query, expression)
            if reason:
                lacking.append(f"{dashboard['title']} / variable {name}: {reason}: {expression}")
            values[name] = variable["allValue"]
    return values, lacking


def substituted(expression: str, values: Mapping[str, str]) -> str:
    """The expression with variables as Grafana would fill them in; an unknown one is an error."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expression)


def without_data(query: Query, chosen: Mapping[str, str] | None = None, skip: Iterable[str] = ()) -> list[str]:
    """One line for each variable, and for each query of each panel, that has no data.

    `query`: from an expression to its result, as `queries.over_http` makes it. `chosen`: values of variables instead
    of their defaults, such as `{"reporter": "destination"}`. `skip`: titles of panels ("dashboard / panel") that the
    Prometheus asked cannot have data for.
    """
    lines = []
    for dashboard in load():
        values, lacking = variables(dashboard, query, chosen)
        lines += lacking
        for panel in panels(dashboard):
            if str(panel) in skip:
                continue
            for expression in (substituted(one, values) for one in panel.expressions):
                reason = trouble(query, expression)
                if reason:
                    lines.append(f"{panel}: {reason}: {expression}")
    return lines
