"""The workflows are valid, and run what there is."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.tree import Json
from tests.dist.release import IMAGES, ROOT, run

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def _jobs(path: Path) -> Json:
    return yaml.safe_load(path.read_text())["jobs"]


def _steps(path: Path) -> list[Json]:
    return [step for job in _jobs(path).values() for step in job["steps"]]


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "schema, path",
    [*(("github-workflows", path) for path in WORKFLOWS), ("dependabot", ROOT / ".github" / "dependabot.yml")],
    ids=lambda value: getattr(value, "name", value),
)
def test_schema(schema: str, path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_it_runs_is_there(path: Path) -> None:
    scripts = "\n".join(step["run"] for step in _steps(path) if "run" in step)
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", scripts)) <= _targets()
    for script in re.findall(r"\bscripts/[\w-]+", scripts):
        assert (ROOT / script).exists(), script
    # As GitHub's runners would read it.
    plain = re.sub(r"\$\{\{.*?\}\}", "x", scripts)
    checked = subprocess.run(["bash", "-n"], check=False, input=plain, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def _unpinned(text: str) -> list[str]:
    """Actions that are not named by a commit with its version beside it: whoever moves a tag would run in our name."""
    used = re.findall(r"^[ -]*uses: *(.*)$", text, re.MULTILINE)
    return [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    text = path.read_text()
    assert _unpinned(text) == []
    # However it is written, none escaped.
    used = [step["uses"] for step in _steps(path) if "uses" in step]
    assert used == re.findall(r"uses: (\S+) #", text)


def test_an_action_is_the_same_in_all_workflows() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, pin in re.findall(r"uses: ([^@\s]+)@(.*)", path.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: versions for action, versions in pins.items() if len(versions) > 1} == {}


@pytest.mark.parametrize(
    "action",
    [
        "actions/checkout@v4",
        "actions/checkout@main # v4.0.0",
        "actions/checkout@3d3c42e # v7.0.1",
        "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
        "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # the newest",
    ],
)
def test_an_unpinned_action_is_noticed(action: str) -> None:
    assert _unpinned(f"    steps:\n      - uses: {action}\n") == [action]
    assert _unpinned(f"      - name: Sources\n        uses: {action}\n") == [action]


def _planned(job: Json, tmp_path: Path) -> Any:
    """What the job's one script hands on, run as GitHub's runners would."""
    [script] = [step["run"] for step in job["steps"] if "run" in step]
    output = tmp_path / "output"
    subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=ROOT,
        env={**os.environ, "GITHUB_OUTPUT": str(output)},
        check=True,
    )
    [name, value] = output.read_text().split("=", 1)
    assert job["outputs"] == {name: f"${{{{ steps.plan.outputs.{name} }}}}"}
    return json.loads(value)


def test_all_of_the_tests_run_in_every_envoy_and_nothing_may_be_skipped(tmp_path: Path) -> None:
    path = ROOT / ".github/workflows/ci.yaml"
    jobs = _jobs(path)
    planned = _planned(jobs["plan"], tmp_path)
    groups = run("scripts/run-tests", "--list").split()
    envoys = run("scripts/envoy-path", "--list").split()
    expected = [{"group": group} for group in groups if group != "e2e"]
    expected += [{"group": "e2e", "envoy": envoy} for envoy in envoys]
    assert sorted(map(str, planned)) == sorted(map(str, expected))

    test = jobs["test"]
    assert test["strategy"]["matrix"] == {"include": "${{ fromJSON(needs.plan.outputs.jobs) }}"}
    [step] = [step for step in test["steps"] if step.get("run") == "scripts/run-tests ${{ matrix.group }}"]
    assert step["env"] == {"ENVOY_VERSIONS": "${{ matrix.envoy }}"} and "if" not in step
    assert yaml.safe_load(path.read_text())["env"]["CI"] == "true"


def test_make_test_runs_every_group() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [recipe] = re.findall(r"^test: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe == "\t@scripts/run-tests\n"


def test_one_job_stands_for_all() -> None:
    jobs = _jobs(ROOT / ".github/workflows/ci.yaml")
    required = jobs.pop("required")
    assert set(required["needs"]) == set(jobs)
    # One that is skipped, because what it needs failed, is a failure, too.
    assert required["if"] == "always()"
    assert [step["run"] for step in required["steps"]] == ['test "${{ needs.test.result }}" = success']


def test_every_image_is_published_from_what_dist_makes() -> None:
    steps = _steps(ROOT / ".github/workflows/release.yaml")
    [push] = [step["run"] for step in steps if "skopeo copy" in step.get("run", "")]
    [names] = re.findall(r"^for name in (.*); do$", push, re.MULTILINE)
    assert names.split() == IMAGES
    [upload] = [step["with"]["path"].split() for step in steps if "upload-artifact" in step.get("uses", "")]
    directory = ROOT / "dist"
    uploaded = {path for pattern in upload for path in ROOT.glob(pattern)}
    assert uploaded == {path for path in directory.iterdir() if path.is_file()}
