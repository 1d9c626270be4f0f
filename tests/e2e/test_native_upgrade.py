"""What is the native form's own when it is replaced while Envoy runs, as docs/native.md says."""

from pathlib import Path

from lab.tree import native_plugins
from tests.e2e.harness.forms import Form, each_of
from tests.e2e.harness.mesh import Mesh
from tests.e2e.test_upgrade import Proxy

BUILD = "istio_stats_build"


def _builds(proxy: Proxy) -> set[str]:
    return {dict(labels)["tag"] for labels, value in proxy.envoy.families()[BUILD].series.items() if value}


class TestWithoutHandles:
    pytestmark = each_of(Form.LOOKED_UP)

    def test_a_new_configuration_begins_anew(self, mesh: Mesh, tmp_path: Path) -> None:
        proxy = Proxy(mesh, tmp_path)
        proxy.call_and_expect(6, total=6)
        proxy.churn.reconfigure()
        proxy.await_end_of_the_old()
        proxy.expect(0)
        proxy.call_and_expect(3, total=3)


class TestWithHandles:
    pytestmark = each_of(Form.NATIVE)

    def test_what_only_another_file_met_begins_anew_with_the_next_configuration(
        self, mesh: Mesh, tmp_path: Path
    ) -> None:
        proxy = Proxy(mesh, tmp_path)
        proxy.churn.replace_stats_module()
        proxy.await_end_of_the_old()
        proxy.call_and_expect(4, total=4)
        proxy.churn.reconfigure()
        proxy.await_end_of_the_old()
        proxy.expect(0)
        proxy.call_and_expect(3, total=3)

    def test_a_file_under_the_name_of_a_loaded_one_is_not_read(self, mesh: Mesh, tmp_path: Path) -> None:
        proxy = Proxy(mesh, tmp_path)
        proxy.churn.replace_stats_module()
        proxy.await_end_of_the_old()
        (build,) = _builds(proxy)
        (plugin,) = native_plugins(proxy.delivered.filters, "istio_stats")
        file = Path(plugin["dynamic_module_config"]["module"]["local"]["filename"])
        # Moved there: to write into a file that is loaded would end Envoy.
        other = tmp_path / "other.so"
        other.write_bytes(proxy.churn.another_build())
        other.replace(file)
        proxy.churn.reconfigure()
        proxy.await_end_of_the_old()
        proxy.call(1)
        assert _builds(proxy) == {build}
