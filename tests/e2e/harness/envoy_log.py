"""What an Envoy's log may say about the plugins: nothing, unless a test expects it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Makes every entry start with its level and logger.
FORMAT = "[%l][%n] %v"

_ENTRY = re.compile(r"^\[(?P<level>\w+)\]\[(?P<logger>[\w.]+)\] (?P<message>.*)$")
_FAULTY_LEVELS = ("warning", "error", "critical")
# A panic, a trap or a crash, whatever the entry's level.
_ALARMS = re.compile(r"panicked|Uncaught|RuntimeError|Caught Segmentation fault|Backtrace", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    level: str
    logger: str
    message: str

    def __str__(self) -> str:
        return f"[{self.level}][{self.logger}] {self.message}"


def entries(text: str) -> list[Entry]:
    """The log's entries; a line without a head belongs to the entry before it."""
    found = []
    for line in text.splitlines():
        head = _ENTRY.match(line)
        if head:
            found.append(Entry(**head.groupdict()))
        elif found:
            last = found.pop()
            found.append(Entry(last.level, last.logger, f"{last.message}\n{line}"))
        else:
            found.append(Entry("", "", line))
    return found


def faults(text: str) -> list[Entry]:
    """Every entry that tells of trouble with a plugin."""
    return [entry for entry in entries(text) if _is_fault(entry)]


def _is_fault(entry: Entry) -> bool:
    if _ALARMS.search(entry.message):
        return True
    about_wasm = "wasm" in entry.logger or "wasm" in entry.message.lower()
    about_plugins = about_wasm or entry.logger == "dynamic_modules"
    return about_plugins and entry.level in _FAULTY_LEVELS


def check(text: str, expected: Sequence[str] = (), permitted: str | None = None) -> None:
    """Each regular expression in `expected` matches exactly one fault, and there is no
    other fault but those that the one in `permitted` matches."""
    problems = []
    unexplained = [entry for entry in faults(text) if not (permitted and re.search(permitted, str(entry)))]
    for pattern in expected:
        matching = [entry for entry in unexplained if re.search(pattern, str(entry))]
        if len(matching) != 1:
            problems.append(f"{len(matching)} log entries match {pattern!r}, expected exactly one")
            problems.extend(f"  {entry}" for entry in matching)
        unexplained = [entry for entry in unexplained if entry not in matching]
    problems.extend(f"unexpected log entry: {entry}" for entry in unexplained)
    assert not problems, "\n".join(problems)
