"""Boxes that say where something is in a photo: as text, in files, and checked."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from hoprior.common.reading import read_json
from hoprior.errors import HopriorError

Box: TypeAlias = tuple[float, float, float, float]
LONGEST = 60
"""Characters of what is no box that a sentence repeats."""
"""Left, top, right and bottom, pixels."""


def check_box(box: Box, size: tuple[int, int]) -> None:
    """Raises HopriorError unless a box has an area and overlaps a photo of `size`."""
    left, top, right, bottom = box
    shown = ",".join(f"{corner:g}" for corner in box)
    if not (left < right and top < bottom):
        raise HopriorError(f"box {shown}: left, top, right, bottom in pixels, so that left < right and top < bottom")
    if left >= size[0] or top >= size[1] or right <= 0 or bottom <= 0:
        raise HopriorError(f"box {shown}: is outside the photo, which has {size[0]} x {size[1]} pixels")


def read_box(text: str) -> Box:
    """ "10,20,200,220" as a box; spaces may stand for the commas.

    Raises:
        HopriorError: not four numbers, or no box.

    Example:
        >>> read_box("10,20,200,220")
        (10.0, 20.0, 200.0, 220.0)
    """
    try:
        left, top, right, bottom = (float(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise HopriorError(f"box {text.strip()[:LONGEST]!r}: give left,top,right,bottom in pixels") from error
    if not (-math.inf < left < right < math.inf and -math.inf < top < bottom < math.inf):
        raise HopriorError(f"box {text.strip()[:LONGEST]!r}: has no extent: give left,top,right,bottom in pixels")
    return left, top, right, bottom


def read_boxes(given: str) -> tuple[Box, ...] | Mapping[str, tuple[Box, ...]]:
    """Boxes of one photo ("10,20,200,220", several with ";" between them), or, of a .json file, by the photos' names.

    The file has a box (a list of four numbers) or a list of boxes for each name: {"a.jpg": [10, 20, 200, 220]}.

    Raises:
        HopriorError: the file cannot be read, or something in it is no box.

    Example:
        >>> read_boxes("10,20,200,220; 300,20,420,190")
        ((10.0, 20.0, 200.0, 220.0), (300.0, 20.0, 420.0, 190.0))
    """
    if not given.strip().lower().endswith(".json"):
        return tuple(read_box(one) for one in given.split(";"))
    content = read_json(given, "give a JSON file of boxes")
    if not isinstance(content, dict):
        raise HopriorError(f'{given}: give boxes by the photos\' names: {{"a.jpg": [[10, 20, 200, 220]]}}')
    return {str(name): tuple(_boxes(value, given, name)) for name, value in content.items()}


def _boxes(value: Any, file: str, name: str) -> list[Box]:
    several = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    try:
        return [read_box(" ".join(str(number) for number in one)) for one in several]
    except (HopriorError, TypeError) as error:
        raise HopriorError(f"{file}: {name}: a box is a list of left, top, right, bottom in pixels") from error
