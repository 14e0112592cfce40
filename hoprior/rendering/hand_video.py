"""A video with the hand that was followed drawn over it."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw

from hoprior.rendering.pinhole import render_through, visible_faces
from hoprior.rendering.rasterizer import SKIN
from hoprior.rendering.sheet import font

LONGEST = 480
"""Pixels: longer side of a picture."""
OPACITY = 0.8
FILLED_IN = (0.55, 0.66, 0.80)
"""The colour of a hand that was not seen in the frame."""


@runtime_checkable
class DrawnMotion(Protocol):
    """What is drawn of n frames: the pictures, and the hand in the camera's frame (m)."""

    @property
    def images(self) -> tuple[UInt8[np.ndarray, "h w 3"], ...]: ...
    @property
    def K(self) -> Float[np.ndarray, "3 3"]: ...
    @property
    def faces(self) -> Int[np.ndarray, "f 3"]: ...
    @property
    def verts(self) -> Float[np.ndarray, "n v 3"]: ...
    @property
    def seen(self) -> Bool[np.ndarray, " n"]: ...
    @property
    def lost(self) -> Bool[np.ndarray, " n"]: ...
    @property
    def frame(self) -> Int[np.ndarray, " n"]: ...


def motion_frames(motion: DrawnMotion) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Each picture beside itself with the hand drawn over it: blue where it is filled in, and none where it is lost."""
    for k, image in enumerate(motion.images):
        plain = small(image)
        yield np.concatenate([plain, drawn_over(motion, k, plain)], axis=1)


def small(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "sh sw 3"]:
    """A picture at the size at which it is shown; sides are even, as videos need them.

    Example:
        >>> small(np.zeros((720, 1280, 3), np.uint8)).shape
        (270, 480, 3)
    """
    height, width = image.shape[:2]
    share = min(1.0, LONGEST / max(height, width))
    size = (max(2, 2 * round(width * share / 2)), max(2, 2 * round(height * share / 2)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def drawn_over(motion: DrawnMotion, k: int, plain: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The hand of frame k over its picture, which may be smaller than it was."""
    height, width = plain.shape[:2]
    K, scale = motion.K, width / motion.images[k].shape[1]
    seen, lost = bool(motion.seen[k]), bool(motion.lost[k])
    picture = plain
    if not lost:
        intrinsics = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]]) * scale
        hand = (motion.verts[k], motion.faces, SKIN if seen else FILLED_IN)
        rendered = render_through([hand], intrinsics, (width, height), np.ones(3))
        covered = visible_faces(motion.verts[k], motion.faces, intrinsics, (width, height)) >= 0
        picture = np.where(covered[..., None], OPACITY * rendered + (1 - OPACITY) * plain, plain).astype(np.uint8)
    named = Image.fromarray(picture)
    told = f"{motion.frame[k]}: " + ("lost" if lost else "seen" if seen else "filled in")
    draw = ImageDraw.Draw(named)
    draw.rectangle((0, 0, 8 + draw.textlength(told, font(13)), 20), fill=(255, 255, 255))
    draw.text((4, 2), told, (40, 40, 40), font(13))
    return np.asarray(named)


def motion_sheet(motion: DrawnMotion, columns: int = 4, rows: int = 3) -> Image.Image:
    """Some of the pictures with the hand over them, spread evenly."""
    count = len(motion.images)
    chosen = np.unique(np.linspace(0, count - 1, min(columns * rows, count)).round().astype(int)).tolist()
    pictures = [drawn_over(motion, k, small(motion.images[k])) for k in chosen]
    height, width = pictures[0].shape[:2]
    sheet = Image.new("RGB", (min(columns, len(chosen)) * width, -(-len(chosen) // columns) * height), (255, 255, 255))
    for place, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture), (place % columns * width, place // columns * height))
    return sheet
