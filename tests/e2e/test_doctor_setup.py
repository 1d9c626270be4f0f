"""`istio-stats doctor` where the plugin runs and something around it is not as it should be."""

from collections.abc import Callable

import pytest
import yaml

from lab import bootstrap
from lab import envoy as lab_envoy
from lab.tree import Json, plugins
from tests.e2e.harness import clients
from tests.e2e.harness.altered import Altered, http_manager
from tests.e2e.harness.doctor import await_counted, call, diagnose, diagnose_url, pasted, serve
from tests.e2e.harness.mesh import Mesh
from tests.e2e.harness.peer_metadata import METADATA, encode
from tests.e2e.harness.requests import send
from tests.e2e.harness.sidecar import east, west

ANSWER = [bootstrap.direct_response("/", 200)]


@pytest.mark.parametrize(
    "change, policy",
    [
        (lambda plugin: plugin.pop("failure_policy"), "none, which means FAIL_CLOSED"),
        (lambda plugin: plugin.update(failure_policy="FAIL_RELOAD"), "FAIL_RELOAD"),
    ],
    ids=["left_out", "reload"],
)
def test_a_fault_would_stop_traffic(mesh: Mesh, change: Callable[[Json], object], policy: str) -> None:
    def change_all(whole: Json) -> None:
        for plugin in plugins(whole):
            change(plugin)

    finding = diagnose(serve(mesh, Altered(west(1, routes=ANSWER), change_all)), "failure-policy")["failure-policy"]
    assert sorted(finding["seen"]) == [
        f"istio_stats of listener west (HTTP): {policy}",
        f"metadata_exchange of listener west (HTTP): {policy}",
    ]


def test_nothing_says_which_side_a_listener_is_on(mesh: Mesh, backend: int) -> None:
    """It reports as the source, and looks for a peer upstream, where there is none."""
    envoy = serve(mesh, west(backend, direction="UNSPECIFIED", root_id=""))
    found = diagnose(envoy, "reporter-unknown", "peer-silent")
    paste = yaml.safe_load(pasted(found["reporter-unknown"]))
    diagnose(serve(mesh, west(backend, direction=paste["traffic_direction"], root_id="")))


@pytest.mark.parametrize("emits", [None, False], ids=["no_filter", "without_filter_state"])
def test_grpc_without_its_filter(mesh: Mesh, grpc_backend_port: int, emits: bool | None) -> None:
    def change(whole: Json) -> None:
        filters = http_manager(whole)["http_filters"]
        (counter,) = [one for one in filters if one["name"] == "envoy.filters.http.grpc_stats"]
        if emits is None:
            filters.remove(counter)
        else:
            counter["typed_config"]["emit_filter_state"] = emits

    west_port = mesh.start(west(grpc_backend_port, protocol="http2"))
    with clients.grpc_client(mesh.start(Altered(east(west_port), change))) as caller:
        caller.reserve(b"lamp")
    await_counted(mesh["east"], 1)
    finding = diagnose(mesh["east"], "no-grpc-stats")["no-grpc-stats"]
    assert yaml.safe_load(pasted(finding)) == [bootstrap.grpc_stats()]
    diagnose(mesh["west"])


def test_more_label_sets_than_the_plugin_keeps(mesh: Mesh) -> None:
    port = mesh.start(west(1, routes=ANSWER, stats={"attachment": "http", "max_series": 2}))
    call(mesh["west"], port, times=1)
    send(port, [{METADATA: encode({"WORKLOAD_NAME": f"peer-{n}", "CLUSTER_ID": "x"})} for n in range(4)])
    await_counted(mesh["west"], 5)
    found = diagnose(mesh["west"], "series-overflow")
    assert found["series-overflow"]["seen"] == ["istio_stats_series_overflow_total is 3; max_series is 2"]


def test_nearly_as_many_label_sets_as_the_plugin_keeps(mesh: Mesh) -> None:
    port = mesh.start(west(1, routes=ANSWER, stats={"attachment": "http", "max_series": 5}))
    send(port, [{METADATA: encode({"WORKLOAD_NAME": f"peer-{n}", "CLUSTER_ID": "x"})} for n in range(5)])
    await_counted(mesh["west"], 5)
    found = diagnose(mesh["west"], hints=["series-nearly-full"])
    assert found["series-nearly-full"]["seen"] == ["istio_stats_series is 5; max_series is 5 for each of 1 workers"]


def test_native_histograms_come_from_1_39_on(mesh: Mesh) -> None:
    """Asked as Prometheus asks. Of an older Envoy doctor says that it refuses."""
    envoy = serve(mesh, west(1, routes=ANSWER))
    url = f"{envoy.admin_url}/stats/prometheus?histogram_buckets=prometheusnative"
    minor = int(lab_envoy.version().split(".")[1])
    found = diagnose_url(url, *([] if minor >= 39 else ["native-histograms-refused"]))
    for finding in found.values():
        assert finding["seen"][0].startswith(f"{lab_envoy.version()} answers 400")
