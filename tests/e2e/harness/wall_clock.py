"""A wall clock that a test can set, for the processes that it starts."""

import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("wall_clock.c")


class WallClock:
    """From its creation on, started processes have it, as long as `monkeypatch` lasts."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        library, self._shift = directory / "wall_clock.so", directory / "shift"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True)
        self.shift(0)
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("WALL_CLOCK_SHIFT", str(self._shift))

    def shift(self, seconds: int) -> None:
        """Sets it so many seconds off the machine's."""
        with self._shift.open("r+b" if self._shift.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))
