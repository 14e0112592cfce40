"""One hand of a video, followed from frame to frame by the embedded landmarker: what is seen of it, frame by frame."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8

from hoprior.errors import HopriorError
from hoprior.hand import HandModel
from hoprior.hand.base import Side
from hoprior.vision.estimates.estimate import HandEstimate, seen_at
from hoprior.vision.estimates.photos import estimate_of
from hoprior.vision.images import Photo
from hoprior.vision.landmarker import HandLandmarker, hand_landmarker, least_certainty
from hoprior.vision.sightings import FoundHand, distinct

MAX_HANDS = 4
ASKED = 16
"""Frames, spread evenly, in which hands are looked for to say which of them is the video's."""
SAME_HAND = 1.5
"""Lengths of a hand by which it is moved at most between frames that are asked."""
UNSURE = 0.3
"""Balance below which the side is a guess."""
MISFIT = 0.08
"""Posed joints are two or three hundredths of the hand's extent from where they are seen. Where they are so much
farther, it is another hand that is seen, such as a left one in a right one's back."""


@dataclass(frozen=True)
class ChosenHand:
    """Which hand of a video is followed.

    Attributes:
        side: of it.
        others: in how many of the frames that were asked another hand was seen beside it.
        asked: frames that were asked.
        balance: how much surer its sightings are of its side than of the other one, in shares of both, 0 to 1.
    """

    side: Side
    others: int
    asked: int
    balance: float = 1.0


def choose_hand(images: Sequence[UInt8[np.ndarray, "h w 3"]], side: str = "auto") -> ChosenHand:
    """The side of the hand that is seen most surely over a video's frames, and whether it is alone.

    Sightings that are near each other are of one hand, whose side is what most of them say. Of two hands in one frame
    that are both said to be right ones the less sure is taken for a left one: people have one of each.

    Args:
        side: "right" or "left" say which it is.

    Raises:
        HopriorError: LiteRT is not installed, or no frame that is asked shows a hand.
    """
    landmarker = hand_landmarker()
    asked = np.unique(np.linspace(0, len(images) - 1, min(ASKED, len(images))).round().astype(int))
    found = [landmarker.find(Photo(images[i]), MAX_HANDS, thorough=False) for i in asked]
    return chosen_of(found, side)


def chosen_of(found: Sequence[Sequence[FoundHand]], side: str = "auto") -> ChosenHand:
    """The same of hands that were found in some frames, in order, the surest of each frame first.

    Raises:
        HopriorError: there are none, and nobody says of which side the hand is.
    """
    others = sum(len(distinct(hands)) > 1 for hands in found)
    if side != "auto":
        return ChosenHand("left" if side == "left" else "right", others, len(found))
    tracks: list[list[tuple[FoundHand, float]]] = []
    for hands in found:
        taken: set[Side] = set()
        for hand in distinct(hands):
            right = hand.right if hand.side not in taken else 1 - hand.right
            taken.add("right" if right >= 0.5 else "left")
            away = [_away(track[-1][0], hand) for track in tracks]
            if away and min(away) < SAME_HAND:
                tracks[int(np.argmin(away))].append((hand, right))
            else:
                tracks.append([(hand, right)])
    if not tracks:
        raise HopriorError(
            f"no hand is found in {len(found)} frames: is one in the picture, large enough and not gloved? If so, say"
            " which with --side right or left, and every frame is searched"
        )
    surest = max(tracks, key=lambda track: sum(hand.certainty for hand, _ in track))
    right = sum(hand.certainty * share for hand, share in surest)
    left = sum(hand.certainty * (1 - share) for hand, share in surest)
    balance = abs(right - left) / max(right + left, 1e-9)
    return ChosenHand("right" if right >= left else "left", others, len(found), balance)


def _away(hand: FoundHand, other: FoundHand) -> float:
    """How far two hands' middles are apart, in lengths of the longer one."""
    return float(np.linalg.norm(hand.points.mean(axis=0) - other.points.mean(axis=0))) / max(hand.length, other.length)


def follow_hand(
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    side: Side,
    model: HandModel,
    focal: float | None = None,
    masks: Sequence[Bool[np.ndarray, "h w"] | None] = (),
    progress: Callable[[float], object] | None = None,
) -> list[HandEstimate | None]:
    """A hand of a video where it is seen, each frame's posed alone; None in frames in which it is not.

    Args:
        side: of the hand; what the landmarker says of it decides only where several are found.
        model: of that side.
        focal: pixels; a view of 53 degrees without.
        masks: of the hand, where they are known: it is then looked for under them.
        progress: told the share that is done.

    Raises:
        HopriorError: LiteRT is not installed, or no frame shows a hand.
    """
    landmarker = hand_landmarker()
    found: list[HandEstimate | None] = []
    last: FoundHand | None = None
    for k, (image, mask) in enumerate(zip(images, masks or [None] * len(images), strict=True)):
        photo, posed = Photo(image), None
        for hand in _sightings(landmarker, photo, mask, side, last):
            posed = posed_as(photo, replace(hand, side=side), model, focal, f"frame {k}")
            if posed is not None:
                last = hand
                break
        found.append(posed)
        if progress is not None:
            progress((k + 1) / len(images))
    if not any(one is not None for one in found):
        raise HopriorError(
            f"no {side} hand is found in any frame: is it in the picture, not gloved, and a {side} one (--side)?"
        )
    return found


def seen_near(
    image: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "21 2"],
    side: Side,
    model: HandModel,
    focal: float | None = None,
) -> HandEstimate | None:
    """A hand that is looked for where its joints (pixels, MediaPipe's order) are thought to be.

    Shown a hand's place, the network sees a hand in much: looks from elsewhere have to agree with it.
    """
    photo, landmarker = Photo(image), hand_landmarker()
    hand = landmarker.follow(photo, FoundHand(points, np.zeros((21, 3)), side, 1.0, 1.0))
    if hand is None or landmarker.look_again(photo, hand).certainty < least_certainty(hand.length):
        return None
    return posed_as(photo, replace(hand, side=side), model, focal, "frame")


def posed_as(photo: Photo, hand: FoundHand, model: HandModel, focal: float | None, name: str) -> HandEstimate | None:
    """The hand posed, or None: landmarks to which no hand of its side can be posed are those of no hand, or of the
    other one."""
    try:
        estimate = estimate_of(photo, hand, name, model, focal=focal)
    except HopriorError:
        return None
    return None if misfit(estimate, model) > MISFIT else estimate


def misfit(estimate: HandEstimate, model: HandModel) -> float:
    """How far posed joints are from where they are seen, on average, in shares of the hand's extent in the picture."""
    away = (seen_at(model, estimate.pose, estimate.K) - estimate.keypoints).norm(dim=-1).mean()
    return float(away / (estimate.keypoints.amax(dim=0) - estimate.keypoints.amin(dim=0)).norm())


def _sightings(
    landmarker: HandLandmarker,
    photo: Photo,
    mask: Bool[np.ndarray, "h w"] | None,
    side: Side,
    last: FoundHand | None,
) -> Iterator[FoundHand]:
    """The hand where it was last, if it still is there, and then the hand that is found in the whole picture."""
    followed = None if last is None else landmarker.follow(photo, last)
    if followed is not None and (mask is None or _lies_on(followed, mask)):
        yield followed
    if mask is None:
        anew = _of_side(landmarker.find(photo, MAX_HANDS, thorough=False), side)
    else:
        anew = landmarker.find_under(photo, mask)
    if anew is not None:
        yield anew


def _of_side(hands: Sequence[FoundHand], side: Side) -> FoundHand | None:
    """The surest hand of a side; the surest of all where none is said to be of it."""
    return next((hand for hand in hands if hand.side == side), hands[0] if hands else None)


def _lies_on(hand: FoundHand, mask: Bool[np.ndarray, "h w"]) -> bool:
    """Whether a hand that was followed is still the one under the mask; what it holds hides some of its joints."""
    if not mask.any():
        return True
    rows, columns = np.nonzero(mask)
    low, high = hand.box
    inside = (columns >= low[0]) & (columns <= high[0]) & (rows >= low[1]) & (rows <= high[1])
    return bool(inside.mean() > 0.3)
