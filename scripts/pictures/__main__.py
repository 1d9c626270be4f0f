"""Takes the pictures in docs/pictures: `istio-stats ui` in a browser, `istio-stats top` on a terminal.

Most are of a shop that is imagined (lab/imagined.py): so many services and their Envoys are more than a developer's
machine runs. Those of the tour are of `make demo`.
"""

import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from selenium import webdriver

from lab import browser, imagined, terminal, ui
from lab.paths import ROOT, command
from lab.processes import Process
from scripts.pictures import screen

DIRECTORY = ROOT / "docs" / "pictures"
MAX_BYTES = 300_000
# Until rates are over their whole minute, and there is a line of latency to draw.
SECONDS = 80
# Until a key has had its effect.
KEY_SECONDS = 1
WIDTH = 1400
REVIEWS = {"cluster": "west", "namespace": "shop", "name": "reviews"}
DETAILS = {"cluster": "west", "namespace": "shop", "name": "details"}
# File, theme, address.
SHOP = (
    ("topology", "light", "/"),
    ("topology-dark", "dark", "/"),
    ("clusters", "light", "/clusters"),
    ("services", "dark", "/services"),
    ("service", "light", f"/service?{urlencode(REVIEWS)}"),
)
TOUR = (
    ("tour-topology", "light", "/"),
    ("tour-service", "light", f"/service?{urlencode(DETAILS)}"),
)
# Of the terminal, in characters.
COLUMNS, ROWS = 172, 29


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, browser.opened() as chrome:
        directory = Path(name)
        shop(chrome, directory)
        tour(chrome, directory)


def shop(chrome: webdriver.Chrome, directory: Path) -> None:
    with imagined.served(imagined.shop()) as urls, ui.running(directory, *urls) as address:
        top: list[str | Path] = [command(), "top", "--interval", "2", "--by", "service", *urls]
        with terminal.running(top, COLUMNS, ROWS, directory) as shown:
            wait_for_rates()
            take_pages(chrome, address, SHOP)
            # What fails most, and what is known of it.
            shown.press("s", "Home", "Enter")
            time.sleep(KEY_SECONDS)
            page = directory / "top.html"
            page.write_text(screen.page(shown.coloured(), COLUMNS))
        take(chrome, page.as_uri(), "top", "dark")


def tour(chrome: webdriver.Chrome, directory: Path) -> None:
    demo = Process("make demo", [sys.executable, "-m", "demo", "--keep"], directory / "demo.log")
    try:
        [address] = demo.wait_until(lambda: re.findall(r"in a browser: (\S+)/\n", demo.log()), "told its address")
        wait_for_rates()
        take_pages(chrome, address, TOUR)
    finally:
        demo.stop()


def wait_for_rates() -> None:
    print(f"waiting {SECONDS} s for rates over a minute")
    time.sleep(SECONDS)


def take_pages(chrome: webdriver.Chrome, address: str, pictures: Sequence[tuple[str, str, str]]) -> None:
    for name, theme, path in pictures:
        take(chrome, address + path, name, theme)


def take(chrome: webdriver.Chrome, url: str, name: str, theme: str) -> None:
    browser.look(chrome, WIDTH, 400, theme)
    chrome.get(url)
    file = DIRECTORY / f"{name}.png"
    browser.take_picture(chrome, file)
    size = file.stat().st_size
    print(f"{file.relative_to(ROOT)}: {size} bytes")
    if size > MAX_BYTES:
        sys.exit(f"over {MAX_BYTES} bytes")


if __name__ == "__main__":
    main()
