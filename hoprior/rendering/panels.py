"""Pictures of what networks make, beside what they should: rows of small scenes, scores as dots, tables as heat."""

from collections.abc import Mapping, Sequence

import numpy as np
import trimesh
from jaxtyping import Float
from PIL import Image, ImageDraw

from hoprior.geometry.units import number_text
from hoprior.hand.bones import BONE_ENDS, BONE_STARTS, FINGER_CHAINS
from hoprior.rendering.rasterizer import BACKGROUND, SKIN, SceneMesh, look_along, render_scene
from hoprior.rendering.sheet import FAINT_INK, INK, MARGIN, VIEWS, font

CELL = 150
"""Pixels of a small scene."""
NAMES_WIDTH = 110
CAPTION = 20
BONE_RADIUS = 0.005
"""Of a drawn bone, m."""
BONES = (*((0, chain[0]) for chain in FINGER_CHAINS), *zip(BONE_STARTS, BONE_ENDS, strict=True))
"""Pairs of joints that a bone lies between."""
COLOURS = ((38, 128, 120), (214, 120, 40), (110, 116, 128), (150, 80, 160))
"""Of groups of scores."""


def scene_rows(
    rows: Mapping[str, Sequence[Sequence[SceneMesh]]],
    corners: Float[np.ndarray, "n 3"],
    captions: Sequence[str] = (),
    view: Sequence[float] = VIEWS[0],
    up: Sequence[float] = (1.0, 0.0, 0.0),
) -> Image.Image:
    """Named rows of scenes, all from one place and to one scale; a scene without meshes stays empty.

    Args:
        rows: for each name its scenes, one a column, each of meshes in one frame.
        corners: what the camera sees whole (m): the corners of a grid, say.
        captions: of the columns.
        view, up: where the camera looks, and what is up in the picture; a right hand's palm from the thumb's side.
    """
    columns = max((len(scenes) for scenes in rows.values()), default=0)
    bottom = CAPTION if captions else 0
    sheet = _paper(NAMES_WIDTH + columns * CELL, len(rows) * CELL + bottom)
    draw, camera = ImageDraw.Draw(sheet), look_along(corners, view, up)
    for row, (name, scenes) in enumerate(rows.items()):
        draw.text((MARGIN, row * CELL + CELL // 2), name, INK, font(14), anchor="lm")
        for column, meshes in enumerate(scenes):
            if meshes:
                picture = render_scene(meshes, (CELL, CELL), camera=camera)
                sheet.paste(Image.fromarray(picture), (NAMES_WIDTH + column * CELL, row * CELL))
    for column, caption in enumerate(captions[:columns]):
        at = (NAMES_WIDTH + column * CELL + CELL // 2, len(rows) * CELL + CAPTION // 2)
        draw.text(at, caption, FAINT_INK, font(13), anchor="mm")
    return sheet


def skeleton(joints: Float[np.ndarray, "21 3"], colour: Sequence[float] = SKIN) -> list[SceneMesh]:
    """The bones between a hand's joints (m); none for joints that are not known (NaN).

    Example:
        >>> len(skeleton(np.full((21, 3), np.nan))), len(skeleton(np.arange(63.0).reshape(21, 3)))
        (0, 1)
    """
    ends = [joints[list(bone)] for bone in BONES]
    tubes = [
        trimesh.creation.cylinder(BONE_RADIUS, segment=segment, sections=8)
        for segment in ends
        if np.isfinite(segment).all() and np.linalg.norm(segment[1] - segment[0]) > 1e-4
    ]
    if not tubes:
        return []
    whole: trimesh.Trimesh = trimesh.util.concatenate(tubes)  # type: ignore[assignment]
    return [(whole.vertices, whole.faces, colour)]


def score_strips(
    groups: Mapping[str, Float[np.ndarray, " n"]], title: str, size: tuple[int, int] = (480, 60)
) -> Image.Image:
    """Each group's scores as bars of a histogram over one axis, one strip a group: how far they lie apart.

    Scores that are not finite are left out.

    Example:
        >>> score_strips({"recorded": np.array([1.0, 2.0]), "others": np.array([0.0])}, "scores").size
        (600, 174)
    """
    known = {name: scores[np.isfinite(scores)] for name, scores in groups.items()}
    low, high = (f([f(scores) for scores in known.values() if len(scores)] or [0.0]) for f in (np.min, np.max))
    edges = np.linspace(low, max(high, low + 1e-6), 41)
    width, height = size
    sheet = _paper(NAMES_WIDTH + width + MARGIN, len(groups) * height + 54)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 6), title, INK, font(15))
    for row, (name, scores) in enumerate(known.items()):
        base, colour = 30 + (row + 1) * height, COLOURS[row % len(COLOURS)]
        draw.text((MARGIN, base - height // 2), f"{name} ({len(scores)})", colour, font(13), anchor="lm")
        counts = np.histogram(scores, edges)[0] if len(scores) else np.zeros(40)
        for k, share in enumerate(counts / max(1, counts.max())):
            left = NAMES_WIDTH + k * width / 40
            draw.rectangle((left, base - share * (height - 8), left + width / 40 - 1, base), fill=colour)
    bottom = 30 + len(groups) * height + 4
    draw.text((NAMES_WIDTH, bottom), f"{low:.2f}", FAINT_INK, font(12))
    draw.text((NAMES_WIDTH + width, bottom), f"{high:.2f}", FAINT_INK, font(12), anchor="ra")
    return sheet


def heat_table(values: Float[np.ndarray, "r c"], title: str, rows: str, columns: str, cell: int = 12) -> Image.Image:
    """A table as squares, from white at its least value to dark at its greatest; what rows and columns are is written.

    Example:
        >>> heat_table(np.eye(4), "right", "is", "is taken for").size
        (204, 102)
    """
    low, high = float(values.min()), float(values.max())
    share = (values - low)[..., None] / max(high - low, 1e-9)
    dark, light = (np.array(colour) for colour in (COLOURS[0], (255, 255, 255)))
    squares = Image.fromarray((light + share * (dark - light)).astype(np.uint8))
    squares = squares.resize((cell * values.shape[1], cell * values.shape[0]), Image.Resampling.NEAREST)
    sheet = _paper(max(204, squares.width + 2 * MARGIN), squares.height + 54)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 6), title, INK, font(15))
    span = f"{number_text(low, 2)} to {number_text(high, 2)}"
    draw.text((MARGIN, 26), f"rows: {rows}; columns: {columns}; {span}", FAINT_INK, font(12))
    sheet.paste(squares, (MARGIN, 46))
    return sheet


def _paper(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), tuple(round(255 * c) for c in BACKGROUND))
