"""The two workloads of the tests, as Istio would describe them to their proxies.

No two facts of a workload are equal, so that a label that took its value from
the wrong place shows.
"""

from dataclasses import dataclass, field

from lab.tree import Json


@dataclass(frozen=True)
class Workload:
    """What a proxy's bootstrap says about the workload it serves."""

    name: str
    namespace: str
    cluster_id: str
    owner: str
    istio_version: str
    labels: dict[str, str] = field(default_factory=dict)
    pod: str = ""
    address: str = ""

    @property
    def node_id(self) -> str:
        return f"sidecar~{self.address}~{self.pod}.{self.namespace}~{self.namespace}.svc.cluster.local"

    def node(self) -> Json:
        """The bootstrap's `node`."""
        return {"id": self.node_id, "cluster": f"{self.name}.{self.namespace}", "metadata": self.node_metadata()}

    def node_metadata(self) -> Json:
        return {
            "NAME": self.pod,
            "NAMESPACE": self.namespace,
            "WORKLOAD_NAME": self.name,
            "CLUSTER_ID": self.cluster_id,
            "MESH_ID": "mesh-1",
            "OWNER": self.owner,
            "ISTIO_VERSION": self.istio_version,
            "LABELS": dict(self.labels),
            # Istio's proxies have these too; no peer and no label needs them.
            "INSTANCE_IPS": self.address,
            "PLATFORM_METADATA": {"cloud_zone": "zone-9"},
        }

    def peer_metadata(self) -> Json:
        """The part of the node's metadata that peers are told."""
        told = ("NAME", "NAMESPACE", "WORKLOAD_NAME", "CLUSTER_ID", "OWNER", "MESH_ID")
        node = self.node_metadata()
        labels = {key: value for key, value in self.labels.items() if key in TOLD_LABELS}
        return {**{key: node[key] for key in told}, "LABELS": labels}

    def endpoint_metadata(self) -> str:
        """What Istio's control plane attaches to this workload's endpoints."""
        canonical = [self.labels[f"service.istio.io/canonical-{what}"] for what in ("name", "revision")]
        return ";".join([self.name, self.namespace, *canonical, self.cluster_id])

    def spiffe_id(self) -> str:
        return f"spiffe://cluster.local/ns/{self.namespace}/sa/{self.name}-account"


# The Kubernetes labels that become labels of a metric.
TOLD_LABELS = (
    "service.istio.io/canonical-name",
    "service.istio.io/canonical-revision",
    "app",
    "version",
    "app.kubernetes.io/name",
    "app.kubernetes.io/version",
)

# The caller, in the Kubernetes cluster "east".
SHOP = Workload(
    name="shop-v2",
    namespace="retail",
    cluster_id="east",
    owner="kubernetes://apis/apps/v1/namespaces/retail/deployments/shop-v2",
    istio_version="1.24.2",
    pod="shop-v2-7d9f-x2b4c",
    address="10.1.0.7",
    labels={
        "app": "shop-app",
        "version": "2.1",
        "service.istio.io/canonical-name": "shop",
        "service.istio.io/canonical-revision": "rev-2",
        "pod-template-hash": "7d9f",
    },
)

# The called, in the Kubernetes cluster "west". It has both spellings of app
# and version; the qualified one counts.
STOCK = Workload(
    name="stock-v1",
    namespace="warehouse",
    cluster_id="west",
    owner="kubernetes://apis/apps/v1/namespaces/warehouse/deployments/stock-v1",
    istio_version="1.25.0",
    pod="stock-v1-55c8-k9m1p",
    address="10.2.0.9",
    labels={
        "app.kubernetes.io/name": "stock-app",
        "app.kubernetes.io/version": "1.4",
        "app": "stock-app-short",
        "version": "1.4-short",
        "service.istio.io/canonical-name": "stock",
        "service.istio.io/canonical-revision": "rev-1",
        "pod-template-hash": "55c8",
    },
)

# The waypoint between the two, in a Kubernetes cluster of its own.
WAYPOINT = Workload(
    name="waypoint-v1",
    namespace="gateways",
    cluster_id="north",
    owner="kubernetes://apis/apps/v1/namespaces/gateways/deployments/waypoint-v1",
    istio_version="1.25.1",
    pod="waypoint-v1-1a2b-q7r8s",
    address="10.3.0.2",
    labels={"service.istio.io/canonical-name": "waypoint", "service.istio.io/canonical-revision": "rev-0"},
)

# The service in front of the called workload. Its namespace is not the
# workload's, so that the two namespace labels can be told apart.
STOCK_SERVICE = {"host": "stock.logistics.svc.cluster.local", "name": "stock-api", "namespace": "logistics"}
