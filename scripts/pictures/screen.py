"""A terminal's screen as a page, for a browser to take a picture of."""

import io

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<style>
body {{ margin: 0; padding: 18px 22px; background: {background}; }}
pre {{ margin: 0; color: {foreground}; font: 13px/1.17 "DejaVu Sans Mono", monospace; }}
</style>
<pre>{code}</pre>
"""


def page(coloured: str, columns: int) -> str:
    """Of text with the sequences that colour it."""
    console = Console(record=True, width=columns, file=io.StringIO(), color_system="truecolor")
    console.print(Text.from_ansi(coloured), soft_wrap=True)
    return console.export_html(theme=MONOKAI, code_format=_PAGE, inline_styles=True)
