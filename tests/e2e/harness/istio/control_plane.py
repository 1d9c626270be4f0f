"""From resources and the shape of a proxy to the bootstrap of an Envoy: what istiod
and the agent in the pod do between them."""

import json
from dataclasses import dataclass, field

from lab import bootstrap
from tests.e2e.harness.istio import agent, extensions, proxies
from tests.e2e.harness.istio import waypoint as waypoints
from tests.e2e.harness.istio.chains import Chains
from tests.e2e.harness.istio.envoy_filter import Patcher
from tests.e2e.harness.istio.stats_config import stats_config


@dataclass
class Pod:
    """A proxy and its pod; can be started in a Mesh."""

    name: str
    node: dict
    # By context, SIDECAR_OUTBOUND and so on: makes listeners of a context's `Chains`, and upstream clusters.
    listeners: dict
    clusters: dict
    resources: list
    # `meshConfig.defaultConfig`.
    default_config: dict
    annotations: dict
    directory: object
    # Whether the agent can fetch modules.
    reaches_registry: bool = True
    # EnvoyFilter patches of this proxy that found no place.
    unapplied: list = field(default_factory=list)
    workers: int = 1
    arguments: tuple = ()
    # Whether it has listeners that are reached from within.
    has_internal_listeners: bool = False
    expected_log: tuple = ()
    permitted_log: str = None

    def bootstrap(self):
        patcher = Patcher.of(self._of_kind("EnvoyFilter"), self.node)
        plugins = self._of_kind(*extensions.KINDS)
        own_metrics = istio_reports(self._of_kind("Telemetry"))
        listeners, clusters = [], []
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
        if self.has_internal_listeners:
            internal = bootstrap.extension("bootstrap.internal_listener.v3.InternalListener")
            whole["bootstrap_extensions"] = [internal]
        whole["stats_config"] = stats_config(self.default_config, self.annotations)
        return whole

    def _of_kind(self, *kinds):
        return [resource for resource in self.resources if resource["kind"] in kinds]


def sidecar(name, workload, own_ports, called_ports, identity, **of_pod):
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


def gateway(name, workload, called_ports, identity, **of_pod):
    clusters = {"GATEWAY": proxies.outbound_clusters(called_ports, identity)}
    return _pod(name, workload, "router", {"GATEWAY": proxies.gateway}, clusters, **of_pod)


def waypoint(name, workload, backends, identity, **of_pod):
    return _pod(
        name,
        workload,
        "waypoint",
        {"WAYPOINT": lambda chains: waypoints.listeners(chains, identity)},
        {"WAYPOINT": waypoints.clusters(backends)},
        has_internal_listeners=True,
        **of_pod,
    )


def istio_reports(telemetries):
    """Whether Istio's own metrics are on: they are until a Telemetry disables them all."""
    for telemetry in telemetries:
        for metrics in telemetry["spec"]["metrics"]:
            for override in metrics.get("overrides", []):
                match = override.get("match", {})
                everywhere = match.get("mode", "CLIENT_AND_SERVER") == "CLIENT_AND_SERVER"
                if everywhere and match.get("metric", "ALL_METRICS") == "ALL_METRICS" and override.get("disabled"):
                    return False
    return True


def _pod(name, workload, kind, listeners, clusters, *, annotations, labels, default_config, **others):
    node = proxies.node(workload, kind, annotations, default_config)
    node["metadata"]["LABELS"].update(labels)
    return Pod(name, node, listeners, clusters, annotations=annotations, default_config=default_config, **others)
