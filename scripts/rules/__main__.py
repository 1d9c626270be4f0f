"""Writes envoy-config/prometheus/rules/workload.yaml; --check only says whether it is what would be written."""

import sys
from pathlib import Path

from scripts.rules import workload

TARGET = Path(__file__).resolve().parents[2] / "envoy-config" / "prometheus" / "rules" / "workload.yaml"


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    if not check:
        TARGET.write_text(workload.text())
    elif TARGET.read_text() != workload.text():
        sys.exit(f"not as scripts/rules writes it: {TARGET}")


if __name__ == "__main__":
    main()
