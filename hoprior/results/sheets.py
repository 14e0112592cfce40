"""One picture of many hands and objects: each from the back of the hand and from its fingers' side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from hoprior.geometry.repair import simplify
from hoprior.rendering.rasterizer import BACKGROUND, OBJECT_GREY, SKIN, SceneMesh, look_along, render_scene

if TYPE_CHECKING:
    from hoprior.results.grasps import GraspResults
    from hoprior.results.interactions import InteractionSamples
    from hoprior.results.poses import PoseSamples

MAX_CELLS = 20
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


def contact_sheet(results: "GraspResults", max_grasps: int = MAX_CELLS, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first `max_grasps` grasps, best first, two views of `view_size` pixels for each."""
    grasps = results[:max_grasps]
    title = f"{results.object_name}" + (f" · “{results.text}”" if results.text else "")
    shown = f"{len(results)} grasps, best first"
    if len(grasps) < len(results):
        shown = f"the best {len(grasps)} of {len(results)} grasps"
    object_mesh = simplify(results.object_mesh, MAX_FACES)
    held = (object_mesh.vertices, object_mesh.faces, OBJECT_GREY)
    cells = [
        Cell(
            meshes=[(grasp.verts_object, results.faces, SKIN), held],
            rotation=np.asarray(grasp.T_object_hand, dtype=float)[:3, :3],
            side=grasp.side,
            label=f"score {grasp.score:.3g}",
            remark=_metrics_caption(grasp.metrics),
        )
        for grasp in grasps
    ]
    return draw_sheet(title, shown, cells, view_size)


def sample_sheet(
    results: "InteractionSamples", max_samples: int = MAX_CELLS, view_size: int = VIEW_SIZE
) -> Image.Image:
    """A picture of the first `max_samples` samples, two views of `view_size` pixels for each."""
    cells = [
        Cell(
            meshes=[
                (sample.verts_hand, results.faces, SKIN),
                (sample.object_mesh.vertices, sample.object_mesh.faces, OBJECT_GREY),
            ],
            rotation=np.eye(3),
            side=sample.side,
            label=f"IK {sample.measures['ik_error_cm']:.2f} cm",
            remark=_metrics_caption(sample.measures),
        )
        for sample in results[:max_samples]
    ]
    shown = f"{len(results)} samples of {results.draws} draws"
    return draw_sheet(f"“{results.text}”", shown, cells, view_size)


def pose_sheet(results: "PoseSamples", max_samples: int = MAX_CELLS, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first `max_samples` hands, two views of `view_size` pixels for each."""
    cells = [
        Cell(
            meshes=[(sample.verts_hand, results.faces, SKIN)],
            rotation=np.eye(3),
            side=sample.side,
            label=f"thumb to index {sample.measures['aperture_cm']:.1f} cm",
            remark="",
        )
        for sample in results[:max_samples]
    ]
    return draw_sheet(f"“{results.text}”", f"{len(results)} hands", cells, view_size)


def draw_sheet(title: str, shown: str, cells: Sequence[Cell], view_size: int = VIEW_SIZE) -> Image.Image:
    """A sheet of numbered cells under a title, and what is `shown` at its right."""
    columns = min(len(cells), 2 if len(cells) <= 4 else 3 if len(cells) <= 9 else 5)
    rows = -(-len(cells) // columns)
    cell_size = (2 * view_size + MARGIN, view_size + CAPTION_HEIGHT + MARGIN)
    header = 44
    size = (columns * cell_size[0] + MARGIN, rows * cell_size[1] + header)
    sheet = Image.new("RGB", size, tuple(round(255 * c) for c in BACKGROUND))
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN + 2, 12), title, INK, _font(18))
    draw.text((size[0] - MARGIN - 2, 14), shown, FAINT_INK, _font(14), anchor="ra")
    for rank, cell in enumerate(cells):
        left, top = MARGIN + rank % columns * cell_size[0], header + rank // columns * cell_size[1]
        for k, picture in enumerate(_views(cell, view_size)):
            sheet.paste(Image.fromarray(picture), (left + k * view_size, top))
        draw.text((left + 4, top + view_size + 2), f"{rank + 1}", INK, _font(16))
        draw.text((left + 34, top + view_size + 4), cell.label, INK, _font(14))
        indent = max(130, 46 + round(draw.textlength(cell.label, _font(14))))
        draw.text((left + indent, top + view_size + 4), cell.remark, FAINT_INK, _font(14))
    return sheet


def _views(cell: Cell, size: int) -> list[np.ndarray]:
    """Pictures of one cell along `VIEWS`; the hand stands upright in them."""
    mirror = np.array([1.0, -1.0 if cell.side == "left" else 1.0, 1.0])
    points = np.concatenate([np.asarray(verts, dtype=float) for verts, _, _ in cell.meshes])
    up = cell.rotation @ np.asarray(FINGERS_UP)
    return [
        render_scene(cell.meshes, (size, size), camera=look_along(points, cell.rotation @ (mirror * view), up))
        for view in VIEWS
    ]


def _metrics_caption(metrics: Mapping[str, float]) -> str:
    known = [
        text.format(metrics[name])
        for name, text in CAPTION_METRICS.items()
        if name in metrics and np.isfinite(metrics[name])
    ]
    return " · ".join(known[:MAX_CAPTION_METRICS])


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
