"""Grafana's own types, as its SDK has them for 10.1: what it reads of a dashboard must be all of it."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.tree import Json
from tests.prometheus.checks import dashboards

OLDEST_PYTHON = (3, 11)
if sys.version_info < OLDEST_PYTHON:
    reason = f"Grafana's SDK needs Python {'.'.join(map(str, OLDEST_PYTHON))}"
    assert os.environ.get("CI") != "true", reason
    pytest.skip(reason, allow_module_level=True)

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

plugins.register_default_plugins()


@pytest.mark.parametrize("file", dashboards.files(), ids=lambda file: file.stem)
def test_grafana_knows_every_field(file: Path) -> None:
    assert not list(_unknown(json.loads(file.read_text())))


@pytest.mark.parametrize(
    "path",
    [("titel",), ("panels", 0, "optionen"), ("panels", 0, "options", "x"), ("panels", 0, "targets", 0, "expression")],
    ids=lambda path: path[-1],
)
def test_the_check_finds_a_field_that_grafana_does_not_know(path: tuple[Any, ...]) -> None:
    whole = dashboards.load()[0]
    node = whole
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = "wrong"
    assert list(_unknown(whole)) == ["/" + "/".join(map(str, path))]


def _unknown(dashboard: Json) -> Iterator[str]:
    """Where the dashboard says what its types have no place for."""
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    yield from _lost(dashboard, read, "")


def _lost(given: Any, read: Any, path: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(read, dict):
        for key, value in given.items():
            if key in read:
                yield from _lost(value, read[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}"
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for number, pair in enumerate(zip(given, read, strict=True)):
            yield from _lost(*pair, f"{path}/{number}")
    elif given != read:
        yield path
