"""Objects in front of a hand, found without a network of their own, and landmarks looked for behind them.

A hand has few colours. What its bones run over and has none of them is in front of it. Landmarks there are drawn to
what is seen beside the object; painted over in the hand's own colour, the object no longer misleads the landmark
network, which guesses where the covered fingers go on.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter
from skimage.color import rgb2lab
from skimage.draw import line
from skimage.segmentation import felzenszwalb

from hoprior.hand.occlusion import on_mask
from hoprior.vision.images import Photo
from hoprior.vision.landmarker import HandLandmarker, hand_landmarker
from hoprior.vision.regions import Pyramid, Region
from hoprior.vision.sightings import FoundHand

FINGERS = tuple(tuple((0, *range(first, first + 4))[k : k + 2]) for first in (1, 5, 9, 13, 17) for k in range(4))
PALM = ((0, 1), (0, 5), (0, 9), (0, 13), (0, 17), (5, 9), (9, 13), (13, 17))
"""Pairs of landmarks, in MediaPipe's order, with a bone between them; and with the palm's flesh."""

HAND_PIXELS, AROUND = 128, 1.9
"""Longer side of the hand's box in the square that is looked at; the square's side, in that."""
MIN_PALM = 0.35
"""Least length of a palm, in longer sides of the hand's box: palms seen from their edge are longer than they look."""
CORE, FLESH = 0.05, 0.09
"""Distances from a bone, in lengths of the palm, that are surely on the hand, and that mostly are."""
MARGIN = 2
"""Pixels of the square by which what is painted over is wider than what is found."""

START_DEVIATION, LEAST_DEVIATION = (15.0, 8.0, 8.0), (12.0, 6.0, 6.0)
"""Of a hand's colours in CIELAB: at the start, and at least."""
OUTLIER = 2.0
"""Deviations from the hand's colour from which a pixel says little of it."""
OTHER_COLOUR = 9.0
"""Squared Mahalanobis distance from which a colour is not the hand's."""
ROUNDS = 8
LOOKS = 2
"""At most, at a hand whose covering is painted over: landmarks that go on behind it may show more of it."""
CROSSED = 0.012
"""Area of bones, in squared lengths of the palm, that a piece of the picture covers if it is in front of the hand."""


@dataclass(frozen=True, eq=False)
class Sight:
    """A square of a photo with a hand in the middle, `HAND_PIXELS` large.

    Attributes:
        pixels: black outside the photo, as `inside` says.
        points: landmarks in the square's pixels.
        palm: length of the palm in them.
    """

    region: Region
    pixels: UInt8[np.ndarray, "n n 3"]
    inside: Bool[np.ndarray, "n n"]
    points: Float[np.ndarray, "21 2"]
    palm: float

    @classmethod
    def of(cls, photo: Photo, points: Float[np.ndarray, "21 2"]) -> "Sight":
        """What is around a hand with these landmarks, photo pixels."""
        low, high = points.min(axis=0), points.max(axis=0)
        longer, count = max(float((high - low).max()), 1.0), round(AROUND * HAND_PIXELS)
        x, y = (low + high) / 2
        region = Region(float(x), float(y), AROUND * longer)
        pixels = (255 * region.cut(Pyramid(photo.pixels), count) + 0.5).astype(np.uint8)
        scale = count / region.side
        own = (points - [x, y]) * scale + count / 2
        along = np.linalg.norm(own[0] - own[9])
        across = np.linalg.norm(own[5] - own[17])
        width, height = photo.size
        at_x, at_y = (start + (np.arange(count) + 0.5 - count / 2) / scale for start in (x, y))
        inside = ((at_y >= 0) & (at_y < height))[:, None] & ((at_x >= 0) & (at_x < width))
        return cls(region, pixels, inside, own, max(float(along), 1.15 * float(across), MIN_PALM * HAND_PIXELS))

    def to_photo(self, points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Points of the square in the photo's pixels."""
        return self.region.to_photo(points / len(self.pixels))

    def mask_in_photo(self, mask: Bool[np.ndarray, "n n"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
        """A mask of the square as one of a photo of `size`."""
        scale = len(mask) / self.region.side
        columns, rows = (
            np.floor((np.arange(length) + 0.5 - middle) * scale + len(mask) / 2).astype(int)
            for length, middle in zip(size, (self.region.x, self.region.y), strict=True)
        )
        there = ((rows >= 0) & (rows < len(mask)))[:, None] & ((columns >= 0) & (columns < len(mask)))
        return there & mask[rows.clip(0, len(mask) - 1)[:, None], columns.clip(0, len(mask) - 1)]


def look_past(
    photo: Photo,
    found: FoundHand,
    landmarker: HandLandmarker | None = None,
    objects: Bool[np.ndarray, "h w"] | None = None,
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> tuple[FoundHand, Bool[np.ndarray, "h w"] | None]:
    """A hand, looked for behind what is in front of it; and where in the photo that is.

    Args:
        landmarker: the process's one without.
        objects: where things are in the photo, if that is known.
        mask: where the hand is seen in it, if that is known: nothing is in front of it there.

    Returns:
        The hand as it was, and `objects`, where nothing is in front of it; as it was, and a mask, where it is not found
        again. Landmarks beside what is in front are the mean of both looks, which is nearer to the truth than each.
    """
    sight = Sight.of(photo, found.points)
    front = np.zeros(sight.inside.shape, dtype=bool)
    again = found
    for _ in range(LOOKS):
        away = distance_to(FINGERS, sight.points, len(front))
        odd = unlike_hand(sight, away)
        more = in_front(sight, away, odd > OTHER_COLOUR) if objects is None else in_square(objects, sight)
        if mask is not None:
            more &= ~in_square(mask, sight)
        if not (more & ~front).any():
            break
        front |= more
        flesh = (away < FLESH * sight.palm) & (odd < OTHER_COLOUR / 2) & sight.inside & ~front
        if not flesh.any():
            break
        painted = sight.pixels.copy()
        painted[binary_dilation(front, iterations=MARGIN)] = np.median(sight.pixels[flesh], axis=0).astype(np.uint8)
        seen = (landmarker or hand_landmarker()).follow(Photo(painted), replace(found, points=sight.points))
        if seen is None or seen.side != found.side:
            break
        again, sight = seen, replace(sight, points=seen.points)
    if not front.any():
        return found, objects
    in_photo = objects if objects is not None else sight.mask_in_photo(front, photo.size)
    if again is found:
        return found, in_photo
    points = sight.to_photo(again.points)
    hidden = on_mask(torch.from_numpy(sight.points), front).numpy()
    points = np.where(hidden[:, None], points, (points + found.points) / 2)
    return replace(found, points=points, world=again.world), in_photo


def unlike_hand(sight: Sight, away: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Squared Mahalanobis distance of each pixel's colour from the hand's.

    The hand's is a normal distribution in CIELAB of the pixels near its bones, those of the palm twice, fitted so that
    others among them hardly count (weights of a t distribution, Lange et al., 1989).
    """
    lab = gaussian_filter(rgb2lab(sight.pixels), (1.0, 1.0, 0.0))
    near = (away < FLESH * sight.palm) & sight.inside
    if not near.any():
        return np.zeros(away.shape)
    colours = lab[near]
    on_palm = distance_to(PALM, sight.points, len(away))[near] < FLESH * sight.palm
    share = 1.0 + on_palm
    middle = np.median(np.concatenate([colours, colours[on_palm]]), axis=0)
    spread = np.diag(np.square(START_DEVIATION))
    for _ in range(ROUNDS):
        weight = share / (1 + _squared(colours - middle, spread) / OUTLIER**2) ** 2
        middle = weight @ colours / weight.sum()
        apart = colours - middle
        spread = (weight[:, None] * apart).T @ apart / weight.sum() + np.diag(np.square(LEAST_DEVIATION))
    return _squared(lab - middle, spread)


def in_front(sight: Sight, away: Float[np.ndarray, "n n"], other: Bool[np.ndarray, "n n"]) -> Bool[np.ndarray, "n n"]:
    """Pieces of the picture, mostly of `other` colours, that bones run over."""
    pieces: Int[np.ndarray, "n n"] = felzenszwalb(sight.pixels, scale=150, sigma=0.8, min_size=40)
    other = other & sight.inside
    size = np.bincount(pieces.ravel())
    odd = np.bincount(pieces.ravel(), other.ravel()) / size
    crossed = np.bincount(pieces.ravel(), (other & (away < CORE * sight.palm)).ravel())
    chosen = (odd > 0.5) & (crossed > CROSSED * sight.palm**2)
    return chosen[pieces] & sight.inside


def distance_to(
    pairs: tuple[tuple[int, ...], ...], points: Float[np.ndarray, "21 2"], size: int
) -> Float[np.ndarray, "n n"]:
    """Of each pixel of a square, from the nearest line between a pair of points."""
    drawn = np.zeros((size, size), dtype=bool)
    whole = points.round().astype(int)
    for first, last in pairs:
        rows, columns = line(*whole[first][::-1], *whole[last][::-1])
        there = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        drawn[rows[there], columns[there]] = True
    return distance_transform_edt(~drawn)


def in_square(mask: Bool[np.ndarray, "h w"], sight: Sight) -> Bool[np.ndarray, "n n"]:
    """What a sight's square shows of a mask of its photo."""
    three = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    return sight.region.cut(Pyramid(three), len(sight.pixels))[..., 0] > 0.5


def _squared(apart: Float[np.ndarray, "*n 3"], spread: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "*n"]:
    return np.einsum("...i,ij,...j->...", apart, np.linalg.inv(spread), apart)
