"""HTTP to what runs on this machine, whatever proxy the environment names."""

from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from lab.waiting import PATIENCE_SECONDS

_DIRECT = build_opener(ProxyHandler({}))


def read(url: str, data: bytes | None = None) -> str:
    """What a GET answers, or a POST of some data."""
    with _DIRECT.open(url, data, timeout=PATIENCE_SECONDS) as response:
        text: bytes = response.read()
    return text.decode()


def answers_ok(url: str) -> bool:
    """Whether it is there, and says 200."""
    try:
        with _DIRECT.open(url, timeout=1) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
