"""Envoy Gateway's proxy: its default bootstrap under an EnvoyProxy, and a listener with
one HTTPRoute under an EnvoyExtensionPolicy."""

import json
from dataclasses import dataclass

import yaml

from lab import bootstrap
from lab.bootstrap import EXTENSION, TYPE
from lab.tree import Json
from tests.e2e.harness import usual
from tests.e2e.harness.istio import agent
from tests.e2e.harness.istio.envoy_filter import merge

LISTENER = "default/eg/http"
# Of the HTTPRoute.
_ROUTE = {"kind": "HTTPRoute", "name": "stock-route", "namespace": "logistics"}
_UPSTREAM_CLUSTER = "httproute/logistics/stock-route/rule/0"


@dataclass
class Gateway:
    """Can be started in a Mesh."""

    resources: list[Json]
    upstream_port: int
    name: str = "gateway"
    workers: int = 1
    # As the Deployment says, not the bootstrap.
    arguments: tuple[str, ...] = (
        "--service-node",
        "envoy-default-eg-e41e7b31-5d7c9",
        "--service-cluster",
        "default/eg",
    )
    expected_log: tuple[str, ...] = ()
    # Envoy Gateway's own way to say it.
    permitted_log: str = "deprecated option 'envoy.extensions.wasm.v3.PluginConfig.fail_open'"

    def bootstrap(self) -> Json:
        whole = bootstrap.bootstrap({"locality": {"zone": "zone-9"}}, [self._listener()], [self._upstream_cluster()])
        whole["deferred_stat_options"] = {"enable_deferred_creation_stats": True}
        whole["stats_config"] = {
            "use_all_default_tags": True,
            "stats_tags": [
                {"regex": r"\.zone(\.(([^\.]+)\.))", "tag_name": "from_zone"},
                {"regex": r"\.zone\.[^\.]+\.(([^\.]+)\.)", "tag_name": "to_zone"},
                {"regex": r"^cluster(\..+\.(.+))\.total_match_count$", "tag_name": "socket_match_name"},
                {"regex": r"circuit_breakers\.((.+?)\.).+", "tag_name": "priority"},
            ],
        }
        for proxy in self._of_kind("EnvoyProxy"):
            patch = proxy["spec"]["bootstrap"]
            assert patch["type"] == "Merge", f"{patch['type']} is beyond these tests"
            merge(whole, yaml.safe_load(patch["value"]))
        return whole

    def filters(self) -> list[Json]:
        """The extensions of all policies, each switched off until a route wants it."""
        return [
            _filter(f"envoyextensionpolicy/{one['metadata']['namespace']}/{one['metadata']['name']}/wasm/{index}", wasm)
            for one in self._of_kind("EnvoyExtensionPolicy")
            for index, wasm in enumerate(one["spec"]["wasm"])
        ]

    def _listener(self) -> Json:
        filters = self.filters()
        on = {"@type": TYPE + "envoy.config.route.v3.FilterConfig", "config": {}}
        route = {
            "name": f"{_UPSTREAM_CLUSTER}/match/0/stock_example",
            "match": {"path_separated_prefix": "/stock"},
            "route": {"cluster": _UPSTREAM_CLUSTER, "prefix_rewrite": "/"},
            "metadata": {"filter_metadata": {"envoy-gateway": {"resources": [_ROUTE]}}},
            "typed_per_filter_config": {one["name"]: on for one in filters},
        }
        # No traffic_direction: Envoy Gateway sets none.
        listener = usual.http_listener(LISTENER, filters, [route])
        listener["filter_chains"][0]["filters"][0]["typed_config"]["use_remote_address"] = True
        return listener

    def _upstream_cluster(self) -> Json:
        cluster = usual.upstream_cluster(_UPSTREAM_CLUSTER, [self.upstream_port])
        cluster["metadata"] = {"filter_metadata": {"envoy-gateway": {"resources": [_ROUTE]}}}
        return cluster

    def _of_kind(self, kind: str) -> list[Json]:
        return [resource for resource in self.resources if resource["kind"] == kind]


def _filter(name: str, wasm: Json) -> Json:
    """Envoy Gateway fetches the module and serves it to its proxies; here it is a file."""
    assert wasm["code"]["type"] == "Image", "other sources of modules are beyond these tests"
    config = {
        "name": wasm.get("name", name),
        "root_id": wasm.get("rootID", ""),
        "configuration": {"@type": TYPE + "google.protobuf.StringValue", "value": json.dumps(wasm.get("config", ""))},
        "fail_open": wasm.get("failOpen", False),
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(agent.image(wasm["code"]["image"]["url"]))}},
        },
    }
    return {
        "name": f"envoy.filters.http.wasm/{name}",
        "disabled": True,
        "typed_config": {"@type": EXTENSION + "filters.http.wasm.v3.Wasm", "config": config},
    }
