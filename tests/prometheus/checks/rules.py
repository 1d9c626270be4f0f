"""The rules of envoy-config/prometheus, and whether a Prometheus has data for them."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from lab.paths import ROOT
from lab.tree import Json
from tests.prometheus.checks.queries import Query, trouble

DIRECTORY = ROOT / "envoy-config" / "prometheus"
# What is recorded of native histograms, and so has data only where there are some.
OF_NATIVE = re.compile("workload_native:.*|cross_cluster:istio_request_duration_milliseconds:rate5m")
_WHEN = re.compile(r"( offset \S+| @ \S+)+$")


def files() -> list[Path]:
    return sorted((DIRECTORY / "rules").glob("*.yaml"))


def load(file: Path) -> list[Json]:
    """A file's rules, in order."""
    groups = yaml.safe_load(file.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def paced(text: str, seconds: int) -> str:
    """Rules that are evaluated every so many seconds, instead of every 15."""
    return re.sub(r"\b(15|30)s\b", lambda found: f"{int(found[1]) * seconds // 15}s", text)


def selectors(expression: str) -> list[str]:
    """The series that an expression asks for, each as an expression of its own, now instead of a while ago."""
    found = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(_WHEN.sub("", node.prettify()))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return list(dict.fromkeys(found))


def without_data(query: Query, names: Collection[str] | None = None, absent: re.Pattern[str] = OF_NATIVE) -> list[str]:
    """One line for each recorded series without data, and for each series that an alert asks for in vain.

    `names`: of the files to check (`cross-cluster.yaml`), for a Prometheus that has loaded only these.
    `absent`: series that are not expected there.
    """
    lines = []
    for file in files():
        if names is not None and file.name not in names:
            continue
        for rule in load(file):
            wanted = [rule["record"]] if "record" in rule else [*selectors(rule["expr"])]
            for expression in wanted:
                if absent.fullmatch(expression):
                    continue
                reason = trouble(query, expression)
                if reason:
                    lines.append(f"{file.name}: {rule.get('record') or rule['alert']}: {reason}: {expression}")
    return lines


def firing(query: Query, names: Collection[str] | None = None) -> set[str]:
    """The alerts whose condition holds now, whatever time they wait for."""
    every = [rule for file in files() if names is None or file.name in names for rule in load(file)]
    return {rule["alert"] for rule in every if "alert" in rule and query(rule["expr"])}
