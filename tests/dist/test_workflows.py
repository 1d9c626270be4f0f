"""The workflows are valid, and run what there is."""

import re
import subprocess
import sys

import pytest
import yaml
from release import MODULES, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def _steps(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def _targets():
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_schema(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_it_runs_is_there(path):
    scripts = "\n".join(step["run"] for step in _steps(path) if "run" in step)
    named = set(re.findall(r"\bmake ([a-z0-9-]+)", scripts))
    assert named and named <= _targets()
    for script in re.findall(r"\bscripts/[\w-]+", scripts):
        assert (ROOT / script).exists(), script
    # As GitHub's runners would read it.
    plain = re.sub(r"\$\{\{.*?\}\}", "x", scripts)
    checked = subprocess.run(["bash", "-n"], input=plain, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_all_of_the_tests_run_and_nothing_may_be_skipped():
    [job] = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"].values()
    assert job["env"]["CI"] == "true"
    assert "make test" in [step.get("run") for step in job["steps"]]


def test_every_module_is_published_from_what_dist_makes():
    steps = _steps(ROOT / ".github/workflows/release.yaml")
    [push] = [step["run"] for step in steps if "skopeo copy" in step.get("run", "")]
    [names] = re.findall(r"^for name in (.*); do$", push, re.MULTILINE)
    assert names.split() == list(MODULES)
    [upload] = [step["with"]["path"].split() for step in steps if "upload-artifact" in step.get("uses", "")]
    directory = ROOT / "dist"
    uploaded = {path for pattern in upload for path in ROOT.glob(pattern)}
    assert uploaded == {path for path in directory.iterdir() if path.is_file()}
