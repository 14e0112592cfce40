"""A plot of ratios as SVG: a bar for each, on a logarithmic axis that begins at one."""

import math
from html import escape

ROW, LABEL, WIDTH = 26, 330, 420
INK, BAR, LINE = "#333333", "#3f77b5", "#cccccc"


def bars(rows: list[tuple[str, str, float]]) -> str:
    """The picture of rows of a name, what is compared, and the ratio.

    Example:
        >>> bars([("work", "ours beside theirs", 2.0)]).count("<rect")
        2
    """
    most = max([10.0, *(ratio for _, _, ratio in rows)])
    decades = range(math.ceil(math.log10(most)) + 1)
    height = ROW * (len(rows) + 1) + 16

    def across(ratio: float) -> float:
        return LABEL + WIDTH * math.log10(max(ratio, 1.0)) / decades[-1]

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 70}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="100%" height="{height}" fill="white"/>',
    ]
    for power in decades:
        x = across(10.0**power)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 24}" stroke="{LINE}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{10**power} x</text>')
    for k, (name, what, ratio) in enumerate(rows):
        y = 8 + ROW * k
        title = f"<title>{escape(what)}</title>"
        parts.append(f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}{title}</text>')
        long = max(across(ratio) - LABEL, 1.0)
        parts.append(f'<rect x="{LABEL}" y="{y}" width="{long:.1f}" height="{ROW - 8}" fill="{BAR}">{title}</rect>')
        parts.append(f'<text x="{LABEL + long + 6:.1f}" y="{y + 14}">{ratio:.2g} x</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
