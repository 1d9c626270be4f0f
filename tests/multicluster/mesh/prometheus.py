"""The Prometheis: their configuration, and what they answer."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from lab import prometheus
from lab.failure import Failure
from lab.tree import Json
from lab.web import answers_ok
from tests.multicluster.mesh.envoy import STATS_PORT
from tests.multicluster.mesh.paths import PROMETHEUS
from tests.multicluster.mesh.pods import NAMESPACE, Inventory, Pod

PORT = 9090
# Instead of the 15 s in the project's configurations. Rules keep their own pace.
PACE = "2s"


def local(inventory: Inventory, kubernetes_cluster: str) -> Json:
    """The Prometheus of one Kubernetes cluster: envoy-config/prometheus/kubernetes.yaml.

    What its service discovery would find is a list here: there is no Kubernetes to ask.
    """
    config = _configuration("kubernetes.yaml")
    pods = [_discovered(pod) for pod in inventory.pods if pod.kubernetes_cluster == kubernetes_cluster]
    for job in config["scrape_configs"]:
        del job["kubernetes_sd_configs"]
        job["static_configs"] = pods
    return config


def federating(inventory: Inventory) -> Json:
    """The one above both: envoy-config/prometheus/federation.yaml, whose Kubernetes clusters are ours."""
    config = _configuration("federation.yaml")
    for job in config["scrape_configs"]:
        (target,) = job["static_configs"]
        one = target["labels"]["cluster"]
        target["targets"] = [f"{inventory.addresses(f'{one}-prometheus')[one]}:{PORT}"]
    return config


def _discovered(pod: Pod) -> Json:
    """A running pod whose annotations say where to scrape it."""
    return prometheus.pod(pod.pod_name, NAMESPACE, pod.address, pod.address, **prometheus.annotations(STATS_PORT))


def _configuration(name: str) -> Json:
    config = yaml.safe_load((PROMETHEUS / name).read_text())
    config["global"] |= {"scrape_interval": PACE, "scrape_timeout": PACE, "evaluation_interval": PACE}
    config["rule_files"] = [f"/prometheus/{file}" for file in config["rule_files"]]
    return config


@dataclass(frozen=True)
class Series:
    """Labels, and samples as (Unix time, value); one if it was an instant query."""

    labels: dict[str, str]
    samples: list[tuple[float, float]]

    @property
    def value(self) -> float:
        return self.samples[-1][1]


class Prometheus:
    """A running one."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.url = f"http://{address}:{PORT}"

    def query(self, expression: str, time: float | None = None) -> list[Series]:
        """The series of an instant query, now or at a Unix time."""
        parameters = {"query": expression} | ({} if time is None else {"time": time})
        return self._series("query", parameters)

    def by(self, expression: str, *labels: str, time: float | None = None) -> dict[tuple[str, ...], float]:
        """The values of an instant query by the values of these labels."""
        found = {}
        for series in self.query(expression, time):
            key = tuple(series.labels.get(label, "") for label in labels)
            if key in found:
                raise Failure(f"{self.name}: several series of {expression} have {dict(zip(labels, key, strict=True))}")
            found[key] = series.value
        return found

    def stored(self, selector: str, seconds: float, time: float | None = None) -> list[Series]:
        """Every sample that it has stored of these series in the seconds until now, or until a Unix time."""
        return self.query(f"{selector}[{math.ceil(seconds)}s]", time)

    def counted(self, selector: str, seconds: float, *labels: str) -> dict[tuple[str, ...], float]:
        """What the stored samples of counters add up to, by the values of these labels.

        As `increase()` it goes on over resets; other than that, it counts the first
        sample of a series from zero, since ours begin with their first count, and
        extrapolates nothing.
        """
        found: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for series in self.stored(selector, seconds):
            found[tuple(series.labels.get(label, "") for label in labels)] += climbed(series.samples)
        return found

    def is_ready(self) -> bool:
        return answers_ok(f"{self.url}/-/ready")

    def _series(self, path: str, parameters: Json) -> list[Series]:
        try:
            result = prometheus.ask(self.url, path, **parameters)["result"]
        except prometheus.QueryError as error:
            raise Failure(f"{self.name} refuses {parameters['query']}: {error}") from error
        return [
            Series(series["metric"], [(time, float(value)) for time, value in _samples(series)]) for series in result
        ]


def climbed(samples: list[tuple[float, float]]) -> float:
    """How far a counter climbed from zero, over all its resets."""
    total = before = 0.0
    for _, value in samples:
        total += value - before if value >= before else value
        before = value
    return total


def _samples(series: Json) -> Sequence[tuple[float, str]]:
    return series["values"] if "values" in series else [series["value"]]
