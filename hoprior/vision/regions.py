"""Square, turned regions of a photo, as MediaPipe's hand models want them: the hand upright, fingers up.

The numbers are those of MediaPipe's published hand landmark graph.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real
from PIL import Image

PALM_SCALE, PALM_SHIFT = 2.6, -0.5
"""From the box of a palm to the region of its hand: its relative size, and its shift in heights of the box."""
LANDMARK_SCALE, LANDMARK_SHIFT = 2.0, -0.1
"""The same from the box of a hand's landmarks."""
PALM_LANDMARKS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""Landmarks that stay put when fingers move; MediaPipe's order."""
INDEX_PIP, MIDDLE_PIP, RING_PIP = 6, 10, 14
TILE_SCALES, TURNED_SCALES = (1.25, 1.0, 0.5, 1 / 3), (1.25, 0.5)
"""Sides of the squares that are searched for palms, in sides of the photo; those that are searched in four turns."""
SMALL_SCALE = 0.2
"""The same for the hands of people who are far away."""
GRID, GRID_TURNS, GRID_MARGIN = ((1.0, 0.4), (0.6, 0.4), (0.36, 0.5)), 6, 0.25
"""Of the grid of regions that are searched for hands without palms: sides, in the photo's shorter one, with the steps
from one to the next, in sides; turns; how far the outer ones' middles are within the photo, in sides."""


@dataclass(frozen=True)
class Region:
    """A square of a photo, pixels; turned by `angle` (radians, clockwise on the screen).

    Example:
        >>> turned = Region(x=100.0, y=50.0, side=20.0, angle=np.pi / 2)
        >>> turned.to_photo(np.array([[0.5, 0.5], [1.0, 0.5]])).round(3)
        array([[100.,  50.],
               [100.,  60.]])
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    @property
    def rotation(self) -> Float[np.ndarray, "2 2"]:
        """From the region's axes into the photo's."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.array([[c, -s], [s, c]])

    def moved(self, turn: float = 0.0, scale: float = 1.0, right: float = 0.0, down: float = 0.0) -> "Region":
        """A region nearby: turned (radians), scaled, and shifted along its own axes, by shares of its side."""
        x, y = self.rotation @ [right * self.side, down * self.side] + [self.x, self.y]
        return Region(float(x), float(y), scale * self.side, self.angle + turn)

    def to_photo(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Points of the unit square as pixels of the photo."""
        return (points - 0.5) * self.side @ self.rotation.T + [self.x, self.y]

    def cut(self, pyramid: "Pyramid", size: int) -> Float[np.ndarray, "size size 3"]:
        """What the region shows, as `size` x `size` pixels in 0..1, black outside the photo."""
        shrunk, image = pyramid.level(self.side / size)
        step = self.side / size / shrunk
        (a, b), (d, e) = step * self.rotation
        x = self.x / shrunk - (a + b) * size / 2
        y = self.y / shrunk - (d + e) * size / 2
        cut = image.transform(
            (size, size), Image.Transform.AFFINE, (a, b, x, d, e, y), resample=Image.Resampling.BILINEAR
        )
        return np.asarray(cut, dtype=np.float32) / 255


class Pyramid:
    """A photo and its reductions, so that large regions are not sampled with gaps."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._levels = {1: Image.fromarray(pixels)}

    def level(self, step: float) -> tuple[int, Image.Image]:
        """The reduction for steps of so many pixels, and its factor."""
        factor = 1 << max(0, int(math.log2(max(step, 1.0))))
        if factor not in self._levels:
            self._levels[factor] = self._levels[1].reduce(factor)
        return factor, self._levels[factor]


def region_of_palm(
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
    wrist: Float[np.ndarray, " 2"],
    middle: Float[np.ndarray, " 2"],
) -> Region:
    """The region of the hand whose palm has this box, wrist and middle knuckle, pixels."""
    return _beyond((low + high) / 2, high - low, _upright(wrist, middle), PALM_SCALE, PALM_SHIFT)


def region_of_landmarks(points: Float[np.ndarray, "21 2"]) -> Region:
    """The region of the hand with these landmarks, pixels, in MediaPipe's order.

    Example:
        >>> upright = np.stack([np.full(21, 100.0), np.linspace(200.0, 100.0, 21)], axis=1)
        >>> region = region_of_landmarks(upright)
        >>> round(region.x), abs(round(region.angle, 3))
        (100, 0.0)
    """
    target = (points[MIDDLE_PIP] + (points[INDEX_PIP] + points[RING_PIP]) / 2) / 2
    angle = _upright(points[0], target)
    rotation = Region(0.0, 0.0, 1.0, angle).rotation
    inside = points[list(PALM_LANDMARKS)] @ rotation
    low, high = inside.min(axis=0), inside.max(axis=0)
    return _beyond(rotation @ ((low + high) / 2), high - low, angle, LANDMARK_SCALE, LANDMARK_SHIFT)


def _upright(wrist: np.ndarray, target: np.ndarray) -> float:
    """The turn after which `target` lies above the wrist."""
    dx, dy = target - wrist
    return math.pi / 2 - math.atan2(-dy, dx)


def _beyond(middle: np.ndarray, extent: np.ndarray, angle: float, scale: float, shift: float) -> Region:
    x, y = middle + Region(0.0, 0.0, 1.0, angle).rotation @ [0.0, shift * extent[1]]
    return Region(float(x), float(y), scale * float(max(extent.max(), 1.0)), angle)


def tiles(size: tuple[int, int], least: float) -> Iterator[Region]:
    """Overlapping squares that cover a photo at each of `TILE_SCALES`, some of them in four turns.

    Squares of less than `least` pixels are left out, but for the first, which shows the whole photo with a margin: in
    squares that must be enlarged, threads and eyes look like palms.

    Example:
        >>> next(tiles((640, 480), least=192))
        Region(x=320.0, y=240.0, side=800.0, angle=0.0)
    """
    for scale in TILE_SCALES:
        side = scale * max(size)
        if side < least and scale < 1:
            continue
        for x, y in _places(size, side):
            yield from (Region(x, y, side, k * math.pi / 2) for k in range(4 if scale in TURNED_SCALES else 1))


def small_tiles(size: tuple[int, int], least: float) -> Iterator[Region]:
    """Squares that cover a photo at `SMALL_SCALE`; none if they had less than `least` pixels."""
    side = SMALL_SCALE * max(size)
    if side >= least:
        yield from (Region(x, y, side) for x, y in _places(size, side))


def _places(size: tuple[int, int], side: float) -> list[tuple[float, float]]:
    """Middles of squares that cover a photo and overlap by half."""
    counts = [max(1, math.ceil(2 * (length - side) / side) + 1) for length in size]
    x, y = (
        [length / 2] if count == 1 else np.linspace(side / 2, length - side / 2, count).tolist()
        for length, count in zip(size, counts, strict=True)
    )
    return [(a, b) for b in y for a in x]


def grid(size: tuple[int, int], least: float) -> Iterator[Region]:
    """Regions in which a hand may be that shows no palm, in several turns; none smaller than `least` pixels."""
    for scale, step in GRID:
        side = scale * min(size)
        if side < least:
            continue
        counts = [1 + round((length / side - 2 * GRID_MARGIN) / step) for length in size]
        x, y = (
            np.linspace(GRID_MARGIN * side, length - GRID_MARGIN * side, count).tolist()
            for length, count in zip(size, counts, strict=True)
        )
        for k, (b, a) in enumerate((b, a) for b in y for a in x):
            # Neighbours are turned by half a step, so that between them all turns are seen.
            turns = (t + 0.5 * (k % 2) for t in range(GRID_TURNS))
            yield from (Region(a, b, side, 2 * math.pi * t / GRID_TURNS) for t in turns)


def regions_in(low: Real[np.ndarray, " 2"], high: Real[np.ndarray, " 2"], turns: int = 12) -> Iterator[Region]:
    """Guesses at the region of a hand of which only a box is known: any turn, three sizes."""
    x, y = (low + high) / 2
    for turn in range(turns):
        for scale in (1.3, 1.8, 2.4):
            yield Region(float(x), float(y), scale * float((high - low).max()), 2 * math.pi * turn / turns)
