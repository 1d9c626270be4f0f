"""What a Prometheus answers, and what it would find in Kubernetes."""

import json
import urllib.parse
from typing import Any
from urllib.error import HTTPError

from lab import web
from lab.tree import Json

_POD = "__meta_kubernetes_pod_"


class QueryError(Exception):
    """Prometheus does not understand the expression, or cannot evaluate it."""


def ask(url: str, path: str, **parameters: object) -> Any:
    """The data of an answer of its API."""
    body = urllib.parse.urlencode(parameters).encode()
    try:
        return json.loads(web.read(f"{url}/api/v1/{path}", body))["data"]
    except HTTPError as error:
        raise QueryError(f"{error.code}: {error.read().decode()}") from error


def pod(name: str, namespace: str, ip: str, target: str, **labels: str) -> Json:
    """A running pod as service discovery in Kubernetes would show it, for a Prometheus that cannot ask there.

    `labels`: more of the pod's, by the ends of their names.
    """
    return {
        "targets": [target],
        "labels": {
            f"{_POD}name": name,
            f"{_POD}ip": ip,
            f"{_POD}phase": "Running",
            "__meta_kubernetes_namespace": namespace,
            **{f"{_POD}{label}": value for label, value in labels.items()},
        },
    }


def annotations(port: int) -> dict[str, str]:
    """Labels of a pod whose annotations say where its proxy is, as Istio's injector writes them."""
    return {
        "annotation_prometheus_io_scrape": "true",
        "annotation_prometheus_io_port": str(port),
        "annotation_prometheus_io_path": "/stats/prometheus",
    }
