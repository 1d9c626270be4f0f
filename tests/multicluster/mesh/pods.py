"""The pods of the mesh, as docker-compose.yaml lists them."""

import string
from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from lab.tree import Json
from tests.multicluster.mesh.paths import COMPOSE_FILE

KUBERNETES_CLUSTERS = ("east", "west")
NAMESPACE = "shop"
TRUST_DOMAIN = "shop-mesh"


@dataclass(frozen=True)
class Pod:
    """A workload in a Kubernetes cluster; it has one pod."""

    name: str
    kubernetes_cluster: str
    workload: str
    app: str
    version: str
    # By network. Only gateways have more than one.
    addresses: dict[str, str]
    # The container that runs its Envoy.
    proxy: str

    @property
    def address(self) -> str:
        """In its own Kubernetes cluster."""
        return self.addresses[self.kubernetes_cluster]

    @property
    def pod_name(self) -> str:
        """In Kubernetes, where the name of the Kubernetes cluster is no part of it."""
        return f"{self.workload}-0"

    @property
    def containers(self) -> Iterable[str]:
        """Of the pod, the one with the network first."""
        return dict.fromkeys((self.name, self.proxy))

    def node(self) -> Json:
        """The bootstrap's `node`, as Istio writes it."""
        return {
            "id": f"sidecar~{self.address}~{self.name}.{NAMESPACE}~{NAMESPACE}.svc.cluster.local",
            "cluster": f"{self.app}.{NAMESPACE}",
            "locality": {"region": self.kubernetes_cluster},
            "metadata": {
                "CLUSTER_ID": self.kubernetes_cluster,
                "NAME": self.pod_name,
                "NAMESPACE": NAMESPACE,
                "WORKLOAD_NAME": self.workload,
                "OWNER": f"kubernetes://apis/apps/v1/namespaces/{NAMESPACE}/deployments/{self.workload}",
                "MESH_ID": TRUST_DOMAIN,
                "LABELS": {
                    "app": self.app,
                    "version": self.version,
                    "service.istio.io/canonical-name": self.app,
                    "service.istio.io/canonical-revision": self.version,
                },
            },
        }

    def endpoint_metadata(self) -> str:
        """What Istio's control plane attaches to its endpoint."""
        return f"{self.workload};{NAMESPACE};{self.app};{self.version};{self.kubernetes_cluster}"


class Inventory:
    """Every pod, and where the Prometheis are."""

    def __init__(self, variables: dict[str, str]) -> None:
        composed = yaml.safe_load(string.Template(COMPOSE_FILE.read_text()).substitute(variables))
        self._services = composed["services"]
        self.pods = [self._pod(name) for name, service in self._services.items() if "labels" in service]

    def _pod(self, name: str) -> Pod:
        labels = self._services[name]["labels"]
        kubernetes_cluster, workload = name.split("-", 1)
        proxy = f"{name}-proxy"
        return Pod(
            name,
            kubernetes_cluster,
            workload,
            labels["app"],
            labels["version"],
            self.addresses(name),
            proxy if proxy in self._services else name,
        )

    def addresses(self, service: str) -> dict[str, str]:
        """By network."""
        networks = self._services[service]["networks"]
        return {network: attached["ipv4_address"] for network, attached in networks.items()}

    def of(self, app: str, kubernetes_cluster: str) -> list[Pod]:
        return [pod for pod in self.pods if (pod.app, pod.kubernetes_cluster) == (app, kubernetes_cluster)]

    def one(self, app: str, kubernetes_cluster: str) -> Pod:
        (pod,) = self.of(app, kubernetes_cluster)
        return pod
