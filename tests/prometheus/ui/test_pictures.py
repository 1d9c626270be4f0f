"""The pictures of the documents show what there is: another page, or another arrangement, is noticed."""

import base64
from pathlib import Path

import pytest
from selenium import webdriver

from lab import browser, imagined
from lab.paths import ROOT
from tests.prometheus.ui.conftest import Show

PICTURES = ROOT / "docs" / "pictures"
# Of 1, per point and colour, at a tenth of the size. Numbers differ each time, and some strands' widths with them.
SAME = 0.005
_DIFFERENCE = """
const [one, other, done] = arguments;
const points = async (data) => {
    const image = new Image();
    image.src = "data:image/png;base64," + data;
    await image.decode();
    const canvas = new OffscreenCanvas(140, 90), context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, 140, 90);
    return context.getImageData(0, 0, 140, 90).data;
};
Promise.all([points(one), points(other)]).then(([a, b]) =>
    done(a.reduce((sum, value, at) => sum + Math.abs(value - b[at]), 0) / a.length / 255));
"""


@pytest.mark.parametrize(
    "name, theme, path",
    [("topology", "light", "/"), ("topology-dark", "dark", "/"), ("clusters", "light", "/clusters")],
)
def test_a_picture_is_up_to_date(
    show: Show, chrome: webdriver.Chrome, tmp_path: Path, name: str, theme: str, path: str
) -> None:
    with imagined.served(imagined.shop()) as urls:
        screen = show("--interval", "1", *urls)
        screen.await_on(lambda: all("/s" in said for said in screen.strands().values()), "rates on all strands")
        browser.look(chrome, 1400, 400, theme)
        screen.open(path)
        taken = tmp_path / "taken.png"
        browser.take_picture(chrome, taken)
    differences = {file.stem: _difference(chrome, taken, file) for file in PICTURES.glob("*.png")}
    assert differences[name] < SAME, "out of date: make pictures"
    assert [other for other, difference in differences.items() if difference < 2 * SAME] == [name]


def _difference(chrome: webdriver.Chrome, one: Path, other: Path) -> float:
    # The command's pages forbid images from elsewhere.
    chrome.get("about:blank")
    found: float = chrome.execute_async_script(
        _DIFFERENCE, *(base64.b64encode(file.read_bytes()).decode() for file in (one, other))
    )
    return found
