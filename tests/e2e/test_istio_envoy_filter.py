"""The EnvoyFilter patcher of these tests: every operation, every match, and the order."""

import copy
from typing import Any

import pytest

from lab.tree import Json
from tests.e2e.harness.istio.envoy_filter import HTTP_CONNECTION_MANAGER, Patcher

NODE = {"metadata": {"NAMESPACE": "retail", "ISTIO_VERSION": "1.30.1", "LABELS": {"app": "shop"}, "CLUSTER_ID": "east"}}
NEW = {"name": "new"}


def _listener(name: str = "0.0.0.0_80") -> Json:
    manager = {"http_filters": [{"name": "cors", "typed_config": {}}, {"name": "router", "typed_config": {"a": 1}}]}
    return {
        "name": name,
        "filter_chains": [
            {
                "name": "http",
                "filters": [{"name": "mx"}, {"name": HTTP_CONNECTION_MANAGER, "typed_config": manager}],
            },
            {"name": "tcp", "filter_chain_match": {"destination_port": 5432}, "filters": [{"name": "tcp_proxy"}]},
        ],
    }


def _patch(
    apply_to: str,
    operation: str,
    value: Any = NEW,
    context: str = "SIDECAR_OUTBOUND",
    proxy: Json | None = None,
    **match: Any,
) -> Json:
    patch = {"operation": operation} if operation == "REMOVE" else {"operation": operation, "value": value}
    return {"applyTo": apply_to, "match": {"context": context, "proxy": proxy or {}, **match}, "patch": patch}


def _envoy_filter(*patches: Json, name: str = "one", namespace: str = "istio-system", **spec: Any) -> Json:
    return {
        "kind": "EnvoyFilter",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"configPatches": list(patches), **spec},
    }


def _http(operation: str, sub_filter: str | None = None, value: Any = NEW, **others: Any) -> Json:
    inside = {"name": HTTP_CONNECTION_MANAGER, **({"subFilter": {"name": sub_filter}} if sub_filter else {})}
    return _patch("HTTP_FILTER", operation, value, listener={"filterChain": {"filter": inside}}, **others)


def _network(operation: str, name: str | None = None, value: Any = NEW, **others: Any) -> Json:
    chain = {"filter": {"name": name}} if name else {}
    return _patch("NETWORK_FILTER", operation, value, listener={"filterChain": chain}, **others)


def _names(patcher: Patcher, context: str = "SIDECAR_OUTBOUND") -> tuple[list[str], list[str], list[str]]:
    """Of the HTTP filters, and of the network filters of both chains, in one listener."""
    (listener,) = patcher.listeners([_listener()], context)
    http, tcp = listener["filter_chains"]
    manager = next(one for one in http["filters"] if one["name"] == HTTP_CONNECTION_MANAGER)
    in_manager = [one["name"] for one in manager["typed_config"]["http_filters"]]
    short = [one["name"].replace(HTTP_CONNECTION_MANAGER, "hcm") for one in http["filters"]]
    return in_manager, short, [one["name"] for one in tcp["filters"]]


UNCHANGED = (["cors", "router"], ["mx", "hcm"], ["tcp_proxy"])


@pytest.mark.parametrize(
    "patch, http_filters",
    [
        (_http("INSERT_BEFORE", "router"), ["cors", "new", "router"]),
        (_http("INSERT_AFTER", "cors"), ["cors", "new", "router"]),
        (_http("INSERT_AFTER", "router"), ["cors", "router", "new"]),
        (_http("INSERT_BEFORE"), ["new", "cors", "router"]),
        (_http("INSERT_AFTER"), ["cors", "router", "new"]),
        (_http("INSERT_FIRST", "router"), ["new", "cors", "router"]),
        (_http("ADD"), ["cors", "router", "new"]),
        (_http("REPLACE", "cors"), ["new", "router"]),
        (_http("REMOVE", "cors"), ["router"]),
    ],
)
def test_http_filters(patch: Json, http_filters: list[str]) -> None:
    patcher = Patcher.of([_envoy_filter(patch)], NODE)
    assert _names(patcher) == (http_filters, *UNCHANGED[1:])
    assert patcher.unapplied() == []


@pytest.mark.parametrize(
    "patch, chains",
    [
        (_network("INSERT_BEFORE", "tcp_proxy"), (["mx", "hcm"], ["new", "tcp_proxy"])),
        (_network("INSERT_AFTER", "mx"), (["mx", "new", "hcm"], ["tcp_proxy"])),
        (_network("INSERT_BEFORE"), (["new", "mx", "hcm"], ["new", "tcp_proxy"])),
        (_network("INSERT_AFTER"), (["mx", "hcm", "new"], ["tcp_proxy", "new"])),
        (_network("INSERT_FIRST"), (["new", "mx", "hcm"], ["new", "tcp_proxy"])),
        (_network("ADD"), (["mx", "hcm", "new"], ["tcp_proxy", "new"])),
        (_network("REPLACE", "tcp_proxy"), (["mx", "hcm"], ["new"])),
        (_network("REMOVE", "mx"), (["hcm"], ["tcp_proxy"])),
    ],
)
def test_network_filters(patch: Json, chains: tuple[list[str], list[str]]) -> None:
    patcher = Patcher.of([_envoy_filter(patch)], NODE)
    assert _names(patcher) == (UNCHANGED[0], *chains)
    assert patcher.unapplied() == []


def test_merging_adds_to_lists_and_messages() -> None:
    value = {
        "name": HTTP_CONNECTION_MANAGER,
        "typed_config": {"access_log": [1], "http_filters": [], "tracing": {"b": 2}},
    }
    merge = _network("MERGE", HTTP_CONNECTION_MANAGER, value)
    router = _http("MERGE", "router", {"typed_config": {"b": 2}})
    patcher = Patcher.of([_envoy_filter(merge, copy.deepcopy(merge), router)], NODE)
    (listener,) = patcher.listeners([_listener()], "SIDECAR_OUTBOUND")
    manager = listener["filter_chains"][0]["filters"][1]["typed_config"]
    assert manager["access_log"] == [1, 1]
    assert manager["tracing"] == {"b": 2}
    assert manager["http_filters"][1]["typed_config"] == {"a": 1, "b": 2}


def test_listeners() -> None:
    port: Json = {"listener": {"name": "a"}}
    merged = Patcher.of([_envoy_filter(_patch("LISTENER", "MERGE", {"stat_prefix": "x"}, **port))], NODE)
    found = merged.listeners([_listener("a"), _listener("b")], "SIDECAR_OUTBOUND")
    assert [one.get("stat_prefix") for one in found] == ["x", None]
    others = Patcher.of([_envoy_filter(_patch("LISTENER", "REMOVE", **port), _patch("LISTENER", "ADD"))], NODE)
    found = others.listeners([_listener("a"), _listener("b")], "SIDECAR_OUTBOUND")
    assert [one["name"] for one in found] == ["b", "new"]


def test_upstream_clusters() -> None:
    shop = "outbound|80||shop.retail"
    clusters: list[Json] = [{"name": shop, "metadata": {"a": 1}}, {"name": "PassthroughCluster"}]
    merge = _patch("CLUSTER", "MERGE", {"metadata": {"b": 2}}, cluster={"service": "shop.retail"})
    remove = _patch("CLUSTER", "REMOVE", cluster={"name": "PassthroughCluster"})
    patcher = Patcher.of([_envoy_filter(merge, remove, _patch("CLUSTER", "ADD"))], NODE)
    assert patcher.clusters(clusters, "SIDECAR_OUTBOUND") == [{"name": shop, "metadata": {"a": 1, "b": 2}}, NEW]
    assert clusters[0]["metadata"] == {"a": 1}, "patches must leave what they were given as it is"


def test_extension_configurations_come_by_name_for_any_context() -> None:
    patches = [_patch("EXTENSION_CONFIG", "ADD", {"name": name}) for name in ("a", "b")]
    patcher = Patcher.of([_envoy_filter(*patches)], NODE)
    assert patcher.extension_configs({"b"}) == [{"name": "b"}]
    assert patcher.unapplied() == patches[:1]


@pytest.mark.parametrize(
    "patch, fits",
    [
        (_http("ADD", context="ANY"), True),
        (_http("ADD", context="SIDECAR_INBOUND"), False),
        (_http("ADD", context="GATEWAY"), False),
        (_http("ADD", proxy={"proxyVersion": r"^1\.30"}), True),
        (_http("ADD", proxy={"proxyVersion": r"^1\.(2[89]|3[0-9])"}), True),
        (_http("ADD", proxy={"proxyVersion": r"^1\.29"}), False),
        (_http("ADD", proxy={"metadata": {"CLUSTER_ID": "east"}}), True),
        (_http("ADD", proxy={"metadata": {"CLUSTER_ID": "west"}}), False),
        (_http("INSERT_BEFORE", "absent"), False),
        (_http("REPLACE", "absent"), False),
        (_http("REMOVE", "absent"), False),
        (_patch("HTTP_FILTER", "ADD", listener={"name": "0.0.0.0_81"}), False),
        (_patch("HTTP_FILTER", "ADD", listener={"filterChain": {"name": "tcp"}}), False),
        (_patch("HTTP_FILTER", "ADD", listener={"filterChain": {"filter": {"name": "tcp_proxy"}}}), False),
    ],
)
def test_a_patch_applies_where_it_matches(patch: Json, fits: bool) -> None:
    patcher = Patcher.of([_envoy_filter(patch)], NODE)
    assert _names(patcher) == ((["cors", "router", "new"], *UNCHANGED[1:]) if fits else UNCHANGED)


def test_a_chain_can_be_matched_by_its_port() -> None:
    patch = _patch("NETWORK_FILTER", "ADD", listener={"portNumber": 5432})
    assert _names(Patcher.of([_envoy_filter(patch)], NODE))[1:] == (["mx", "hcm"], ["tcp_proxy", "new"])


def test_a_proxy_without_a_version_fits_no_pattern() -> None:
    node = {"metadata": {**NODE["metadata"], "ISTIO_VERSION": ""}}
    patch = _http("ADD", proxy={"proxyVersion": ".*"})
    assert _names(Patcher.of([_envoy_filter(patch)], node)) == UNCHANGED


@pytest.mark.parametrize(
    "envoy_filter, selected",
    [
        (_envoy_filter(_http("ADD"), namespace="retail"), True),
        (_envoy_filter(_http("ADD"), namespace="elsewhere"), False),
        (_envoy_filter(_http("ADD"), workloadSelector={"labels": {"app": "shop"}}), True),
        (_envoy_filter(_http("ADD"), workloadSelector={"labels": {"app": "stock"}}), False),
    ],
)
def test_an_envoy_filter_selects_proxies(envoy_filter: Json, selected: bool) -> None:
    assert (_names(Patcher.of([envoy_filter], NODE)) != UNCHANGED) is selected


def test_the_order_is_priority_then_root_namespace_then_name() -> None:
    filters = [
        _envoy_filter(_http("ADD", value={"name": "late"}), name="a", priority=10),
        _envoy_filter(_http("ADD", value={"name": "own"}), name="a", namespace="retail"),
        _envoy_filter(_http("ADD", value={"name": "c"}), name="c"),
        _envoy_filter(_http("ADD", value={"name": "b"}), name="b"),
        _envoy_filter(_http("ADD", value={"name": "early"}), name="z", priority=-1),
    ]
    http_filters, *_ = _names(Patcher.of(filters, NODE))
    assert http_filters == ["cors", "router", "early", "b", "c", "own", "late"]


def test_what_the_patcher_cannot_do_is_an_error() -> None:
    with pytest.raises(AssertionError, match="BOOTSTRAP is beyond"):
        Patcher.of([_envoy_filter(_patch("BOOTSTRAP", "MERGE"))], NODE)
