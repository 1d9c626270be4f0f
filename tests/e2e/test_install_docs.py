"""The snippets of docs/install.md that tell a proxy who it is, in a real Envoy."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from lab import bootstrap
from lab.paths import ROOT
from tests.e2e.harness.envoy import Envoy

DOCUMENT = ROOT / "docs" / "install.md"


def _snippet(name: str) -> str:
    """The fenced block behind `<!-- tested: name -->`."""
    (found,) = re.findall(rf"<!-- tested: {name} -->\n```\w+\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return found


def _kubernetes(snippet: str, known: dict[str, str]) -> list[str]:
    container = yaml.safe_load(snippet)
    paths = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"] if "valueFrom" in one}
    values = {name: known[path] for name, path in paths.items()}
    values |= {one["name"]: one["value"] for one in container["env"] if "value" in one}
    return [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], one) for one in container["args"]]


def _nomad(snippet: str, known: dict[str, str]) -> list[str]:
    (arguments,) = re.findall(r"args = (\[.*?\n  \])", snippet, re.DOTALL)
    return [re.sub(r"\$\{([\w.]+)\}", lambda found: known[found[1]], one) for one in json.loads(arguments)]


def _systemd(snippet: str, known: dict[str, str]) -> list[str]:
    (command,) = re.findall("^ExecStart=(.*)$", snippet, re.MULTILINE)
    program, *arguments = shlex.split(command)
    assert program.endswith("/envoy")
    return [re.sub(r"\$\{(\w+)\}", lambda found: known[found[1]], one.replace("%H", "box-1")) for one in arguments]


CASES = {
    "kubernetes": (
        _kubernetes,
        {"metadata.name": "ledger-7f", "metadata.namespace": "shop", "metadata.labels['app']": "ledger"},
        {"CLUSTER_ID": "east", "NAME": "ledger-7f", "NAMESPACE": "shop", "WORKLOAD_NAME": "ledger"},
    ),
    "nomad": (
        _nomad,
        {
            "node.datacenter": "west",
            "NOMAD_ALLOC_NAME": "ledger.api[0]",
            "NOMAD_JOB_NAME": "ledger",
            "NOMAD_GROUP_NAME": "api",
            "NOMAD_NAMESPACE": "default",
        },
        {"CLUSTER_ID": "west", "NAME": "ledger.api[0]", "NAMESPACE": "default", "WORKLOAD_NAME": "api"},
    ),
    "systemd": (
        _systemd,
        {"CLUSTER_ID": "north", "NAMESPACE": "shop", "WORKLOAD_NAME": "ledger"},
        {"CLUSTER_ID": "north", "NAME": "box-1", "NAMESPACE": "shop", "WORKLOAD_NAME": "ledger"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_node_is_who_the_snippet_says(name: str, tmp_path: Path) -> None:
    read, known, expected = CASES[name]
    option, path, *overlay = read(_snippet(name), known)
    assert option == "--config-path"
    assert path.endswith("/envoy.yaml")
    # What the file says beside stays, what the overlay says wins.
    node = {"id": "from-the-file", "metadata": {"MESH_ID": "mesh-1", "CLUSTER_ID": "from-the-file"}}
    with Envoy("documented", bootstrap.bootstrap(node, [], []), tmp_path, arguments=overlay) as envoy:
        running = envoy.admin("/server_info").json()["node"]
    assert running["id"] != "from-the-file"
    labels = {"app": "ledger"}
    assert running["metadata"] == {"MESH_ID": "mesh-1", "LABELS": labels, **expected}
