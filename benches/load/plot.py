"""Charts as SVG: medians as bars with quartiles as whiskers, and curves over time."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from benches.load.paired import Quartiles

FONT = "13px sans-serif"
NAME_WIDTH, BAR_WIDTH, VALUE_WIDTH, MARGIN = 330, 420, 60, 16
BAR_HEIGHT, GAP = 13, 9
CURVES_WIDTH, PANEL_HEIGHT, PANEL_GAP, TICK_WIDTH = 760, 150, 62, 44
COLOURS = ("#2b6cb0", "#a0c4e8", "#d9822b")
AXIS_TICKS = 5


def bars(title: str, unit: str, series: Sequence[str], rows: Sequence[tuple[str, Sequence[Quartiles]]]) -> str:
    """`series` names the bars of a row; `rows` are names and one `Quartiles` for each of the series."""
    row_height = len(series) * BAR_HEIGHT + GAP
    top = 78
    width, height = MARGIN + NAME_WIDTH + BAR_WIDTH + VALUE_WIDTH, top + len(rows) * row_height + 42
    left = MARGIN + NAME_WIDTH
    highest = max(max(one.upper, 0) for _, quartiles in rows for one in quartiles)
    ticks = _ticks(highest)
    scale = BAR_WIDTH / ticks[-1]

    def x(value: float) -> float:
        return left + max(0, value) * scale

    parts = [_text(MARGIN, 24, title, weight="bold"), *_legend(series, MARGIN, 48)]
    bottom = top + len(rows) * row_height
    for tick in ticks:
        parts.append(_line(x(tick), top - 8, x(tick), bottom, "#ddd"))
        parts.append(_text(x(tick), bottom + 16, f"{tick:g}", anchor="middle"))
    parts.append(_text(left + BAR_WIDTH / 2, bottom + 34, unit, anchor="middle"))
    for number, (name, quartiles) in enumerate(rows):
        y = top + number * row_height
        parts.append(_text(left - 8, y + len(series) * BAR_HEIGHT / 2 + 4, name, anchor="end"))
        for place, (one, colour) in enumerate(zip(quartiles, COLOURS, strict=False)):
            begin, middle = y + place * BAR_HEIGHT, y + (place + 0.5) * BAR_HEIGHT
            parts.append(_bar(left, begin, x(one.median) - left, colour))
            parts.append(_line(x(one.lower), middle, x(one.upper), middle, "#333"))
            parts.append(_text(x(one.upper) + 5, begin + BAR_HEIGHT - 3, f"{one.median:.1f}"))
    return _svg(width, height, parts)


# Their names, and by the names of curves their points.
Panels = Sequence[tuple[str, Mapping[str, Sequence[tuple[float, float]]]]]


def curves(title: str, unit: str, panels: Panels) -> str:
    """One chart below the other over the same `unit`."""
    left, top = MARGIN + TICK_WIDTH, 40
    furthest = max(x for _, named in panels for points in named.values() for x, _ in points)
    across = CURVES_WIDTH / furthest
    parts = [_text(MARGIN, 24, title, weight="bold")]
    for number, (name, named) in enumerate(panels):
        begin = top + number * (PANEL_HEIGHT + PANEL_GAP) + 36
        bottom = begin + PANEL_HEIGHT
        ticks = _ticks(max(y for points in named.values() for _, y in points))
        scale = PANEL_HEIGHT / ticks[-1]
        parts += [_text(MARGIN, begin - 18, name), *_legend(named, MARGIN + 160, begin - 18)]
        for tick in ticks:
            y = bottom - tick * scale
            parts += [_line(left, y, left + CURVES_WIDTH, y, "#ddd"), _text(left - 6, y + 4, f"{tick:g}", anchor="end")]
        for points, colour in zip(named.values(), COLOURS, strict=False):
            places = " ".join(f"{left + x * across:.1f},{bottom - y * scale:.1f}" for x, y in points)
            parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for tick in _ticks(furthest):
        if tick <= furthest:
            parts.append(_text(left + tick * across, bottom + 18, f"{tick:g}", anchor="middle"))
    parts.append(_text(left + CURVES_WIDTH / 2, bottom + 36, unit, anchor="middle"))
    return _svg(left + CURVES_WIDTH + MARGIN, bottom + 48, parts)


def _svg(width: float, height: float, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" style="font: {FONT}">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def _ticks(highest: float) -> list[float]:
    """From zero to what is not below the highest value."""
    step = _nice(highest / AXIS_TICKS)
    return [step * number for number in range(math.ceil(highest / step) + 1)]


def _nice(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, … so that the axis is easy to read."""
    power = 10.0**-3
    while True:
        for factor in (1, 2, 5):
            if factor * power >= step:
                return factor * power
        power *= 10


def _legend(series: Iterable[str], x: float, y: float) -> Iterator[str]:
    for name, colour in zip(series, COLOURS, strict=False):
        yield _bar(x, y - 10, 12, colour)
        yield _text(x + 18, y, name)
        x += 40 + 7 * len(name)


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR_HEIGHT - 2}" fill="{colour}"/>'
