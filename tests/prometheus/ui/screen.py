"""What is on the page, in the words of the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlencode

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from lab.waiting import wait_until

T = TypeVar("T")


class Screen:
    def __init__(self, chrome: webdriver.Chrome, address: str) -> None:
        self._chrome = chrome
        self.address = address

    def open(self, path: str, **parameters: str) -> None:
        query = f"?{urlencode(parameters)}" if parameters else ""
        self._chrome.get(f"{self.address}{path}{query}")

    def await_on(self, check: Callable[[], T | None], what: str) -> T:
        """Reads the page again until the check finds something."""

        def again() -> T | None:
            found = check()
            if not found:
                self._chrome.refresh()
            return found

        return wait_until(again, what, every=0.3)

    def all(self, selector: str) -> list[WebElement]:
        return self._chrome.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "main") -> str:
        """Of the first; empty if there is none."""
        return "\n".join(one.text for one in self.all(selector)[:1])

    def run(self, script: str) -> object:
        """The value of an expression in the page."""
        return self._chrome.execute_script(f"return {script}")

    def press(self, keys: str) -> None:
        webdriver.ActionChains(self._chrome).send_keys(keys).perform()

    def go(self, keys: str) -> None:
        """Presses keys that lead to another page, and waits for that."""
        self._leave(lambda: self.press(keys), f"another page for {keys!r}")

    def follow(self, link: WebElement) -> None:
        """Clicks, and waits for the page behind it."""
        self._leave(link.click, f"another page than {self.location}")

    def _leave(self, act: Callable[[], object], what: str) -> None:
        self.run("window.isLeft = true")
        act()

        def is_there() -> object:
            try:
                return self.run("!window.isLeft && document.readyState === 'complete'")
            except WebDriverException:  # Between two pages.
                return None

        wait_until(is_there, what)

    def tab(self) -> None:
        self.press(Keys.TAB)

    @property
    def location(self) -> str:
        return self._chrome.current_url.removeprefix(self.address)

    def boxes(self) -> dict[str, tuple[object, ...]]:
        """Where each stands, by its title without the numbers."""
        script = """[...document.querySelectorAll(".topology .box")].map((one) => {
            const box = one.querySelector("rect");
            return [one.querySelector("title").textContent.split(": ")[0],
                ...["x", "y", "width", "height"].map((name) => box.getAttribute(name))];
        })"""
        return {name: tuple(place) for name, *place in self._list(script)}

    def strands(self) -> dict[tuple[str, str, str], str]:
        """What each says, by its ends and protocol."""
        script = """[...document.querySelectorAll(".topology .strand[data-protocol]")].map((one) =>
            [one.dataset.from, one.dataset.to, one.dataset.protocol, one.querySelector("title").textContent])"""
        return {(source, to, protocol): title for source, to, protocol, title in self._list(script)}

    def rows(self, table: str) -> list[dict[str, str]]:
        """Of a table, by the titles of its columns."""
        script = f"""[...document.querySelectorAll("#{table} tr")].map((row) =>
            [...row.querySelectorAll("th, td")].map((cell) => cell.innerText.trim()))"""
        titles, *rows = self._list(script) or [[]]
        return [dict(zip(titles, row, strict=True)) for row in rows]

    def console(self) -> list[str]:
        """What the browser complained of since the last time."""
        return [entry["message"] for entry in self._log("browser")]

    def requested(self) -> list[str]:
        """What the browser asked for since the last time."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent]

    def _log(self, kind: str) -> list[dict[str, str]]:
        # It has no types.
        found: list[dict[str, str]] = self._chrome.get_log(kind)  # type: ignore[no-untyped-call]
        return found

    def _list(self, script: str) -> list[list[str]]:
        found: list[list[str]] = self._chrome.execute_script(f"return {script}")
        return found
