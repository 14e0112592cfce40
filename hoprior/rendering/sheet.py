"""One picture of many hands and objects: each from the back of the hand and from its fingers' side."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from joblib import cpu_count
from PIL import Image, ImageDraw, ImageFont

from hoprior.rendering.rasterizer import BACKGROUND, SceneMesh, look_along, render_scene

MAX_CELLS = 20
MAX_FACES = 20_000
VIEW_SIZE = 230
CAPTION_HEIGHT = 40
MARGIN = 10
MOST_THREADS = 4
INK, FAINT_INK = (40, 44, 52), (110, 116, 128)

# Directions that the camera looks along, in the right hand's frame (x to the fingers, -y the thumb, z out of the palm):
# at the back of the hand from the thumb's side, and from the other side at the fingers that close around the object.
VIEWS = ((-0.25, 0.75, 0.65), (-0.55, -0.35, -0.75))
FINGERS_UP = (1.0, 0.0, 0.0)

CAPTION_METRICS = {
    "max_depth_cm": "depth {:.2f} cm",
    "object_size_cm": "object {:.0f} cm",
    "contact_ratio": "contact {:.0%}",
    "contact_area": "contact area {:.2f}",
    "volume_cm3": "volume {:.1f} cm³",
    "displacement_cm": "slips {:.1f} cm",
}
MAX_CAPTION_METRICS = 2


@dataclass(frozen=True, eq=False)
class Cell:
    """One hand at one object; the meshes share a frame, `rotation` maps the hand's axes into it; two captions."""

    meshes: Sequence[SceneMesh]
    rotation: Float[np.ndarray, "3 3"]
    side: str
    label: str
    remark: str


def draw_sheet(title: str, shown: str, cells: Sequence[Cell], view_size: int = VIEW_SIZE) -> Image.Image:
    """A sheet of numbered cells under a title, and what is `shown` at its right."""
    columns = min(len(cells), 2 if len(cells) <= 4 else 3 if len(cells) <= 9 else 5)
    rows = -(-len(cells) // columns)
    cell_size = (2 * view_size + MARGIN, view_size + CAPTION_HEIGHT + MARGIN)
    header = 44
    size = (columns * cell_size[0] + MARGIN, rows * cell_size[1] + header)
    sheet = Image.new("RGB", size, tuple(round(255 * c) for c in BACKGROUND))
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN + 2, 12), title, INK, font(18))
    draw.text((size[0] - MARGIN - 2, 14), shown, FAINT_INK, font(14), anchor="ra")
    for rank, (cell, pictures) in enumerate(zip(cells, _views_of_all(cells, view_size), strict=True)):
        left, top = MARGIN + rank % columns * cell_size[0], header + rank // columns * cell_size[1]
        for k, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (left + k * view_size, top))
        draw.text((left + 4, top + view_size + 2), f"{rank + 1}", INK, font(16))
        draw.text((left + 34, top + view_size + 4), cell.label, INK, font(14))
        indent = max(130, 46 + round(draw.textlength(cell.label, font(14))))
        draw.text((left + indent, top + view_size + 4), cell.remark, FAINT_INK, font(14))
    return sheet


def _views_of_all(cells: Sequence[Cell], size: int) -> Iterator[list[np.ndarray]]:
    """Pictures of each cell; numpy lets go of Python while it computes."""
    with ThreadPoolExecutor(max(1, min(len(cells), cpu_count(), MOST_THREADS))) as threads:
        yield from threads.map(lambda cell: _views(cell, size), cells)


def _views(cell: Cell, size: int) -> list[np.ndarray]:
    """Pictures of one cell along `VIEWS`; the hand stands upright in them."""
    mirror = np.array([1.0, -1.0 if cell.side == "left" else 1.0, 1.0])
    points = np.concatenate([np.asarray(verts, dtype=float) for verts, _, _ in cell.meshes])
    up = cell.rotation @ np.asarray(FINGERS_UP)
    return [
        render_scene(cell.meshes, (size, size), camera=look_along(points, cell.rotation @ (mirror * view), up))
        for view in VIEWS
    ]


def metrics_caption(metrics: Mapping[str, float]) -> str:
    """The first measures that a cell has room for, in words.

    Example:
        >>> metrics_caption({"max_depth_cm": 0.25, "other": 1.0})
        'depth 0.25 cm'
    """
    known = [
        text.format(metrics[name])
        for name, text in CAPTION_METRICS.items()
        if name in metrics and np.isfinite(metrics[name])
    ]
    return " · ".join(known[:MAX_CAPTION_METRICS])


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of sheets."""
    return ImageFont.load_default(size)
