"""Starts processes and stops them, whatever happens in between."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from lab.failure import Failure
from lab.waiting import wait_until

T = TypeVar("T")

STOP_SECONDS = 5
LOG_TAIL_LINES = 40


class Process:
    """One child process; its output goes to a log file."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches only the parent, which then
            # stops its children in order.
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def status(self) -> int | None:
        """With which it ended, if it did."""
        return self._child.poll()

    def wait_until(self, check: Callable[[], T | None], what: str = "ready", every: float = 0.02) -> T:
        """Waits for something that the process must not end before."""

        def checked() -> T | None:
            self.require_running()
            return check()

        try:
            return wait_until(checked, what, every=every)
        except TimeoutError as error:
            raise self.failure(f"is late: {error}") from error

    def wait_until_or_stop(self, check: Callable[[], object]) -> None:
        """Waits for it to be ready, and leaves nothing behind if it is not."""
        try:
            self.wait_until(check)
        except BaseException:
            self.stop()
            raise

    def require_running(self) -> None:
        if self.status is not None:
            raise self.failure(f"ended with status {self.status}")

    def failure(self, what: str) -> Failure:
        lines = "\n".join(f"    {line}" for line in self.log().splitlines()[-LOG_TAIL_LINES:])
        return Failure(f"{self.name} {what}. The end of {self._log}:\n{lines}")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def terminate(self) -> None:
        """Asks it to end, as Kubernetes asks a container."""
        self._child.terminate()

    def wait(self, seconds: float) -> None:
        """Until it has ended; a TimeoutExpired if it does not."""
        self._child.wait(seconds)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def stop(self) -> None:
        """Ends it, in one way or the other."""
        self.terminate()
        try:
            self.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


class Processes:
    """A context manager: leaving it stops every process, the last one first."""

    def __init__(self) -> None:
        self._running: list[Process] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        while self._running:
            self._running.pop().stop()

    def start(self, name: str, command: Sequence[str | Path], log: Path) -> Process:
        process = Process(name, command, log)
        self._running.append(process)
        return process

    def require_running(self) -> None:
        """Fails if a process has ended by itself."""
        for process in self._running:
            process.require_running()
