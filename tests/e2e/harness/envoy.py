"""One real Envoy: starts it, finds its ports, reads its metrics, stops it."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import httpx

from lab.envoy import command
from lab.processes import Process
from lab.tree import Json
from lab.waiting import PATIENCE_SECONDS, await_equal
from lab.web import answers_ok
from tests.e2e.harness import envoy_log, scrape
from tests.e2e.harness.scrape import Families


class Envoy:
    """A context manager around an Envoy process with a bootstrap of its own.

    At its end its log must hold no warning or error about Wasm, except those
    that `expected_log` and `permitted_log` allow (see `envoy_log.check`).
    """

    # While it runs.
    _process: Process
    _admin: httpx.Client

    def __init__(
        self,
        name: str,
        bootstrap: Json,
        directory: Path,
        workers: int = 1,
        expected_log: Sequence[str] = (),
        permitted_log: str | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._expected_log = expected_log
        self._permitted_log = permitted_log
        self._log = directory / f"{name}.log"
        self._address_file = directory / f"{name}.admin"
        config = directory / f"{name}.json"
        config.write_text(json.dumps(bootstrap, indent=2))
        self._command = command(
            config,
            *("--admin-address-path", str(self._address_file)),
            *("--component-log-level", "wasm:info,dynamic_modules:info"),
            *("--log-format", envoy_log.FORMAT),
            *arguments,
            workers=workers,
        )
        self._ports: dict[str, int] = {}

    def __enter__(self) -> "Envoy":
        # Of an Envoy that ran here before under the same name.
        self._address_file.unlink(missing_ok=True)
        self._process = Process(self.name, self._command, self._log)
        try:
            address = self._process.wait_until(self._admin_address, "admin address")
            self._admin = httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=PATIENCE_SECONDS)
            self._process.wait_until(lambda: answers_ok(f"http://{address}/ready"))
            self._ports = self._listener_ports()
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        envoy_log.check(self.log(), self._expected_log, self._permitted_log)

    def stop(self) -> None:
        """Asks Envoy to end; a crash on the way is an error."""
        if self._process.status is None:
            # Who is on the way to its end, told by somebody else, does not answer any more.
            with suppress(httpx.HTTPError):
                self._admin.post("/quitquitquit")
            try:
                self.await_end()
            except TimeoutExpired:
                self._process.kill()
        self._admin.close()
        if self._process.status != 0:
            raise self._process.failure(f"ended with status {self._process.status}")

    def terminate(self) -> None:
        """Ends Envoy as Kubernetes ends a container."""
        self._process.terminate()
        self.await_end()

    def await_end(self) -> None:
        """Waits until Envoy has ended, whoever told it to."""
        self._process.wait(PATIENCE_SECONDS)

    def drain(self) -> None:
        """Makes Envoy refuse new connections after its --drain-time-s."""
        self._admin.post("/drain_listeners?graceful").raise_for_status()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def admin_url(self) -> str:
        return str(self._admin.base_url)

    def port(self, listener: str) -> int:
        return self._ports[listener]

    def families(self, pattern: str | None = None) -> Families:
        """The plugin's metric families now, or those of them whose stats' names match: a whole page can be long."""
        return scrape.parse(self.admin("/stats/prometheus", params={"filter": pattern} if pattern else None).text)

    def stats(self, pattern: str) -> dict[str, int]:
        """Envoy's own stats whose name matches, by name."""
        found = self.admin("/stats", params={"format": "json", "filter": pattern}).json()["stats"]
        return {stat["name"]: stat["value"] for stat in found}

    def await_stat(self, name: str, value: float) -> None:
        """Waits until a stat of Envoy's own has this value."""
        await_equal(lambda: self.stats(f"^{re.escape(name)}$").get(name), value, f"{self.name}: {name}")

    def admin(self, path: str, **options: Any) -> httpx.Response:
        response = self._admin.get(path, **options)
        response.raise_for_status()
        return response

    def allocated_bytes(self) -> int:
        """What Envoy's heap gave out: without what its allocator keeps, and without V8. Native modules use it, too."""
        return int(self.admin("/memory").json()["allocated"])

    def trace_wasm(self) -> None:
        """From now on the log tells every hostcall."""
        self._admin.post("/logging?wasm=trace").raise_for_status()

    def log(self) -> str:
        return self._process.log()

    def _admin_address(self) -> str | None:
        return self._address_file.read_text().strip() if self._address_file.exists() else None

    def _listener_ports(self) -> dict[str, int]:
        listeners = self.admin("/listeners", params={"format": "json"}).json().get("listener_statuses", [])
        # Others have no port: those that are reached from within Envoy alone.
        addresses = ((one["name"], one["local_address"].get("socket_address")) for one in listeners)
        return {name: address["port_value"] for name, address in addresses if address}
