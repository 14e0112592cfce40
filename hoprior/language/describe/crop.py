"""The part of a photo that a model is shown: around the hand and the object, with their boxes in its own pixels."""

from dataclasses import dataclass

from PIL import Image

from hoprior.vision.boxes import Box, check_box
from hoprior.vision.images import Photo

MARGIN = 0.25
"""Of the boxes' longer side, around both: what is near tells what the hand is about to do."""
MAX_SIDE = 1024
"""Pixels; more cost a model time and show it nothing new."""


@dataclass(frozen=True, eq=False)
class View:
    """What a model sees."""

    image: Image.Image
    hand: Box | None = None
    object: Box | None = None


def view_of(photo: Photo, hand: Box | None = None, object_: Box | None = None) -> View:
    """The photo around the boxes of the hand and the object, or all of it without boxes; at most `MAX_SIDE` a side.

    Raises:
        HopriorError: a box without an area, or outside the photo.

    Example:
        >>> import numpy as np
        >>> photo = Photo(np.zeros((480, 640, 3), dtype=np.uint8))
        >>> view = view_of(photo, hand=(300.0, 200.0, 340.0, 240.0))
        >>> view.image.size, view.hand
        ((61, 61), (10.0, 10.0, 50.0, 50.0))
    """
    boxes = [box for box in (hand, object_) if box is not None]
    for box in boxes:
        check_box(box, photo.size)
    left, top, right, bottom = _around(boxes, photo.size)
    image = Image.fromarray(photo.pixels[top:bottom, left:right])
    scale = min(1.0, MAX_SIDE / max(image.size))
    if scale < 1.0:
        image = image.resize((max(1, round(scale * image.width)), max(1, round(scale * image.height))))

    def seen(box: Box | None) -> Box | None:
        if box is None:
            return None
        corners = zip(box, (left, top, left, top), (image.width, image.height) * 2, strict=True)
        x0, y0, x1, y1 = (min(max(scale * (corner - origin), 0.0), float(end)) for corner, origin, end in corners)
        return x0, y0, x1, y1

    return View(image, seen(hand), seen(object_))


def _around(boxes: list[Box], size: tuple[int, int]) -> tuple[int, int, int, int]:
    if not boxes:
        return 0, 0, *size
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    margin = MARGIN * max(right - left, bottom - top)
    return (
        max(0, int(left - margin)),
        max(0, int(top - margin)),
        min(size[0], int(right + margin) + 1),
        min(size[1], int(bottom + margin) + 1),
    )
