"""A set of running Envoys and what they are expected to export."""

import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from lab.waiting import leftovers, wait_until
from tests.e2e.harness import golden, scrape
from tests.e2e.harness.envoy import Envoy
from tests.e2e.harness.runnable import Runnable
from tests.e2e.harness.scrape import Families

# Four flushes: a series that comes late would be there.
LATE_SECONDS = 0.4


class Mesh:
    """Starts proxies on demand; leaves none behind."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._envoys: dict[str, Envoy] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "Mesh":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, sidecar: Runnable) -> int:
        """Runs the sidecar and returns the port of its listener."""
        return self.run(sidecar).port(sidecar.name)

    def run(self, sidecar: Runnable) -> Envoy:
        """Runs a proxy, whatever listeners it has, and returns its Envoy."""
        envoy = Envoy(
            sidecar.name,
            sidecar.bootstrap(),
            self._directory,
            workers=sidecar.workers,
            expected_log=sidecar.expected_log,
            permitted_log=sidecar.permitted_log,
            arguments=sidecar.arguments,
        )
        self._envoys[sidecar.name] = self._stack.enter_context(envoy)
        return envoy

    def __getitem__(self, name: str) -> Envoy:
        return self._envoys[name]

    def expect(self, golden_file: str) -> None:
        """Waits until the Envoys named in the golden file export exactly what it says, and no more."""
        self.expect_families(golden.load(golden_file), golden_file)

    def expect_families(self, wanted: dict[str, Families], source: str) -> None:
        """The same for families by Envoy, which `source` names in a failure."""
        leftovers(lambda: self._differences(wanted), every=0.05)
        time.sleep(LATE_SECONDS)
        lines = self._differences(wanted)
        assert not lines, "\n".join([f"metrics differ from {source}", *lines])

    def await_total(self, name: str, family: str, total: float) -> None:
        """Waits until all series of a family together make `total`."""

        def reached() -> bool:
            found = self._envoys[name].families().get(family)
            return found is not None and sum(found.series.values()) == total

        wait_until(reached, f"{name}: {family} summing up to {total}")
        time.sleep(LATE_SECONDS)

    def requests(
        self, name: str, labels: Iterable[str], counter: str = "istio_requests_total"
    ) -> dict[tuple[str, ...], float]:
        """How many requests a proxy counted, or what another counter says, by the values of these labels."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        family = self._envoys[name].families().get(counter)
        for series, value in family.series.items() if family else ():
            told = dict(series)
            found[tuple(told[label] for label in labels)] += value
        return dict(found)

    def _differences(self, wanted: dict[str, Families]) -> list[str]:
        lines: list[str] = []
        for name, families in wanted.items():
            found = scrape.standard(self._envoys[name].families())
            lines.extend(f"{name}: {line}" for line in scrape.differences(found, families))
        return lines
