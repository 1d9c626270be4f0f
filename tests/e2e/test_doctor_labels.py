"""`istio-stats doctor` where labels did not arrive as labels, or arrived twice."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from lab import bootstrap
from lab.paths import ROOT
from lab.tree import Json
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.customised import Customised
from tests.e2e.harness.doctor import await_counted, diagnose, pasted, serve
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, encode
from tests.e2e.harness.requests import send
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.sidecar import west
from tests.e2e.harness.tags import istio_stats_tags, stats_tags_of

ANSWER = [bootstrap.direct_response("/", 200)]
TEAM = {"metrics": [{"dimensions": {"team": "'blue'"}}]}
APP = {"metrics": [{"dimensions": {"app": "'mine'"}}]}


def _with_tags(change: Callable[[list[Json]], list[Json]], **more: Any) -> Altered:
    """The inbound proxy with other stats_tags."""

    def replace(whole: Json) -> None:
        whole["stats_config"]["stats_tags"] = change(whole["stats_config"]["stats_tags"])

    return Altered(west(1, **{"routes": ANSWER, **more}), replace)


def test_without_stats_tags_every_label_is_inside_the_name(mesh: Mesh) -> None:
    envoy = serve(mesh, _with_tags(lambda _: []))
    finding = diagnose(envoy, "label-in-name")["label-in-name"]
    wanted = [tag for tag in _anywhere(west(1)) if tag["tag_name"] != "reason"]
    lines = yaml.safe_load(finding["paste"][0]["lines"])
    assert sorted(lines, key=_name) == sorted(wanted, key=_name)


def _anywhere(sidecar: Runnable) -> list[Json]:
    """The lines that find a label wherever it stands, as what is pasted does."""
    return stats_tags_of(sidecar.bootstrap(), "--anywhere")


def _name(tag: Json) -> str:
    return tag["tag_name"]


def test_what_it_says_to_paste_cures_it(mesh: Mesh) -> None:
    envoy = serve(mesh, _with_tags(lambda tags: [tag for tag in tags if "cluster" not in tag["tag_name"]]))
    finding = diagnose(envoy, "label-in-name")["label-in-name"]
    assert "labels: destination_cluster, source_cluster" in finding["seen"]
    lines = yaml.safe_load(pasted(finding))

    kept = [tag for tag in bootstrap.stats_tags() if "cluster" not in tag["tag_name"]]
    envoy = serve(mesh, _with_tags(lambda _: kept + lines))
    diagnose(envoy)


@pytest.mark.parametrize("prefix", ["istio_", "mesh_"])
def test_a_new_label_without_its_line(mesh: Mesh, prefix: str) -> None:
    envoy = serve(mesh, west(1, routes=ANSWER, stats={**TEAM, "metric_prefix": prefix}))
    finding = diagnose(envoy, "label-in-name")["label-in-name"]
    assert "labels: team" in finding["seen"]
    (team,) = [tag for tag in _anywhere(west(1, stats=TEAM)) if _name(tag) == "team"]
    assert yaml.safe_load(pasted(finding)) == [team]


def test_a_new_label_without_its_line_before_anything_was_counted(mesh: Mesh) -> None:
    mesh.start(west(1, routes=ANSWER, stats=TEAM))
    finding = diagnose(mesh["west"], "label-in-name")["label-in-name"]
    assert finding["seen"] == ["nothing was counted yet; the bootstrap has no line for: team"]


def test_in_a_proxy_of_istio_it_names_all_labels_in_one_annotation(mesh: Mesh) -> None:
    def make_istios(whole: Json) -> None:
        whole["node"]["metadata"]["PROXY_CONFIG"] = {}

    envoy = serve(mesh, Altered(west(1, routes=ANSWER, stats=TEAM), make_istios))
    line = pasted(diagnose(envoy, "label-in-name")["label-in-name"])
    documented = re.search(r"^sidecar\.istio\.io/extraStatTags: .*$", _read("envoy-config/README.md"), re.MULTILINE)
    assert documented
    assert line == documented.group() + ",team"


def _read(path: str) -> str:
    return (ROOT / path).read_text()


def test_a_label_swallowed_by_a_longer_one(mesh: Mesh) -> None:
    envoy = serve(mesh, Customised(west(1, routes=ANSWER, stats=APP), istio_form=True))
    finding = diagnose(envoy, "label-swallowed")["label-swallowed"]
    assert 'app="shop-app" is the value of source_app' in finding["seen"]

    cure = yaml.safe_load(pasted(finding))
    tags = istio_stats_tags() + cure
    envoy = serve(mesh, _with_tags(lambda _: tags, stats=APP))
    diagnose(envoy)


def test_a_value_that_goes_on_too_long(mesh: Mesh) -> None:
    def make_greedy(tags: list[Json]) -> list[Json]:
        return [{**tag, "regex": r"(reporter=\.=(.*);\.;)"} if _name(tag) == "reporter" else tag for tag in tags]

    envoy = serve(mesh, _with_tags(make_greedy))
    finding = diagnose(envoy, "label-too-long")["label-too-long"]
    assert yaml.safe_load(pasted(finding)) == _anywhere(west(1))[:1]


ISTIO_EXTRAS = [
    {"tag_name": "cache", "regex": r"(cache\.(.+?)\.)"},
    {"tag_name": "component", "regex": r"(component\.(.+?)\.)"},
    {"tag_name": "tag", "regex": r"(tag\.(.+?);\.)"},
]


def test_labels_that_istios_bootstrap_finds_in_a_value(mesh: Mesh) -> None:
    service = {"host": "redis-cache.prod.svc", "name": "redis", "namespace": "prod"}
    tags = [tag for tag in istio_stats_tags() if _name(tag) not in ("component", "tag")] + ISTIO_EXTRAS
    upstream = west(1, services=[service]).upstream_clusters
    routes = [bootstrap.route("/", upstream[0]["name"])]
    envoy = serve(mesh, _with_tags(lambda _: tags, upstream_clusters=upstream, routes=routes))
    finding = diagnose(envoy, "label-spurious")["label-spurious"]
    assert any(fact.startswith('cache="prod" on istio_requests_total, out of ') for fact in finding["seen"]), finding


def test_a_label_that_every_stat_has_is_no_spurious_one(mesh: Mesh) -> None:
    fixed = [{"tag_name": "zone", "fixed_value": "zone-9"}]
    sidecar = _with_tags(lambda tags: tags + fixed, arguments=("--stats-tag", "rack:r1"))
    envoy = serve(mesh, sidecar)
    assert 'rack="r1"' in envoy.admin("/stats/prometheus").text
    diagnose(envoy)


def test_attached_as_filter_and_as_access_logger(mesh: Mesh) -> None:
    def attach_again(whole: Json) -> None:
        manager = http_manager(whole)
        (plugin,) = [one for one in manager["http_filters"] if one["name"] == "istio_stats"]
        config = {"@type": bootstrap.EXTENSION + "access_loggers.wasm.v3.WasmAccessLog"}
        manager["access_log"] = [
            {"name": "istio_stats_logger", "typed_config": {**config, "config": plugin["typed_config"]["config"]}}
        ]

    envoy = serve(mesh, Altered(west(1, routes=ANSWER), attach_again), count=False)
    finding = diagnose(envoy, "attached-twice")["attached-twice"]
    assert finding["seen"] == ["listener west (HTTP) has istio_stats and istio_stats_logger"]


def test_two_series_that_a_line_made_equal(mesh: Mesh) -> None:
    def cut_short(tags: list[Json]) -> list[Json]:
        short = r"^wasmcustom\..*?(source_workload=\.=(.)[^;]*;\.;)"
        return [{**tag, "regex": short} if _name(tag) == "source_workload" else tag for tag in tags]

    port = mesh.start(_with_tags(cut_short))
    canonical = {"CLUSTER_ID": "east", "LABELS": {"service.istio.io/canonical-name": "shop"}}
    send(port, [{METADATA: encode({**canonical, "WORKLOAD_NAME": name})} for name in ("shop-1", "shop-2")])
    await_counted(mesh["west"], 2)
    finding = diagnose(mesh["west"], "duplicate-series")["duplicate-series"]
    assert any("istio_requests_total" in fact for fact in finding["seen"]), finding


def test_istios_own_filter_in_the_same_chain(mesh: Mesh) -> None:
    """A stock Envoy has no such filter: one with its name stands in. Unit tests know its type and its stats."""

    def add(whole: Json) -> None:
        stand_in = {"@type": bootstrap.EXTENSION + "filters.http.grpc_stats.v3.FilterConfig"}
        http_manager(whole)["http_filters"].insert(0, {"name": "istio.stats", "typed_config": stand_in})

    envoy = serve(mesh, Altered(west(1, routes=ANSWER), add))
    diagnose(envoy, "native-filter-too")
