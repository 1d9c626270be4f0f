"""Writes the dashboards into envoy-config/grafana/; --check only says whether they are what would be written."""

import json
import sys
from pathlib import Path

from scripts.dashboards import clusters, plugin, services, tcp

TARGET = Path(__file__).resolve().parents[2] / "envoy-config" / "grafana"
DASHBOARDS = {module.UID: module.build for module in (clusters, services, tcp, plugin)}


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    different = []
    for uid, build in DASHBOARDS.items():
        file = TARGET / f"{uid}.json"
        text = json.dumps(build(), indent=2, ensure_ascii=False) + "\n"
        if check and (not file.is_file() or file.read_text() != text):
            different.append(str(file))
        elif not check:
            file.write_text(text)
    if different:
        sys.exit(f"not as scripts/dashboards writes them: {', '.join(different)}")


if __name__ == "__main__":
    main()
