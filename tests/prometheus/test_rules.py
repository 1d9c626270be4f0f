"""Prometheus' own checks and unit tests, and that none of them is missing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.paths import ROOT
from scripts.dashboards import promql
from tests.prometheus.checks import pods, rules, server

UNIT_TESTS = ROOT / "tests" / "prometheus" / "rules"
CONFIGURATIONS = sorted(rules.DIRECTORY.glob("*.yaml"))
RULE_FILES = rules.files()
KINDS = {"counter": ("",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.name)
def test_the_configuration_is_valid(file: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(file.read_text())
    if file.name == "kubernetes.yaml":
        config = pods.put_into(config, [])
    if file.name == "remote-write.yaml":
        config = server.with_remote_write(pods.put_into(server.configuration("kubernetes.yaml"), []))
    # Next to what it names.
    (tmp_path / "rules").symlink_to(rules.DIRECTORY / "rules")
    (tmp_path / file.name).write_text(yaml.safe_dump(config))
    checked = server.promtool("check", "config", str(tmp_path / file.name))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.name)
def test_the_rules_are_right(file: Path) -> None:
    tested = server.promtool("test", "rules", str(UNIT_TESTS / file.name))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.name)
def test_every_rule_has_a_unit_test_that_expects_something(file: Path) -> None:
    tests = yaml.safe_load((UNIT_TESTS / file.name).read_text())["tests"]
    recorded = " ".join(one["expr"] for test in tests for one in test.get("promql_expr_test", []) if one["exp_samples"])
    alerted = {one["alertname"] for test in tests for one in test.get("alert_rule_test", []) if one["exp_alerts"]}
    untested = [
        rule.get("record") or rule["alert"]
        for rule in rules.load(file)
        if not (re.search(rf"\b{rule['record']}\b", recorded) if "record" in rule else rule["alert"] in alerted)
        # promtool 2.42 has no such samples to put in: test_live has real ones.
        and not rules.OF_NATIVE.fullmatch(rule.get("record", ""))
    ]
    assert not untested


def test_a_wrong_rule_fails_its_unit_test(tmp_path: Path) -> None:
    """The check itself: with received for sent, as rules for TCP are easily copied."""
    (wrong,) = [rule for rule in rules.load(WORKLOAD) if rule["record"] == "workload:istio_tcp_sent_bytes_total"]
    text = WORKLOAD.read_text()
    expression = "          " + wrong["expr"].replace("\n", "\n          ").rstrip()
    assert expression in text
    changed = text.replace(expression, expression.replace("(istio_tcp_sent", "(istio_tcp_received"))
    (tmp_path / "rules.yaml").write_text(changed)
    test = (UNIT_TESTS / WORKLOAD.name).read_text()
    (tmp_path / "test.yaml").write_text(re.sub("rule_files: .*", "rule_files: [rules.yaml]", test))
    tested = server.promtool("test", "rules", str(tmp_path / "test.yaml"))
    assert tested.returncode != 0
    assert "workload:istio_tcp_sent_bytes_total" in tested.stdout + tested.stderr


WORKLOAD = rules.DIRECTORY / "rules" / "workload.yaml"


def test_what_fails_is_what_the_document_says() -> None:
    """In rules and dashboards; the command has a test of its own."""
    (rule,) = [
        rule
        for rule in rules.load(rules.DIRECTORY / "rules" / "cross-cluster.yaml")
        if rule.get("record") == "cross_cluster:istio_request_errors:rate5m"
    ]
    assert tuple(re.findall(r'source", (.*?)}', rule["expr"])) == promql.FAILURES
    rows = (ROOT / "docs" / "dashboards.md").read_text().partition("<!-- failures -->")[2].partition("\n\n")[0]
    documented = re.findall(r"^\| `(\w+)` \| (.*?) \|", rows, re.MULTILINE)
    assert len(documented) == len(promql.FAILURES)
    for (label, values), failure in zip(documented, promql.FAILURES, strict=True):
        regex = values.replace("`", "").replace(", ", "|")
        assert failure in (f'{label}=~"{regex}"', f'{label}=~"(.*,)?({regex})(,.*)?"')


def test_every_metric_is_recorded_for_workloads() -> None:
    recorded = [rule["record"] for rule in rules.load(WORKLOAD) if rule["record"].startswith("workload:")]
    assert sorted(recorded) == sorted(
        f"workload:{metric}{suffix}" for metric, kind in standard_metrics().items() for suffix in KINDS[kind]
    )


def test_the_committed_rules_are_those_of_their_source() -> None:
    command = [sys.executable, "-m", "scripts.rules", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_workload_rules_sum_away_what_scraping_adds() -> None:
    """All labels that a target gets, but its job."""
    added = {"instance"}
    for job in server.configuration("kubernetes.yaml")["scrape_configs"]:
        added |= {one["target_label"] for one in job["relabel_configs"] if "target_label" in one}
    added = {label for label in added if not label.startswith("__")}
    summed_away = re.findall(r"without \((.*?)\)", rules.load(WORKLOAD)[0]["expr"])[0].split(", ")
    assert added <= set(summed_away)
    assert "job" not in summed_away


def test_what_is_written_to_a_store_is_what_would_be_federated() -> None:
    (job, *_) = server.configuration("federation-workload.yaml")["scrape_configs"]
    (keep, *rename) = server.configuration("remote-write.yaml")["remote_write"][0]["write_relabel_configs"]
    federated = re.findall('__name__=~"(.*?)"', " ".join(job["params"]["match[]"]))
    assert set(keep["regex"].split("|")) == {name for names in federated for name in names.split("|")}
    assert rename == job["metric_relabel_configs"]


def test_the_standalone_configuration_scrapes_the_samples() -> None:
    (job,) = server.configuration("standalone.yaml")["scrape_configs"]
    (targets,) = job["static_configs"]
    admin = [
        yaml.safe_load(file.read_text())["admin"]["address"]["socket_address"]
        for file in (ROOT / "envoy-config" / "standalone").glob("*.yaml")
    ]
    # Variants of a sample have its ports.
    assert set(targets["targets"]) == {f"{address['address']}:{address['port_value']}" for address in admin}


def standard_metrics() -> dict[str, str]:
    """Every metric and its kind, from the README's table, which is compared with the code elsewhere."""
    rows = (ROOT / "README.md").read_text().partition("<!-- metrics -->")[2].partition("\n\n")[0]
    found = dict(re.findall(r"^\| `(istio_\w+)` \| (\w+) \|", rows, re.MULTILINE))
    assert found
    return found
