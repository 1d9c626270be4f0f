"""That no file of tests leaves out a form without saying why."""

import re
from pathlib import Path

from tests.e2e.harness.forms import WASM_ONLY

FILES = {path.stem.removeprefix("test_"): path.read_text() for path in Path(__file__).parent.glob("test_*.py")}
MARK = re.compile(r"^ *pytestmark = (forms\.BOTH|each_of\()", re.MULTILINE)


def test_what_is_not_for_each_form_is_listed_with_its_reason() -> None:
    assert {name for name, text in FILES.items() if not MARK.search(text)} == WASM_ONLY.keys()
