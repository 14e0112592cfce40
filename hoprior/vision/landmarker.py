"""Hands in photos: MediaPipe's palm detector and hand landmark network, run without MediaPipe.

Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", 2020. The networks ship in the package
(assets/README.md) and run on LiteRT; what surrounds them is here. Unlike MediaPipe's own graph this looks at photos
in tiles too, so that it finds small hands, and it can be told where a hand is.
"""

import threading
import zipfile
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from hoprior.common.threads import side_by_side
from hoprior.errors import HopriorError
from hoprior.hand.base import Side
from hoprior.vision.boxes import Box, check_box
from hoprior.vision.images import Photo
from hoprior.vision.regions import (
    Pyramid,
    Region,
    grid,
    region_of_landmarks,
    region_of_palm,
    regions_in,
    small_tiles,
    tiles,
)
from hoprior.vision.sightings import FoundHand, agreed, distinct, middle_of, overlap, unseen_yet

ASSET = "hand_landmarker.task"
DETECTOR, LANDMARKER = "hand_detector.tflite", "hand_landmarks_detector.tflite"
DETECTOR_SIZE, LANDMARKER_SIZE = 192, 224
"""Sides of the networks' inputs, pixels."""
ANCHOR_GRIDS = ((24, 2), (12, 6))
"""Cells a side, and anchors a cell, of the detector's outputs."""
PALM_WRIST, PALM_MIDDLE = 0, 2
"""Of a palm's seven points: the wrist's middle and the middle finger's knuckle."""

WEAK_PALM = 0.04
"""Score from which a palm is looked at; hands that hold something often show only weak ones."""
PRESENCE = 0.5
"""Probability that a region shows a hand, from which it is looked at from elsewhere."""
CERTAIN, CERTAIN_IF_SMALL = 0.29, 0.65
"""Certainty from which a hand counts, if it is large and if it is as small as possible."""
SMALL, SMALLEST = 56.0, 16.0
"""Pixels: longer side of a hand's box below which it must be surer, and of the smallest one that counts."""
HOPELESS, CLEAR, RETRIES = 0.1, 0.55, 2
"""Certainty below which and from which it does not pay to look for a better place; such attempts."""
SAME_PALM = 0.3
"""Overlap of the boxes of palms, of their union, from which the weaker one is not looked at."""
POLISH = 2
"""Times that the region is put where the landmarks are, and the network looks again."""
MAX_PALMS, MAX_SMALL_PALMS, MAX_SEEN = 60, 30, 24
"""Palms that are looked at, and hands that are looked at from elsewhere: woven cloth shows hundreds of both."""
WORTH_A_LOOK = 0.1
"""Presence from which a first look is followed by a second one."""
LIKELY = 8
"""Regions of a mask that are looked at again."""
TURN, NEARER, FARTHER, ASIDE = 0.35, 0.85, 1.25, 0.08
"""How looks at a hand differ: radians, scales, shares of the region's side."""


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

    def find(self, photo: Photo, max_hands: int = 10, thorough: bool = True) -> list[FoundHand]:
        """The hands of a photo, the surest first; those without a visible palm too if `thorough`, which takes thrice
        as long."""
        pyramid = Pyramid(photo.pixels)
        palms = self._palms(pyramid, tiles(photo.size, DETECTOR_SIZE))
        kept = self._hands(pyramid, palms.strongest(MAX_PALMS))
        if not thorough:
            return kept[:max_hands]
        elsewhere = self._palms(pyramid, small_tiles(photo.size, DETECTOR_SIZE / 2)).strongest(MAX_SMALL_PALMS)
        elsewhere += [region for region in grid(photo.size, LANDMARKER_SIZE / 4) if not _covered(region, kept)]
        kept = distinct([*kept, *self._hands(pyramid, elsewhere)])
        return kept[:max_hands]

    def _hands(self, pyramid: Pyramid, regions: Iterable[Region]) -> list[FoundHand]:
        """The hands that regions show, without doubles."""

        def first_look(region: Region) -> FoundHand:
            hand = self._landmarks(pyramid, region)
            return hand if hand.presence < WORTH_A_LOOK else self._polished(pyramid, hand)

        looks = side_by_side(first_look, list(regions))
        seen = [hand for hand in looks if hand.presence >= PRESENCE and hand.length >= SMALLEST]
        looked_at = side_by_side(partial(self._looked_at, pyramid), unseen_yet(seen)[:MAX_SEEN])
        return distinct(hand for hand in looked_at if hand.certainty >= least_certainty(hand.length))

    def _looked_at(self, pyramid: Pyramid, hand: FoundHand) -> FoundHand:
        """A hand, looked at from elsewhere; where looks disagree, from where they agree best."""
        looks = self._looks(pyramid, hand)
        best = agreed(hand, looks)
        for _ in range(RETRIES):
            if not HOPELESS <= best.certainty < CLEAR:
                break
            hand = self._polished(pyramid, middle_of([hand, *looks]))
            looks = self._looks(pyramid, hand)
            best = max(best, agreed(hand, looks), key=lambda one: one.certainty)
        return best

    def _looks(self, pyramid: Pyramid, hand: FoundHand) -> list[FoundHand]:
        """A hand from turned, nearer, farther and shifted regions, and in the mirror."""
        region = region_of_landmarks(hand.points)
        nearby = (
            region.moved(turn=TURN),
            region.moved(turn=-TURN),
            region.moved(scale=NEARER),
            region.moved(scale=FARTHER),
            region.moved(right=ASIDE, down=ASIDE / 2),
            region.moved(right=-ASIDE, down=-ASIDE / 2),
        )
        looks = [partial(self._landmarks, pyramid, one) for one in nearby]
        return side_by_side(_called, [*looks, partial(self._landmarks, pyramid, region, mirror=True)])

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
        looks = side_by_side(partial(self._landmarks, pyramid), list(regions_in(*box)))
        likely = sorted(looks, key=lambda hand: -_agreement(hand, mask))[:LIKELY]
        hands = side_by_side(partial(self._polished, pyramid), likely)
        return max((h for h in hands if h.presence >= PRESENCE), key=lambda h: _agreement(h, mask), default=None)

    def find_in(self, photo: Photo, box: Box) -> FoundHand | None:
        """The hand in a box, which is tried in all turns; None if nothing there looks like one.

        Raises:
            HopriorError: the box has no area, or is outside the photo.
        """
        check_box(box, photo.size)
        pyramid = Pyramid(photo.pixels)
        low, high = np.array(box[:2]), np.array(box[2:])
        looks = unseen_yet(side_by_side(partial(self._landmarks, pyramid), list(regions_in(low, high))))
        polished = unseen_yet(side_by_side(partial(self._polished, pyramid), looks[:LIKELY]))
        hands = [self._looked_at(pyramid, hand) for hand in polished if hand.presence >= PRESENCE]
        return max(hands, key=lambda hand: hand.certainty * overlap(hand.box, (low, high), of_union=True), default=None)

    def look_again(self, photo: Photo, hand: FoundHand) -> FoundHand:
        """A hand with what looks at it from elsewhere say of its presence and side, and how far they agree."""
        return agreed(hand, self._looks(Pyramid(photo.pixels), hand))

    def _palms(self, pyramid: Pyramid, squares: Iterable[Region]) -> "_Palms":
        squares = list(squares)
        found = [_Palms(np.empty(0), np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 7, 2)))]
        looks = side_by_side(lambda square: self._detector(square.cut(pyramid, DETECTOR_SIZE)), squares)
        for square, (boxes, logits) in zip(squares, looks, strict=True):
            scores = 1 / (1 + np.exp(-np.clip(logits[:, 0], -100, 100)))
            sure = np.flatnonzero(scores >= WEAK_PALM)
            box, anchors = boxes[sure].reshape(-1, 9, 2) / DETECTOR_SIZE, self._anchors[sure, None]
            centre, half = box[:, :1] + anchors, box[:, 1:2] / 2
            corners = square.to_photo(np.concatenate([centre - half, centre + half], axis=1))
            points = square.to_photo(box[:, 2:] + anchors)
            found.append(_Palms(scores[sure], corners.min(axis=1), corners.max(axis=1), points))
        return _Palms(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _polished(self, pyramid: Pyramid, hand: FoundHand) -> FoundHand:
        for _ in range(POLISH):
            hand = self._landmarks(pyramid, region_of_landmarks(hand.points))
        return hand

    def _landmarks(self, pyramid: Pyramid, region: Region, mirror: bool = False) -> FoundHand:
        cut = region.cut(pyramid, LANDMARKER_SIZE)
        screen, presence, right, world = self._landmarker(cut[:, ::-1] if mirror else cut)
        inside = screen.reshape(21, 3)[:, :2].astype(float) / LANDMARKER_SIZE
        turned = world.reshape(21, 3).astype(float)
        is_right = float(right[0])
        if mirror:
            inside[:, 0], turned[:, 0], is_right = 1 - inside[:, 0], -turned[:, 0], 1 - is_right
        turned[:, :2] = turned[:, :2] @ region.rotation.T
        side: Side = "right" if is_right >= 0.5 else "left"
        return FoundHand(region.to_photo(inside), turned, side, max(is_right, 1 - is_right), float(presence[0]))


@cache
def hand_landmarker() -> HandLandmarker:
    """The one landmarker of a process."""
    return HandLandmarker()


def least_certainty(length: float) -> float:
    """Certainty from which what is so long (pixels) counts as a hand: textures look like small ones.

    Example:
        >>> [round(least_certainty(length), 2) for length in (16, 36, 56, 300)]
        [0.65, 0.47, 0.29, 0.29]
    """
    smallness = np.clip((SMALL - length) / (SMALL - SMALLEST), 0, 1)
    return float(CERTAIN + smallness * (CERTAIN_IF_SMALL - CERTAIN))


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


class _Palms(NamedTuple):
    """Their scores, boxes and points, pixels of the photo."""

    scores: Float[np.ndarray, " n"]
    low: Float[np.ndarray, "n 2"]
    high: Float[np.ndarray, "n 2"]
    points: Float[np.ndarray, "n 7 2"]

    def strongest(self, most: int) -> list[Region]:
        """Regions of the hands of at most so many, without those that overlap stronger ones."""
        left = np.argsort(-self.scores, kind="stable")
        regions: list[Region] = []
        while len(left) and len(regions) < most:
            best, left = left[0], left[1:]
            low, high = self.low[best], self.high[best]
            regions.append(region_of_palm(low, high, self.points[best, PALM_WRIST], self.points[best, PALM_MIDDLE]))
            left = left[overlap((low, high), (self.low[left], self.high[left]), of_union=True) < SAME_PALM]
        return regions


def _covered(region: Region, hands: Iterable[FoundHand]) -> bool:
    """Whether the middle of a region is on a hand that is found, and the region is not much larger."""
    middle = np.array([region.x, region.y])
    for hand in hands:
        low, high = hand.box
        if bool(((middle > low) & (middle < high)).all()) and region.side < 3 * hand.length:
            return True
    return False


class _Network:
    """A .tflite network on the CPU: one image in, its outputs in the order of their names; in each thread one."""

    def __init__(self, content: bytes) -> None:
        self._content, self._here = content, threading.local()
        self._here.interpreter = self._started()

    def _started(self) -> Any:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise HopriorError(
                "photos need LiteRT, which runs the hand landmarker: pip install ai-edge-litert"
            ) from error
        interpreter = Interpreter(model_content=self._content, num_threads=1)
        interpreter.allocate_tensors()
        self._input = interpreter.get_input_details()[0]["index"]
        outputs = sorted(interpreter.get_output_details(), key=lambda detail: detail["name"])
        self._outputs = [detail["index"] for detail in outputs]
        return interpreter

    def __call__(self, image: Float[np.ndarray, "size size 3"]) -> list[np.ndarray]:
        if not hasattr(self._here, "interpreter"):
            self._here.interpreter = self._started()
        interpreter = self._here.interpreter
        interpreter.set_tensor(self._input, image[None].astype(np.float32))
        interpreter.invoke()
        return [interpreter.get_tensor(index)[0] for index in self._outputs]


def _called(look: Callable[[], FoundHand]) -> FoundHand:
    return look()
