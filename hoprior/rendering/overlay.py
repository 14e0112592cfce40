"""Pictures of refined hands: what the camera saw, the hand before and after on it, and what moved."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw

from hoprior.geometry.camera import project
from hoprior.hand.joint_order import JOINT_NAMES, PARENTS
from hoprior.rendering.rasterizer import BACKGROUND, SKIN, Camera, render_scene
from hoprior.rendering.sheet import FAINT_INK, INK, MARGIN, font

ROWS = 12
"""Of a page."""
PANEL = 300
HEADER, CAPTION = 40, 26
AROUND = 1.35
"""Side of the crop, in sides of the hands' box."""
SUPERSAMPLE = 2
OPAQUE = 0.85
VISIBLE_INK, HIDDEN_INK = (30, 150, 70), (214, 48, 49)
BEFORE = (0.62, 0.64, 0.68)
TITLES = ("joints: seen, occluded", "first estimate", "refined", "change of each vertex")
CHANGE_FULL_MM = 20.0
"""Change from which a vertex is drawn in the last colour."""
CHANGE_COLOURS = np.array([[0.88, 0.88, 0.90], [0.98, 0.80, 0.35], [0.86, 0.20, 0.15]])
_BONES = tuple(
    (PARENTS[j] if j < 16 else JOINT_NAMES.index(JOINT_NAMES[j].replace("_tip", "3")), j) for j in range(1, 21)
)


@runtime_checkable
class DrawnHand(Protocol):
    """What is drawn of a hand, in its camera's frame (m): before refinement (`first_`) and after."""

    @property
    def name(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def text(self) -> str | None: ...
    @property
    def faces(self) -> Int[np.ndarray, "f 3"]: ...
    @property
    def verts(self) -> Float[np.ndarray, "v 3"]: ...
    @property
    def first_verts(self) -> Float[np.ndarray, "v 3"]: ...
    @property
    def first_joints(self) -> Float[np.ndarray, "21 3"]: ...
    @property
    def occluded(self) -> Bool[np.ndarray, " 21"]: ...
    @property
    def change_mm(self) -> Float[np.ndarray, " v"]: ...
    @property
    def K(self) -> Float[np.ndarray, "3 3"]: ...
    @property
    def certainty(self) -> float | None: ...
    @property
    def photo(self) -> UInt8[np.ndarray, "h w 3"] | None: ...


def page_count(hands: int, rows: int = ROWS) -> int:
    """How many pages so many hands take.

    Example:
        >>> page_count(12), page_count(13)
        (1, 2)
    """
    return -(-hands // rows)


def overlay_sheets(hands: Sequence[DrawnHand], rows: int = ROWS, panel: int = PANEL) -> Iterator[Image.Image]:
    """Pages with a row of four panels for each hand, `rows` on each."""
    return (_page(hands[first : first + rows], panel) for first in range(0, len(hands), rows))


def _page(shown: Sequence[DrawnHand], panel: int) -> Image.Image:
    width = len(TITLES) * (panel + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, HEADER + len(shown) * (panel + CAPTION + MARGIN)), _byte(BACKGROUND))
    draw = ImageDraw.Draw(sheet)
    for k, title in enumerate(TITLES):
        draw.text((MARGIN + k * (panel + MARGIN) + 2, 12), title, INK, font(15))
    for row, hand in enumerate(shown):
        top = HEADER + row * (panel + CAPTION + MARGIN)
        for k, picture in enumerate(hand_panels(hand, panel)):
            sheet.paste(Image.fromarray(picture), (MARGIN + k * (panel + MARGIN), top))
        draw.text((MARGIN + 2, top + panel + 4), _caption(hand), FAINT_INK, font(13))
    return sheet


def first_panel(sheet: Image.Image, row: int, panel: int = PANEL) -> UInt8[np.ndarray, "panel panel 3"]:
    """The photo with the joints, of a row of a page that was written before."""
    top = HEADER + row * (panel + CAPTION + MARGIN)
    return np.asarray(sheet.convert("RGB").crop((MARGIN, top, MARGIN + panel, top + panel)))


def hand_panels(hand: DrawnHand, size: int = PANEL) -> list[UInt8[np.ndarray, "size size 3"]]:
    """The four panels of one hand, as in `TITLES`."""
    middle, side = hand_window(hand.verts, hand.first_verts, hand.K)
    view = _background(hand, middle, side, size * SUPERSAMPLE)
    plain = np.asarray(Image.fromarray(view).resize((size, size), Image.Resampling.BOX))

    def drawn(verts: Float[np.ndarray, "v 3"], colour: np.ndarray | tuple[float, ...]) -> np.ndarray:
        camera, sheared = _camera_of(hand, verts, middle, side)
        rendered = render_scene(
            [(sheared, hand.faces, colour)],
            (size, size),
            camera=camera,
            background=view / 255.0,
            supersample=SUPERSAMPLE,
        )
        return (OPAQUE * rendered + (1 - OPAQUE) * plain).round().astype(np.uint8)

    change = np.clip(hand.change_mm / CHANGE_FULL_MM, 0, 1) * (len(CHANGE_COLOURS) - 1)
    knots = np.arange(len(CHANGE_COLOURS))
    heat = np.stack([np.interp(change, knots, CHANGE_COLOURS[:, c]) for c in range(3)], axis=1)
    return [
        _joints_drawn(hand, plain, middle, side),
        drawn(hand.first_verts, BEFORE),
        drawn(hand.verts, SKIN),
        drawn(hand.verts, heat),
    ]


def hand_window(
    verts: Float[np.ndarray, "v 3"], first_verts: Float[np.ndarray, "v 3"], K: Float[np.ndarray, "3 3"]
) -> tuple[Float[np.ndarray, " 2"], float]:
    """Middle and side (pixels) of the square of the picture that has a hand, before and after (camera frame)."""
    points = np.concatenate([_project(K, verts), _project(K, first_verts)])
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, AROUND * float(max((high - low).max(), 1.0))


def _project(K: Float[np.ndarray, "3 3"], points: np.ndarray) -> Float[np.ndarray, "n 2"]:
    points_camera, camera = (torch.as_tensor(array, dtype=torch.float64) for array in (points, K))
    return project(points_camera[None], camera[None])[0].numpy()


def _background(hand: DrawnHand, middle: np.ndarray, side: float, size: int) -> UInt8[np.ndarray, "size size 3"]:
    if hand.photo is None:
        return np.broadcast_to(np.array(_byte(BACKGROUND), dtype=np.uint8), (size, size, 3)).copy()
    return square_of(hand.photo, middle, side, size)


def square_of(
    photo: UInt8[np.ndarray, "h w 3"], middle: Float[np.ndarray, " 2"], side: float, size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """A square of a photo, given in its pixels, drawn `size` pixels wide; the background's colour where it ends."""
    step = side / size
    x, y = middle - side / 2
    placed = Image.fromarray(photo).transform(
        (size, size),
        Image.Transform.AFFINE,
        (step, 0, x, 0, step, y),
        Image.Resampling.BILINEAR,
        fillcolor=_byte(BACKGROUND),
    )
    return np.asarray(placed)


def _camera_of(
    hand: DrawnHand, verts: np.ndarray, middle: np.ndarray, side: float
) -> tuple[Camera, Float[np.ndarray, "v 3"]]:
    """The renderer's camera for a window of the picture. It has no principal point, so the scene is sheared instead."""
    fx, fy = float(hand.K[0, 0]), float(hand.K[1, 1])
    focal = (fx * fy) ** 0.5
    x, y, z = np.asarray(verts, dtype=float).T
    skew = float(hand.K[0, 1])
    sheared = np.stack(
        [
            (fx * x + skew * y + (hand.K[0, 2] - middle[0]) * z) / focal,
            (fy * y + (hand.K[1, 2] - middle[1]) * z) / focal,
            z,
        ],
        axis=1,
    )
    axes = np.eye(3)
    return Camera(np.zeros(3), axes[0], -axes[1], axes[2], 0.0, 2 * focal / side), sheared


def _joints_drawn(hand: DrawnHand, plain: np.ndarray, middle: np.ndarray, side: float) -> np.ndarray:
    size = len(plain)
    picture = Image.fromarray(plain)
    draw = ImageDraw.Draw(picture)
    points = (_project(hand.K, hand.first_joints) - middle + side / 2) * size / side
    for a, b in _BONES:
        ink = HIDDEN_INK if hand.occluded[a] or hand.occluded[b] else VISIBLE_INK
        draw.line([tuple(points[a]), tuple(points[b])], fill=ink, width=2)
    for (x, y), hidden in zip(points, hand.occluded, strict=True):
        box = (x - 4, y - 4, x + 4, y + 4)
        draw.ellipse(
            box, fill=(255, 255, 255) if hidden else VISIBLE_INK, outline=HIDDEN_INK if hidden else None, width=2
        )
    return np.asarray(picture)


def _caption(hand: DrawnHand) -> str:
    hidden = int(hand.occluded.sum())
    moved = f"mean change {hand.change_mm.mean():.1f} mm, largest {hand.change_mm.max():.1f} mm"
    told = f" · “{hand.text}”" if hand.text else ""
    nothing = "nothing to refine"
    sure = "" if hand.certainty is None else f" ({hand.certainty:.2f} sure)"
    return (
        f"{hand.name} · {hand.side} hand{sure} · {hidden} of 21 joints occluded · {moved if hidden else nothing}{told}"
    )


def _byte(colour: Sequence[float]) -> tuple[int, int, int]:
    r, g, b = (round(255 * c) for c in colour)
    return r, g, b
