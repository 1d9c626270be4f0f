"""How much memory an Envoy holds, and its VMs."""

import re
from itertools import pairwise
from pathlib import Path

# V8 reserves this much behind each linear memory, so that no access needs a check of its bounds.
_GUARD_BYTES = 4 << 30
_MAPPING = re.compile(r"^(\w+)-(\w+) (\S+)", re.MULTILINE)


def resident_bytes(envoy):
    """What the kernel counts for the process: Envoy's heap and V8's together."""
    return _bytes(envoy, "status", "VmRSS")


def anonymous_bytes(envoy):
    """The part of it that no file backs."""
    return _bytes(envoy, "smaps_rollup", "Anonymous")


def allocated_bytes(envoy):
    """What Envoy's heap gave out: without what its allocator keeps, and without V8."""
    return int(envoy.admin("/memory").json()["allocated"])


def linear_memories(envoy):
    """The bytes of each Wasm VM's linear memory, which never shrinks; the greatest first."""
    mappings = [(int(begin, 16), int(end, 16), access) for begin, end, access in _MAPPING.findall(_proc(envoy, "maps"))]
    found = [
        end - begin
        for (begin, end, access), (guard, guard_end, guard_access) in pairwise(mappings)
        if access == "rw-p" and guard_access == "---p" and guard == end and guard_end - guard >= _GUARD_BYTES
    ]
    return sorted(found, reverse=True)


def _bytes(envoy, file, field):
    (kilobytes,) = re.findall(rf"^{field}:\s+(\d+) kB$", _proc(envoy, file), re.MULTILINE)
    return int(kilobytes) * 1024


def _proc(envoy, file):
    return Path(f"/proc/{envoy.pid}/{file}").read_text()
