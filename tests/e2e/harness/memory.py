"""How much memory an Envoy holds."""

import re
from pathlib import Path


def resident_bytes(envoy):
    """What the kernel counts for the process: Envoy's heap and V8's together."""
    status = Path(f"/proc/{envoy._process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) * 1024
