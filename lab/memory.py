"""How much memory a process holds, and the Wasm VMs in it."""

import re
from itertools import pairwise
from pathlib import Path

# V8 reserves this much behind each linear memory, so that no access needs a check of its bounds.
_GUARD_BYTES = 4 << 30
_MAPPING = re.compile(r"^(\w+)-(\w+) (\S+)", re.MULTILINE)


def resident_bytes(pid: int) -> int:
    """What the kernel counts for the process: Envoy's heap and V8's together."""
    return _bytes(pid, "status", "VmRSS")


def anonymous_bytes(pid: int) -> int:
    """The part of it that no file backs: what the process needs beyond its binary."""
    return _bytes(pid, "smaps_rollup", "Anonymous")


def linear_memories(pid: int) -> list[int]:
    """The bytes of each Wasm VM's linear memory, which never shrinks; the greatest first."""
    mappings = [(int(begin, 16), int(end, 16), access) for begin, end, access in _MAPPING.findall(_proc(pid, "maps"))]
    found = [
        end - begin
        for (begin, end, access), (guard, guard_end, guard_access) in pairwise(mappings)
        if access == "rw-p" and guard_access == "---p" and guard == end and guard_end - guard >= _GUARD_BYTES
    ]
    return sorted(found, reverse=True)


def _bytes(pid: int, file: str, field: str) -> int:
    (kilobytes,) = re.findall(rf"^{field}:\s+(\d+) kB$", _proc(pid, file), re.MULTILINE)
    return int(kilobytes) * 1024


def _proc(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text()
