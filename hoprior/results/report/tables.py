"""Pages of figures: tables with bars, and lines with intervals."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from hoprior.common.io import write_atomically
from hoprior.common.pages import is_page, stamp_of
from hoprior.results.report.page import Page

Row = Mapping[str, float | None]
Columns = Mapping[str, tuple[str, str]]
"""Field -> title and format, as evaluations have them."""

WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 640, 280, 60, 34, 14
COLOURS = ("#6a7078", "#c2552b", "#2b6cc2", "#3d8f6a", "#8a4fa3", "#b08a1e")
TICKS = 4


def table(
    title: str, rows: Mapping[str, Row], columns: Columns, note: str = "", means: Sequence[str] = ()
) -> dict[str, Any]:
    """A table with the columns that have a value; a bar beneath each says how large it is in its column.

    Args:
        means: the rows that are means of others; they are bold.

    Example:
        >>> drawn = table("Depth", {"mug": {"depth": 2.0}, "jar": {"depth": 1.0}}, {"depth": ("depth mm", "{:.1f}")})
        >>> drawn["columns"], drawn["rows"][1]["cells"], drawn["rows"][1]["shares"]
        (['', 'depth mm'], ['jar', '1.0'], [None, 0.5])
    """
    shown = [name for name in columns if any(row.get(name) is not None for row in rows.values())]
    most = {name: max(abs(row.get(name) or 0.0) for row in rows.values()) for name in shown}
    drawn = []
    for label, row in rows.items():
        values = [row.get(name) for name in shown]
        cells = ["-" if v is None else columns[name][1].format(v) for name, v in zip(shown, values, strict=True)]
        shares = [
            None if v is None or not most[name] or len(rows) == 1 else abs(v) / most[name]
            for name, v in zip(shown, values, strict=True)
        ]
        drawn.append({"cells": [label, *cells], "shares": [None, *shares], "mean": label in means})
    return {"title": title, "note": note, "columns": ["", *(columns[name][0] for name in shown)], "rows": drawn}


def lines_chart(
    values: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Mapping[str, tuple[float, float]]],
    unit: str,
) -> str:
    """Lines over named steps, one a row, with an interval at each point, as SVG.

    Example:
        >>> chart = lines_chart({"first": {"low": 1.0}}, {"first": {"low": (0.5, 1.5)}}, "mm")
        >>> chart[:5], chart.count("<circle")
        ('<svg ', 2)
    """
    steps = list(next(iter(values.values())))
    tick = _tick(max(high for row in intervals.values() for _, high in row.values()))
    width, height = WIDTH - LEFT - 10, HEIGHT - BELOW - ABOVE

    def y(value: float) -> float:
        return ABOVE + height * (1 - value / (TICKS * tick))

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 20 * len(values)}" width="{WIDTH}">'
    ]
    drawn.append('<g font-family="system-ui, sans-serif" font-size="12" fill="#6a7078">')
    for k in range(TICKS + 1):
        value = tick * k
        drawn.append(f'<path d="M{LEFT} {y(value):.1f}h{width}" stroke="#d9dde3"/>')
        drawn.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    drawn.append(f'<text x="4" y="{HEIGHT - 12}">{escape(unit)}</text>')
    for k, step in enumerate(steps):
        x = LEFT + width * (k + 0.5) / len(steps)
        drawn.append(f'<text x="{x:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(step)}</text>')
    for number, (name, row) in enumerate(values.items()):
        colour, aside = COLOURS[number % len(COLOURS)], 6 * (number - (len(values) - 1) / 2)
        places = [(LEFT + width * (k + 0.5) / len(steps) + aside, y(row[step])) for k, step in enumerate(steps)]
        points = " ".join(f"{x:.1f},{v:.1f}" for x, v in places)
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        for (x, v), step in zip(places, steps, strict=True):
            low, high = intervals[name][step]
            drawn.append(f'<path d="M{x:.1f} {y(low):.1f}V{y(high):.1f}" stroke="{colour}" stroke-width="2"/>')
            drawn.append(f'<circle cx="{x:.1f}" cy="{v:.1f}" r="4" fill="{colour}"/>')
        line = HEIGHT + 20 * number + 6
        drawn.append(f'<circle cx="{LEFT + 6}" cy="{line}" r="5" fill="{colour}"/>')
        drawn.append(f'<text x="{LEFT + 18}" y="{line + 4}">{escape(name)}</text>')
    return "".join([*drawn, "</g></svg>"])


def _tick(most: float) -> float:
    """1, 2 or 5 times a power of ten, so that `TICKS` of them are enough."""
    power = 10.0 ** math.floor(math.log10(max(most, 1e-9) / TICKS))
    return next(power * step for step in (1, 2, 5, 10, 20) if TICKS * power * step >= most)


def write_page_beside(index: Path, page: Page | None) -> Path | None:
    """Writes the page of figures that are on disk, beside them and by their name; without a page, an old one goes.

    Raises:
        HopriorError: no permission, a full disk.
    """
    path = index.with_suffix(".html")
    if page is None:
        if is_page(path):
            path.unlink()
        return None
    html = page.html(stamp_of(index))
    write_atomically(path, lambda temporary: temporary.write_text(html, encoding="utf-8"))
    return path
