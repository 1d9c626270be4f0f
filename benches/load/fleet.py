"""What a mesh takes of its Kubernetes clusters' Prometheis, in either form, beside what `istio-stats plan` says."""

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import yaml

from benches.load.prometheus import SPEAKS_PROTOBUF, Prometheus
from benches.load.replay import LABEL_SETS, Recorded, Replay, record, replaying
from benches.load.report import Part, Verdict
from benches.load.scrape import NATIVES, TEXT
from lab import web
from lab.paths import ROOT, command
from lab.processes import Processes
from lab.prometheus import QueryError
from lab.tree import Json
from tests.prometheus.checks import dashboards, rules
from tests.prometheus.checks.queries import over_http

# Kubernetes clusters, workloads in each and pods of each, the cheapest first.
SIZES = ((1, 10, 3), (2, 10, 3), (1, 30, 3), (5, 10, 3), (1, 100, 3))
FORMS = {TEXT: "text", NATIVES: "native"}
INTERVAL_SECONDS = 5
# Scrapes of each proxy before anything is measured, and until it is.
SCRAPES = 8
# When so long has passed, no larger mesh is begun.
BUDGET_SECONDS = 540
CONFIGURATIONS = ROOT / "envoy-config" / "prometheus"


def run(effort: float) -> Part:
    recorded = record()
    sizes = SIZES[: max(1, round(len(SIZES) * min(effort, 1)))]
    found: list[Json] = []
    began = time.monotonic()
    for size in sizes:
        if time.monotonic() - began > BUDGET_SECONDS:
            print(f"left out for want of time: {size} and larger")
            break
        for form in FORMS:
            found.append({"size": size, "form": form, **measure(recorded, size, form)})
            print(".", end="", flush=True)
    print()
    return report(found)


def measure(recorded: Recorded, size: tuple[int, int, int], form: str) -> Json:
    clusters, workloads, pods = size
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(replaying(recorded))
        processes = stack.enter_context(Processes())
        (directory / "rules").mkdir()
        for file in (CONFIGURATIONS / "rules").iterdir():
            (directory / "rules" / file.name).write_text(rules.paced(file.read_text(), INTERVAL_SECONDS))
        options = () if form == TEXT else SPEAKS_PROTOBUF
        store = Prometheus(processes, "store", store_config(), directory, ("--web.enable-remote-write-receiver",))
        empty = store.resident_bytes()
        local = [
            Prometheus(
                processes,
                f"cluster-{number}",
                local_config(server, store, number, workloads, pods, form),
                directory,
                options,
            )
            for number in range(clusters)
        ]
        time.sleep(2 * INTERVAL_SECONDS)
        began = local[0].cpu_seconds()
        time.sleep(SCRAPES * INTERVAL_SECONDS)
        first = local[0]
        cpu = (first.cpu_seconds() - began) / (SCRAPES * INTERVAL_SECONDS)
        return {
            "scraped": first.value("sum(scrape_samples_post_metric_relabeling)"),
            "held": own(first, "prometheus_tsdb_head_series"),
            "bytes": first.resident_bytes() - empty,
            "cores": cpu,
            "rules_seconds": max(own_all(first, "prometheus_rule_group_last_duration_seconds")),
            "above": own(store, "prometheus_tsdb_head_series"),
            "panels_seconds": sum(panels(store)),
            "plan": plan(size, form),
        }


def local_config(server: Replay, store: Prometheus, cluster: int, workloads: int, pods: int, form: str) -> Json:
    """As kubernetes.yaml with remote-write.yaml, for proxies that are not found but known."""
    kubernetes, written = (
        yaml.safe_load((CONFIGURATIONS / f"{name}.yaml").read_text()) for name in ("kubernetes", "remote-write")
    )
    written["remote_write"][0]["url"] = f"{store.url}/api/v1/write"
    targets = [
        {
            "targets": [server.address],
            "labels": {
                "instance": f"10.{cluster}.{workload}.{pod}:15020",
                "pod": f"w{workload}-{pod}",
                "namespace": "shop",
                "__metrics_path__": f"/{form}/{cluster * workloads + workload}/{pod}",
            },
        }
        for workload in range(workloads)
        for pod in range(pods)
    ]
    job = {
        "job_name": "kubernetes-pods",
        "static_configs": targets,
        "metric_relabel_configs": kubernetes["scrape_configs"][0]["metric_relabel_configs"],
    }
    pace = f"{INTERVAL_SECONDS}s"
    timing = {"scrape_interval": pace, "scrape_timeout": pace, "evaluation_interval": pace}
    return {
        "global": {**timing, "external_labels": {"cluster": f"c{cluster}"}},
        "rule_files": ["rules/workload.yaml", "rules/proxies.yaml"],
        "remote_write": written["remote_write"],
        "scrape_configs": [job],
    }


def store_config() -> Json:
    pace = f"{INTERVAL_SECONDS}s"
    return {"global": {"evaluation_interval": pace}, "rule_files": ["rules/cross-cluster.yaml"]}


def own(prometheus: Prometheus, metric: str) -> float:
    """Of a metric of Prometheus' own."""
    return sum(own_all(prometheus, metric))


def own_all(prometheus: Prometheus, metric: str) -> list[float]:
    found = re.findall(rf"^{metric}(?:\{{.*\}})? (\S+)$", web.read(f"{prometheus.url}/metrics"), re.MULTILINE)
    return [float(one) for one in found] or [0.0]


def panels(prometheus: Prometheus) -> Iterator[float]:
    """How long each dashboard's every panel takes."""
    query = over_http(prometheus.url)
    for dashboard in dashboards.load():
        values, _ = dashboards.variables(dashboard, query)
        for panel in dashboards.panels(dashboard):
            began = time.monotonic()
            for expression in panel.expressions:
                try:
                    query(dashboards.substituted(expression, values))
                except QueryError as error:
                    raise AssertionError(f"{panel}: {error}") from error
            yield time.monotonic() - began


def plan(size: tuple[int, int, int], form: str) -> Json:
    """What the command says of it. A replayed proxy reports only what it calls: half of what it assumes."""
    clusters, workloads, pods = size
    words = (
        f"--kubernetes-clusters {clusters} --workloads {workloads} --pods {pods} "
        f"--peers {LABEL_SETS // 2} --outcomes 1 --form {FORMS[form]} --scrape-interval {INTERVAL_SECONDS} --json"
    )
    return json.loads(subprocess.run([command(), "plan", *words.split()], check=True, capture_output=True).stdout)[
        "totals"
    ]


def report(found: list[Json]) -> Part:
    def row(one: Json) -> list[object]:
        said = one["plan"]
        return [
            " × ".join(map(str, one["size"])),
            one["form"],
            round(one["scraped"]),
            round(one["held"]),
            round(said["held"]["series"]),
            round(one["bytes"] / (1 << 20)),
            round(said["held"]["memory_bytes"] / (1 << 20)),
            f"{one['cores']:.2f}",
            f"{one['rules_seconds']:.2f}",
            round(one["above"]),
            f"{one['panels_seconds']:.2f}",
        ]

    verdicts = [
        near(
            f"{' × '.join(map(str, one['size']))}, {one['form']}: series {what}", one[what], one["plan"][what]["series"]
        )
        for one in found
        for what in ("scraped", "held", "above")
    ]
    return Part(
        name="fleet",
        title=f"Kubernetes clusters × workloads × pods, {LABEL_SETS} label sets each; the Prometheus of the first",
        columns=[
            *("mesh", "form", "series scraped", "series held", "plan", "MiB", "plan"),
            *("cores", "s of rules", "series above", "s of all panels"),
        ],
        rows=[row(one) for one in found],
        about={"scrape interval, s": INTERVAL_SECONDS},
        raw=found,
        verdicts=verdicts,
    )


def near(what: str, measured: float, said: float) -> Verdict:
    return Verdict(0.8 <= said / measured <= 1.25, f"{what} {measured:.0f}, plan says {said:.0f}")
