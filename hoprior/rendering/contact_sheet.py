"""One picture of ranked grasps: each from the back of the hand and from its fingers' side."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hoprior.geometry.repair import simplify
from hoprior.rendering.rasterizer import BACKGROUND, OBJECT_GREY, SKIN, SceneMesh, look_along, render_scene

if TYPE_CHECKING:
    from hoprior.results import GraspResult, GraspResults

MAX_GRASPS = 20
MAX_FACES = 20_000
VIEW_SIZE = 230
CAPTION_HEIGHT = 40
MARGIN = 10
INK, FAINT_INK = (40, 44, 52), (110, 116, 128)

# Directions that the camera looks along, in the right hand's frame (x to the fingers, -y the thumb, z out of the palm):
# at the back of the hand from the thumb's side, and from the other side at the fingers that close around the object.
VIEWS = ((-0.25, 0.75, 0.65), (-0.55, -0.35, -0.75))
FINGERS_UP = (1.0, 0.0, 0.0)

CAPTION_METRICS = {
    "max_depth_cm": "depth {:.2f} cm",
    "contact_ratio": "contact {:.0%}",
    "contact_area": "contact area {:.2f}",
    "volume_cm3": "volume {:.1f} cm³",
    "displacement_cm": "slips {:.1f} cm",
}
MAX_CAPTION_METRICS = 2


def contact_sheet(results: "GraspResults", max_grasps: int = MAX_GRASPS, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first `max_grasps` grasps, best first, two views of `view_size` pixels for each."""
    grasps = results[:max_grasps]
    columns = min(len(grasps), 2 if len(grasps) <= 4 else 3 if len(grasps) <= 9 else 5)
    rows = -(-len(grasps) // columns)
    cell = (2 * view_size + MARGIN, view_size + CAPTION_HEIGHT + MARGIN)
    header = 44
    size = (columns * cell[0] + MARGIN, rows * cell[1] + header)
    sheet = Image.new("RGB", size, tuple(round(255 * c) for c in BACKGROUND))
    draw = ImageDraw.Draw(sheet)
    title = f"{results.object_name}" + (f" · “{results.text}”" if results.text else "")
    shown = f"{len(results)} grasps, best first"
    if len(grasps) < len(results):
        shown = f"the best {len(grasps)} of {len(results)} grasps"
    draw.text((MARGIN + 2, 12), title, INK, _font(18))
    draw.text((size[0] - MARGIN - 2, 14), shown, FAINT_INK, _font(14), anchor="ra")
    object_mesh = simplify(results.object_mesh, MAX_FACES)
    held = (object_mesh.vertices, object_mesh.faces, OBJECT_GREY)
    for rank, grasp in enumerate(grasps):
        left, top = MARGIN + rank % columns * cell[0], header + rank // columns * cell[1]
        hand = (grasp.verts_object, results.faces, SKIN)
        for k, picture in enumerate(views_of(grasp.T_object_hand, [hand, held], view_size, grasp.side)):
            sheet.paste(Image.fromarray(picture), (left + k * view_size, top))
        draw.text((left + 4, top + view_size + 2), f"{rank + 1}", INK, _font(16))
        draw.text((left + 34, top + view_size + 4), f"score {grasp.score:.3g}", INK, _font(14))
        draw.text((left + 130, top + view_size + 4), _metrics_caption(grasp), FAINT_INK, _font(14))
    return sheet


def views_of(T_object_hand: npt.ArrayLike, meshes: list[SceneMesh], size: int, side: str) -> list[np.ndarray]:
    """Pictures of one grasp along `VIEWS`, `size` pixels wide and high; the hand stands upright in them."""
    rotation = np.asarray(T_object_hand, dtype=float)[:3, :3]
    mirror = np.array([1.0, -1.0 if side == "left" else 1.0, 1.0])
    points = np.concatenate([np.asarray(verts, dtype=float) for verts, _, _ in meshes])
    up = rotation @ np.asarray(FINGERS_UP)
    return [
        render_scene(meshes, (size, size), camera=look_along(points, rotation @ (mirror * view), up)) for view in VIEWS
    ]


def _metrics_caption(grasp: "GraspResult") -> str:
    known = [
        text.format(grasp.metrics[name])
        for name, text in CAPTION_METRICS.items()
        if name in grasp.metrics and np.isfinite(grasp.metrics[name])
    ]
    return " · ".join(known[:MAX_CAPTION_METRICS])


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
