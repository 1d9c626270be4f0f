"""What Kubernetes' service discovery would find, for a Prometheus that cannot ask it.

Debian's Prometheus is built without that service discovery; the labels it finds are the same from a fixed list.
"""

POD = "__meta_kubernetes_pod_"
ANNOTATION = f"{POD}annotation_prometheus_io_"


def annotated(name, namespace, port):
    """A pod whose annotations say where its proxy is, as Istio's injector writes them."""
    annotations = {
        f"{ANNOTATION}scrape": "true",
        f"{ANNOTATION}port": str(port),
        f"{ANNOTATION}path": "/stats/prometheus",
    }
    return _pod(name, namespace, "127.0.0.1:9", annotations)


def with_proxy_port(name, namespace, port):
    """A pod of Istio without annotations: the application's port, and that of the proxy."""
    return [
        *_pod(name, namespace, "127.0.0.1:9", {f"{POD}container_port_name": "http"}),
        *_pod(name, namespace, f"127.0.0.1:{port}", {f"{POD}container_port_name": "http-envoy-prom"}),
    ]


def completed(name, namespace, port):
    """A pod that is over; its address may belong to another by now."""
    ended = annotated(name, namespace, port)
    ended[0]["labels"][f"{POD}phase"] = "Succeeded"
    return ended


def put_into(config, pods):
    """The configuration with these pods in place of each service discovery."""
    for job in config["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}], job
        job["static_configs"] = pods
    return config


def _pod(name, namespace, address, labels):
    described = {
        f"{POD}name": name,
        f"{POD}ip": "127.0.0.1",
        f"{POD}phase": "Running",
        "__meta_kubernetes_namespace": namespace,
        **labels,
    }
    return [{"targets": [address], "labels": described}]
