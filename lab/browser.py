"""A real browser without a screen: Chromium, driven by its own driver.

`python -m lab.browser` says by its exit status whether there is one.
"""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver

from lab.failure import Failure

_ARGUMENTS = (
    "--headless=new",
    # Containers have neither the kernel's sandbox nor much shared memory.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    # It talks to nobody else.
    "--disable-background-networking",
    "--no-proxy-server",
)


def programs() -> tuple[str, str] | None:
    """Browser and driver."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def opened() -> Iterator[webdriver.Chrome]:
    found = programs()
    if found is None:
        raise Failure("no Chromium with its driver. Install both: apt install chromium chromium-driver")
    browser, driver = found
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    # What the console said, and what pages asked for.
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        look(chrome, 1400)
        yield chrome
    finally:
        chrome.quit()


def look(chrome: webdriver.Chrome, width: int, height: int = 900, theme: str = "light") -> None:
    """At a window of that size, in `light` or `dark`."""
    scheme = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def take_picture(chrome: webdriver.Chrome, file: Path) -> None:
    """Of the whole page, also of what is below the window."""
    answer = chrome.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
    file.write_bytes(base64.b64decode(answer["data"]))


if __name__ == "__main__":
    sys.exit(programs() is None)
