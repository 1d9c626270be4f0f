"""What Kubernetes' service discovery would find, for a Prometheus that cannot ask it.

Debian's Prometheus is built without that service discovery; the labels it finds are the same from a fixed list.
"""

from lab.prometheus import annotations, pod
from lab.tree import Json

# Of a pod whose proxy is to send native histograms.
NATIVE = {"annotation_prometheus_io_param_histogram_buckets": "prometheusnative"}


def annotated(name: str, namespace: str, port: int, **labels: str) -> list[Json]:
    """A pod whose annotations say where its proxy is."""
    return [_pod(name, namespace, "127.0.0.1:9", **annotations(port), **labels)]


def with_proxy_port(name: str, namespace: str, port: int, **labels: str) -> list[Json]:
    """A pod of Istio that does not say where its proxy is: the application's port, and that of the proxy."""
    return [
        _pod(name, namespace, "127.0.0.1:9", container_port_name="http", **labels),
        _pod(name, namespace, f"127.0.0.1:{port}", container_port_name="http-envoy-prom", **labels),
    ]


def completed(name: str, namespace: str, port: int) -> list[Json]:
    """A pod that is over; its address may belong to another by now."""
    return annotated(name, namespace, port, phase="Succeeded")


def put_into(config: Json, pods: list[Json]) -> Json:
    """The configuration with these pods in place of each service discovery."""
    for job in config["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}], job
        job["static_configs"] = pods
    return config


def _pod(name: str, namespace: str, target: str, **labels: str) -> Json:
    return pod(name, namespace, "127.0.0.1", target, **labels)
