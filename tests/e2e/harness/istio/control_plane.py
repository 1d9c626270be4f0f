"""From resources and the shape of a proxy to the bootstrap of an Envoy: what istiod
and the agent in the pod do between them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import bootstrap
from lab.certs import Identity
from lab.tree import Json
from tests.e2e.harness.istio import agent, extensions, proxies
from tests.e2e.harness.istio import waypoint as waypoints
from tests.e2e.harness.istio.chains import Chains
from tests.e2e.harness.istio.envoy_filter import Patcher
from tests.e2e.harness.istio.proxies import Ports
from tests.e2e.harness.istio.stats_config import stats_config
from tests.e2e.harness.workloads import Workload


@dataclass
class Pod:
    """A proxy and its pod; can be started in a Mesh."""

    name: str
    node: Json
    # By context, SIDECAR_OUTBOUND and so on: makes listeners of a context's `Chains`, and upstream clusters.
    listeners: dict[str, Callable[[Chains], list[Json]]]
    clusters: dict[str, list[Json]]
    resources: list[Json]
    # `meshConfig.defaultConfig`.
    default_config: Json
    annotations: Json
    directory: Path
    # Whether the agent can fetch modules.
    reaches_registry: bool = True
    # EnvoyFilter patches of this proxy that found no place.
    unapplied: list[Json] = field(default_factory=list)
    workers: int = 1
    arguments: tuple[str, ...] = ()
    expected_log: tuple[str, ...] = ()
    permitted_log: str | None = None

    def bootstrap(self) -> Json:
        patcher = Patcher.of(self._of_kind("EnvoyFilter"), self.node)
        plugins = self._of_kind(*extensions.KINDS)
        own_metrics = istio_reports(self._of_kind("Telemetry"))
        listeners: list[Json] = []
        clusters: list[Json] = []
        for context in self.listeners:
            chains = Chains(context, plugins, own_metrics)
            # Chains may share filters; written down, each has its own, and no patch meets one twice.
            built = json.loads(json.dumps(self.listeners[context](chains)))
            listeners += patcher.listeners(built, context)
            clusters += patcher.clusters(self.clusters[context], context)
        names = agent.discovered_names(listeners)
        configs = patcher.extension_configs(names) + extensions.extension_configs(plugins, names)
        convert = agent.fetched if self.reaches_registry else agent.unfetched
        agent.serve(listeners, [convert(one) for one in configs], self.directory)
        agent.mounted(listeners, self.annotations)
        self.unapplied = patcher.unapplied()
        whole = bootstrap.bootstrap(self.node, listeners, clusters)
        # Tunnels need it.
        whole["bootstrap_extensions"] = [bootstrap.extension("bootstrap.internal_listener.v3.InternalListener")]
        whole["stats_config"] = stats_config(self.default_config, self.annotations)
        return whole

    def _of_kind(self, *kinds: str) -> list[Json]:
        return [resource for resource in self.resources if resource["kind"] in kinds]


def sidecar(
    name: str, workload: Workload, own_ports: Ports, called_ports: Ports, identity: Identity, **of_pod: Any
) -> Pod:
    """A pod with an application that is called at `own_ports` and calls `called_ports`."""
    return _pod(
        name,
        workload,
        "sidecar",
        {
            "SIDECAR_OUTBOUND": proxies.sidecar_outbound,
            "SIDECAR_INBOUND": lambda chains: proxies.sidecar_inbound(chains, own_ports, identity),
        },
        {
            "SIDECAR_OUTBOUND": proxies.outbound_clusters(called_ports, identity),
            "SIDECAR_INBOUND": proxies.inbound_clusters(own_ports),
        },
        **of_pod,
    )


def gateway(name: str, workload: Workload, called_ports: Ports, identity: Identity, **of_pod: Any) -> Pod:
    clusters = {"GATEWAY": proxies.outbound_clusters(called_ports, identity)}
    return _pod(name, workload, "router", {"GATEWAY": proxies.gateway}, clusters, **of_pod)


def waypoint(name: str, workload: Workload, backends: Sequence[int], identity: Identity, **of_pod: Any) -> Pod:
    return _pod(
        name,
        workload,
        "waypoint",
        {"WAYPOINT": lambda chains: waypoints.listeners(chains, identity)},
        {"WAYPOINT": waypoints.clusters(backends)},
        **of_pod,
    )


def istio_reports(telemetries: list[Json]) -> bool:
    """Whether Istio's own metrics are on: they are until a Telemetry disables them all."""
    for telemetry in telemetries:
        for metrics in telemetry["spec"]["metrics"]:
            for override in metrics.get("overrides", []):
                match = override.get("match", {})
                everywhere = match.get("mode", "CLIENT_AND_SERVER") == "CLIENT_AND_SERVER"
                if everywhere and match.get("metric", "ALL_METRICS") == "ALL_METRICS" and override.get("disabled"):
                    return False
    return True


def _pod(
    name: str,
    workload: Workload,
    kind: str,
    listeners: dict[str, Callable[[Chains], list[Json]]],
    clusters: dict[str, list[Json]],
    *,
    annotations: Json,
    labels: Json,
    default_config: Json,
    **others: Any,
) -> Pod:
    node = proxies.node(workload, kind, annotations, default_config)
    node["metadata"]["LABELS"].update(labels)
    return Pod(name, node, listeners, clusters, annotations=annotations, default_config=default_config, **others)
