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
SIZES = ((1, 10, 3), (2, 10, 3), (1, 100, 3), (20, 10, 1), (1, 1000, 1))
FORMS = {TEXT: "text", NATIVES: "native"}
# Between two scrapes: of up to so many proxies, and of more.
FEW, INTERVALS = 500, (5, 15)
# Scrapes of each proxy while it is measured, once all is recorded that will be, or as much time has passed.
SCRAPES, WARM_UP_SECONDS = 4, 60
# Panels that are not asked by then are left out, and not begun with a mesh that may take longer than all may.
PANELS_SECONDS = 40
BUDGET_SECONDS = 700
Size = tuple[int, int, int]
CONFIGURATIONS = ROOT / "envoy-config" / "prometheus"


def run(effort: float) -> Part:
    recorded = record()
    sizes = SIZES[: max(1, round(len(SIZES) * min(effort, 1)))]
    found: list[Json] = []
    began = time.monotonic()
    for size in sizes:
        if time.monotonic() - began + longest(size) > BUDGET_SECONDS:
            print(f"left out for want of time: {mesh_name(size)}")
            continue
        for form in FORMS:
            found.append({"size": size, "form": form, **measure(recorded, size, form)})
            print(f"{time.monotonic() - began:4.0f} s: {mesh_name(size)}, {form}")
    return report(found)


def mesh_name(size: Size) -> str:
    return " × ".join(map(str, size))


def interval(size: Size) -> int:
    clusters, workloads, pods = size
    few, many = INTERVALS
    return few if clusters * workloads * pods <= FEW else many


def longest(size: Size) -> float:
    """How many seconds both forms may take, with the start of a process each second."""
    return len(FORMS) * (WARM_UP_SECONDS + interval(size) * SCRAPES + PANELS_SECONDS + size[0])


def measure(recorded: Recorded, size: Size, form: str) -> Json:
    clusters, *_ = size
    seconds = interval(size)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(replaying(recorded))
        processes = stack.enter_context(Processes())
        (directory / "rules").mkdir()
        for file in (CONFIGURATIONS / "rules").iterdir():
            (directory / "rules" / file.name).write_text(rules.paced(file.read_text(), seconds))
        options = () if form == TEXT else SPEAKS_PROTOBUF
        config = {"global": {"evaluation_interval": f"{seconds}s"}, "rule_files": ["rules/cross-cluster.yaml"]}
        store = Prometheus(processes, "store", config, directory, ("--web.enable-remote-write-receiver",))
        empty = store.resident_bytes()
        first, *_ = [
            Prometheus(
                processes, f"cluster-{number}", local_config(server, store, number, size, form), directory, options
            )
            for number in range(clusters)
        ]
        said = plan(size, form, seconds)
        await_series(store, said["above"]["series"])
        began = first.cpu_seconds()
        time.sleep(SCRAPES * seconds)
        cpu = (first.cpu_seconds() - began) / SCRAPES
        asked = list(panels(store))
        return {
            "scraped": first.value("sum(scrape_samples_post_metric_relabeling)"),
            "held": own(first, "prometheus_tsdb_head_series"),
            "bytes": first.resident_bytes() - empty,
            "cpu_seconds": cpu,
            "interval_seconds": seconds,
            "rules_seconds": max(own_all(first, "prometheus_rule_group_last_duration_seconds")),
            "missed": own(first, "prometheus_rule_group_iterations_missed_total"),
            "above": own(store, "prometheus_tsdb_head_series"),
            "panels": asked,
            "plan": said,
        }


def await_series(prometheus: Prometheus, count: float) -> None:
    """Some go on without: then fewer are in the figures."""
    deadline = time.monotonic() + WARM_UP_SECONDS
    while own(prometheus, "prometheus_tsdb_head_series") < count and time.monotonic() < deadline:
        time.sleep(1)


def local_config(server: Replay, store: Prometheus, cluster: int, size: Size, form: str) -> Json:
    """As kubernetes.yaml with remote-write.yaml, for proxies that are not found but known."""
    _, workloads, pods = size
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
    pace = f"{interval(size)}s"
    timing = {"scrape_interval": pace, "scrape_timeout": pace, "evaluation_interval": pace}
    return {
        "global": {**timing, "external_labels": {"cluster": f"c{cluster}"}},
        "rule_files": ["rules/workload.yaml", "rules/proxies.yaml"],
        "remote_write": written["remote_write"],
        "scrape_configs": [job],
    }


def own(prometheus: Prometheus, metric: str) -> float:
    """Of a metric of Prometheus' own."""
    return sum(own_all(prometheus, metric))


def own_all(prometheus: Prometheus, metric: str) -> list[float]:
    found = re.findall(rf"^{metric}(?:\{{.*\}})? (\S+)$", web.read(f"{prometheus.url}/metrics"), re.MULTILINE)
    return [float(one) for one in found] or [0.0]


def panels(prometheus: Prometheus) -> Iterator[float]:
    """How many seconds each dashboard's every panel takes, as long as there is time."""
    query = over_http(prometheus.url)
    started = time.monotonic()
    for dashboard in dashboards.load():
        values, _ = dashboards.variables(dashboard, query)
        for panel in dashboards.panels(dashboard):
            began = time.monotonic()
            if began - started > PANELS_SECONDS:
                return
            for expression in panel.expressions:
                try:
                    query(dashboards.substituted(expression, values))
                except QueryError as error:
                    raise AssertionError(f"{panel}: {error}") from error
            yield time.monotonic() - began


def plan(size: Size, form: str, seconds: int) -> Json:
    """What the command says of it. A replayed proxy reports only what it calls: half of what it assumes."""
    clusters, workloads, pods = size
    words = (
        f"--kubernetes-clusters {clusters} --workloads {workloads} --pods {pods} "
        f"--peers {LABEL_SETS // 2} --outcomes 1 --form {FORMS[form]} --scrape-interval {seconds} --json"
    )
    return json.loads(subprocess.run([command(), "plan", *words.split()], check=True, capture_output=True).stdout)[
        "totals"
    ]


def report(found: list[Json]) -> Part:
    def row(one: Json) -> list[object]:
        said = one["plan"]
        return [
            mesh_name(one["size"]),
            one["form"],
            round(one["scraped"]),
            round(one["held"]),
            round(said["held"]["series"]),
            round(one["bytes"] / (1 << 20)),
            round(said["held"]["memory_bytes"] / (1 << 20)),
            f"{one['cpu_seconds'] / one['interval_seconds']:.2f}",
            f"{one['rules_seconds']:.2f} of {one['interval_seconds']}",
            round(one["missed"]),
            round(one["above"]),
            f"{max(one['panels']):.2f} of {len(one['panels'])}",
        ]

    verdicts = [
        near(f"{mesh_name(one['size'])}, {one['form']}: series {what}", one[what], one["plan"][what]["series"])
        for one in found
        # What rules had no time for is not there to be counted.
        if not one["missed"]
        for what in ("scraped", "held", "above")
    ]
    return Part(
        name="fleet",
        title=f"Kubernetes clusters × workloads × pods, {LABEL_SETS} label sets each; the Prometheus of the first",
        columns=[
            *("mesh", "form", "series scraped", "series held", "plan", "MiB", "plan"),
            *("cores", "s of the slowest rules", "evaluations missed", "series above", "s of the slowest panel"),
        ],
        rows=[row(one) for one in found],
        about={"label sets of a proxy": LABEL_SETS, "scrapes": SCRAPES, "the machine": "shared with others"},
        raw=found,
        verdicts=verdicts,
    )


def near(what: str, measured: float, said: float) -> Verdict:
    return Verdict(0.8 <= said / measured <= 1.25, f"{what} {measured:.0f}, plan says {said:.0f}")
