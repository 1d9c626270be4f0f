"""Takes the pictures in docs/pictures: `istio-stats ui` in a browser, over a shop in two Kubernetes clusters.

The shop is imagined (lab/imagined.py): so many services and their Envoys are more than a developer's machine runs.
"""

import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from lab import browser, imagined, ui
from lab.paths import ROOT

DIRECTORY = ROOT / "docs" / "pictures"
MAX_BYTES = 300_000
# Until rates are over their whole minute, and there is a line of latency to draw.
SECONDS = 80
WIDTH = 1400
REVIEWS = {"cluster": "west", "namespace": "shop", "name": "reviews"}
# File, theme, address.
PICTURES = (
    ("topology", "light", "/"),
    ("topology-dark", "dark", "/"),
    ("clusters", "light", "/clusters"),
    ("services", "dark", "/services"),
    ("service", "light", f"/service?{urlencode(REVIEWS)}"),
)


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as directory,
        imagined.served(imagined.shop()) as urls,
        ui.running(Path(directory), *urls) as address,
        browser.opened() as chrome,
    ):
        print(f"waiting {SECONDS} s for rates over a minute")
        time.sleep(SECONDS)
        for name, theme, path in PICTURES:
            browser.look(chrome, WIDTH, 400, theme)
            chrome.get(address + path)
            file = DIRECTORY / f"{name}.png"
            browser.take_picture(chrome, file)
            size = file.stat().st_size
            print(f"{file.relative_to(ROOT)}: {size} bytes")
            if size > MAX_BYTES:
                sys.exit(f"over {MAX_BYTES} bytes")


if __name__ == "__main__":
    main()
