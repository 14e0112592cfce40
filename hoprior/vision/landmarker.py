"""Hands in photos: MediaPipe's palm detector and hand landmark network, run without MediaPipe.

Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", 2020. The networks ship in the package
(assets/README.md) and run on LiteRT; what surrounds them is here. Unlike MediaPipe's own graph this looks at photos
in tiles too, so that it finds small hands, and it can be told where a hand is.
"""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from hoprior.errors import HopriorError
from hoprior.hand.base import Side
from hoprior.vision.images import Photo
from hoprior.vision.regions import Pyramid, Region, region_of_landmarks, region_of_palm, regions_in, tiles

ASSET = "hand_landmarker.task"
DETECTOR, LANDMARKER = "hand_detector.tflite", "hand_landmarks_detector.tflite"
DETECTOR_SIZE, LANDMARKER_SIZE = 192, 224
"""Sides of the networks' inputs, pixels."""
ANCHOR_GRIDS = ((24, 2), (12, 6))
"""Cells a side, and anchors a cell, of the detector's outputs."""
PALM_WRIST, PALM_MIDDLE = 0, 2
"""Of a palm's seven points: the wrist's middle and the middle finger's knuckle."""

PALM_SCORE, WEAK_PALM_SCORE = 0.3, 0.04
"""Score from which a palm is looked at; hands that hold something often show only weak ones."""
PRESENCE, SURE_PRESENCE = 0.5, 0.8
"""Probability that a region shows a hand, from which it counts; the second for weak palms."""
SURE_SIDE = 40
"""Pixels: side of a hand's box from which one at a weak palm counts. Textures look like smaller ones."""
SAME_PALM, SAME_HAND = 0.3, 0.5
"""Overlap of boxes (of the union; of the smaller one) from which two finds are of one thing."""
POLISH = 2
"""Times that the region is put where the landmarks are, and the network looks again."""
TOUCHING_HANDS = 0.2
"""The same overlap, from which a hand at a weak palm is not told from a surer one."""
MAX_PALMS = 80
WORTH_A_LOOK = 0.1
"""Presence from which a first look is followed by a second one."""
LIKELY = 8
"""Regions of a mask that are looked at again."""


@dataclass(frozen=True, eq=False)
class FoundHand:
    """A hand in a photo; points in MediaPipe's order.

    Attributes:
        points: pixels.
        world: metres, about the hand's middle: x right, y down, z away from the camera; to an unknown scale in depth.
        presence: probability that it is a hand.
    """

    points: Float[np.ndarray, "21 2"]
    world: Float[np.ndarray, "21 3"]
    side: Side
    side_score: float
    presence: float

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest pixel coordinates."""
        return self.points.min(axis=0), self.points.max(axis=0)


class HandLandmarker:
    """The embedded estimator. One forward of each network takes 15 ms on a CPU core.

    Raises:
        HopriorError: LiteRT is not installed.
    """

    def __init__(self) -> None:
        with (files("hoprior") / "assets" / ASSET).open("rb") as stream, zipfile.ZipFile(stream) as models:
            self._detector = _Network(models.read(DETECTOR))
            self._landmarker = _Network(models.read(LANDMARKER))
        self._anchors = palm_anchors()

    def find(self, photo: Photo, max_hands: int = 10) -> list[FoundHand]:
        """The hands of a photo, the surest first."""
        pyramid = Pyramid(photo.pixels)
        palms = [palm for tile in tiles(photo.size) for palm in self._palms(pyramid, tile)]
        sure: list[FoundHand] = []
        unsure: list[FoundHand] = []
        for palm in _strongest(palms, MAX_PALMS):
            hand = self._landmarks(pyramid, palm.region)
            if hand.presence >= WORTH_A_LOOK and _is_hand(palm, hand := self._polished(pyramid, hand)):
                (sure if palm.score >= PALM_SCORE else unsure).append(hand)
        kept = distinct(sure)
        # Where hands touch, a weak palm is a hand made up of both.
        apart = [hand for hand in unsure if all(_shared(hand, other) < TOUCHING_HANDS for other in kept)]
        return [*kept, *distinct(apart)][:max_hands]

    def follow(self, photo: Photo, before: FoundHand) -> FoundHand | None:
        """A hand that was where `before` is in the frame before; None if it is no longer there."""
        hand = self._polished(Pyramid(photo.pixels), before)
        return hand if hand.presence >= PRESENCE else None

    def find_under(self, photo: Photo, mask: Bool[np.ndarray, "h w"]) -> FoundHand | None:
        """The hand that a mask shows, which is tried in all turns; None if nothing there looks like one."""
        rows, columns = np.nonzero(mask)
        if not len(rows):
            return None
        pyramid = Pyramid(photo.pixels)
        box = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
        looks = [self._landmarks(pyramid, region) for region in regions_in(*box)]
        likely = sorted(looks, key=lambda hand: -_agreement(hand, mask))[:LIKELY]
        hands = [self._polished(pyramid, hand) for hand in likely]
        return max((h for h in hands if h.presence >= PRESENCE), key=lambda h: _agreement(h, mask), default=None)

    def _palms(self, pyramid: Pyramid, tile: Region) -> list["_Palm"]:
        boxes, logits = self._detector(tile.cut(pyramid, DETECTOR_SIZE))
        scores = 1 / (1 + np.exp(-np.clip(logits[:, 0], -100, 100)))
        found = []
        for i in np.flatnonzero(scores >= WEAK_PALM_SCORE):
            box = boxes[i].reshape(9, 2) / DETECTOR_SIZE
            centre, points = box[0] + self._anchors[i], tile.to_photo(box[2:] + self._anchors[i])
            low, high = tile.to_photo(np.stack([centre - box[1] / 2, centre + box[1] / 2]))
            region = region_of_palm(low, high, points[PALM_WRIST], points[PALM_MIDDLE])
            found.append(_Palm(float(scores[i]), low, high, region))
        return found

    def _polished(self, pyramid: Pyramid, hand: FoundHand) -> FoundHand:
        for _ in range(POLISH):
            hand = self._landmarks(pyramid, region_of_landmarks(hand.points))
        return hand

    def _landmarks(self, pyramid: Pyramid, region: Region) -> FoundHand:
        screen, presence, right, world = self._landmarker(region.cut(pyramid, LANDMARKER_SIZE))
        points = region.to_photo(screen.reshape(21, 3)[:, :2].astype(float) / LANDMARKER_SIZE)
        turned = world.reshape(21, 3).astype(float)
        turned[:, :2] = turned[:, :2] @ region.rotation.T
        is_right = float(right[0])
        side: Side = "right" if is_right >= 0.5 else "left"
        return FoundHand(points, turned, side, max(is_right, 1 - is_right), float(presence[0]))


@cache
def hand_landmarker() -> HandLandmarker:
    """The one landmarker of a process."""
    return HandLandmarker()


def distinct(hands: Iterable[FoundHand]) -> list[FoundHand]:
    """Hands without those that lie on a surer one, the surest first."""
    kept: list[FoundHand] = []
    for hand in sorted(hands, key=lambda hand: -hand.presence):
        if all(_shared(hand, other) < SAME_HAND for other in kept):
            kept.append(hand)
    return kept


def palm_anchors() -> Float[np.ndarray, "2016 2"]:
    """Centres (x, y) of the detector's anchors in its input, 0..1.

    Example:
        >>> palm_anchors().shape, palm_anchors()[0].round(4)
        ((2016, 2), array([0.0208, 0.0208]))
    """
    grids = []
    for cells, each in ANCHOR_GRIDS:
        centres = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(centres, centres, indexing="ij")
        grids.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), each, axis=0))
    return np.concatenate(grids)


def _agreement(hand: FoundHand, mask: Bool[np.ndarray, "h w"]) -> float:
    """How well a hand fits a mask; objects hide some of its joints."""
    height, width = mask.shape
    x, y = hand.points.round().astype(int).T
    in_photo = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    inside = mask[y[in_photo], x[in_photo]].sum() / len(x)
    return hand.presence * (0.3 + float(inside))


@dataclass(frozen=True, eq=False)
class _Palm:
    score: float
    low: Float[np.ndarray, " 2"]
    high: Float[np.ndarray, " 2"]
    region: Region


def _is_hand(palm: _Palm, hand: FoundHand) -> bool:
    if palm.score >= PALM_SCORE:
        return hand.presence >= PRESENCE
    low, high = hand.box
    return hand.presence >= SURE_PRESENCE and float((high - low).max()) >= SURE_SIDE


def _strongest(palms: list[_Palm], most: int) -> list[_Palm]:
    """Palms without those that overlap stronger ones."""
    kept: list[_Palm] = []
    for palm in sorted(palms, key=lambda palm: -palm.score):
        if all(_overlap(palm.low, palm.high, other.low, other.high, of_union=True) < SAME_PALM for other in kept):
            kept.append(palm)
    return kept[:most]


def _shared(hand: FoundHand, other: FoundHand) -> float:
    """Share of the smaller hand's box that the other one's covers."""
    return _overlap(*hand.box, *other.box, of_union=False)


def _overlap(low: np.ndarray, high: np.ndarray, low2: np.ndarray, high2: np.ndarray, of_union: bool) -> float:
    shared = float(np.prod(np.clip(np.minimum(high, high2) - np.maximum(low, low2), 0, None)))
    areas = float(np.prod(high - low)), float(np.prod(high2 - low2))
    whole = sum(areas) - shared if of_union else min(areas)
    return shared / max(whole, 1e-9)


class _Network:
    """A .tflite network on the CPU: one image in, its outputs in the order of their names."""

    def __init__(self, content: bytes) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise HopriorError(
                "photos need LiteRT, which runs the hand landmarker: pip install ai-edge-litert"
            ) from error
        self._interpreter: Any = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        outputs = sorted(self._interpreter.get_output_details(), key=lambda detail: detail["name"])
        self._outputs = [detail["index"] for detail in outputs]

    def __call__(self, image: Float[np.ndarray, "size size 3"]) -> list[np.ndarray]:
        self._interpreter.set_tensor(self._input, image[None].astype(np.float32))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]
