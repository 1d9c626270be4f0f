"""Replaces whatever a proxy got by discovery, again and again."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.tree import Json, configurations, configure
from lab.waiting import wait_until
from tests.e2e.harness import forms
from tests.e2e.harness.discovery import Delivered
from tests.e2e.harness.envoy import Envoy

# Listeners with such names stay; their filters do not.
STEADY = "steady"
EVERY_SECONDS = 0.1


def old_ones(envoy: Envoy) -> dict[str, int]:
    """What there is more of as long as something that was replaced is in use: VMs, and what Envoy drains."""
    return envoy.stats(r"^wasm\.envoy\.wasm\.runtime\.v8\.active$|^listener_manager\.total_.*_draining$")


class Churn:
    """Changes of one proxy, none of which a series shows; each is in effect when its method returns."""

    def __init__(self, envoy: Envoy, proxy: Delivered, directory: Path) -> None:
        self._envoy = envoy
        self._proxy = proxy
        self._directory = directory
        self._directory.mkdir()
        (build,) = envoy.families()["istio_stats_build"].series
        self._version = dict(build)["tag"]
        self._numbers = itertools.count(1)

    def go_on(self, seconds: float, least: int) -> Counter[str]:
        """One change after the other, of all kinds in turn, for so long, and until there were so many of each.

        Returns how many there were.
        """
        kinds = (
            self.replace_listeners,
            self.replace_stats_module,
            self.replace_filter_chains,
            self.reconfigure,
            self.replace_exchange_module,
        )
        made = Counter({change.__name__: 0 for change in kinds})
        due = time.monotonic()
        end = due + seconds
        for change in itertools.cycle(kinds):
            change()
            made[change.__name__] += 1
            # Envoy may need longer than that on a busy machine.
            due = max(due + EVERY_SECONDS, time.monotonic())
            if due >= end and min(made.values()) >= least:
                break
            time.sleep(max(0, due - time.monotonic()))
        return made

    def replace_listeners(self) -> None:
        """What differs is not in the filter chains: Envoy makes them anew, and drains the old ones."""
        for listener in self._listeners():
            listener["metadata"] = {"filter_metadata": {"churn": {"number": next(self._numbers)}}}
        self._publish_listeners()

    def replace_filter_chains(self) -> None:
        """Envoy keeps the listeners, and drains the connections of the old chains."""
        for listener in self._listeners():
            listener["filter_chains"][0]["name"] = f"chain-{next(self._numbers)}"
        self._publish_listeners()

    def reconfigure(self) -> None:
        configure(self._proxy.filters, "istio_stats", max_series=10_000 + next(self._numbers))
        self._publish_filters("istio_stats", sum(1 for _ in configurations(self._proxy.filters, "istio_stats")))

    def replace_stats_module(self) -> None:
        """By another build. No two modules are alike, so that each gets VMs of its own, or is loaded beside them."""
        self.use_module("istio_stats", self.another_build())

    def replace_exchange_module(self) -> None:
        self.use_module("metadata_exchange", self.another_code("metadata_exchange"))

    def another_build(self) -> bytes:
        """The stats plugin as if it had been built from another commit."""
        code, version = forms.module("istio_stats").read_bytes(), self._version.encode()
        assert code.count(version) == 1, f"{self._version} is {code.count(version)} times in the module"
        return code.replace(version, b"%0*d" % (len(version), next(self._numbers)))

    def another_code(self, name: str) -> bytes:
        """The module with one more custom section, which means nothing. Behind a native one it is just bytes."""
        content = b"\x05churn%d" % next(self._numbers)
        return forms.module(name).read_bytes() + bytes([0, len(content)]) + content

    def use_module(self, name: str, code: bytes) -> None:
        self._publish_filters(name, self._put_into(self._proxy.filters, name, code))

    def use_module_of_listeners(self, name: str, code: bytes) -> None:
        """The same where the filters are in the listeners."""
        self._put_into(list(self._proxy.listeners.values()), name, code)
        self._publish_listeners()

    def _put_into(self, tree: Any, name: str, code: bytes) -> int:
        """Returns how many filters have it now."""
        # Never the same file twice: Envoy would go on with what it has of it.
        path = self._directory / f"{name}.{next(self._numbers)}{forms.module(name).suffix}"
        path.write_bytes(code)
        files = list(forms.replaceable_files(tree, name))
        for file in files:
            file["filename"] = str(path)
        return len(files)

    def _listeners(self) -> list[Json]:
        return [one for name, one in self._proxy.listeners.items() if name != STEADY]

    def _publish_listeners(self) -> None:
        with self._taken(r"^listener_manager\.listener_modified$", len(self._listeners())):
            self._proxy.publish_listeners()

    def _publish_filters(self, name: str, filters: int) -> None:
        """So many of which are other ones than before."""
        with self._taken(rf"\.{name}\.config_reload$", filters):
            self._proxy.publish_filters(name)

    @contextmanager
    def _taken(self, stats: str, more: int) -> Iterator[None]:
        """Waits until Envoy has taken so many updates."""

        def count() -> int:
            return sum(self._envoy.stats(stats).values())

        wanted = count() + more
        yield
        wait_until(lambda: count() == wanted, f"{self._envoy.name}: {more} more of {stats}")
