"""A terminal without a screen: tmux, which knows what a program's output makes of one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Terminal:
    """By the socket of its tmux."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", str(self._socket), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def press(self, *keys: str) -> None:
        """By tmux' names of them: Enter, Down, C-c."""
        self.tmux("send-keys", *keys)

    def text(self) -> str:
        """What is on the screen."""
        return self.tmux("capture-pane", "-p").rstrip("\n")

    def coloured(self) -> str:
        """The same, with the sequences that colour it."""
        return self.tmux("capture-pane", "-e", "-p").rstrip("\n")


@contextmanager
def running(command: Sequence[str | Path], columns: int, rows: int, directory: Path) -> Iterator[Terminal]:
    """Runs a program on a terminal of that size."""
    terminal = Terminal(directory / "tmux")
    size = ["-x", str(columns), "-y", str(rows)]
    # No settings of whoever runs it, and no line of tmux' own.
    terminal.tmux("-f", "/dev/null", "new-session", "-d", *size, *map(str, command), ";", "set", "status", "off")
    try:
        yield terminal
    finally:
        terminal.tmux("kill-server")
