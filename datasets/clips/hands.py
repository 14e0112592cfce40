"""Hands of a clip's frames from estimators: HaMeR's and FreiHAND's files, or the embedded landmarker."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from hoprior.datasets.clips.hand_track import follows
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.hand import HandModel, HandPose, load_hand
from hoprior.hand.pose import mirrored_in_camera
from hoprior.vision.estimates.estimate import HandEstimate, seen_at
from hoprior.vision.estimates.files import read_estimates
from hoprior.vision.estimates.photos import estimate_of
from hoprior.vision.images import Photo
from hoprior.vision.landmarker import FoundHand, HandLandmarker, hand_landmarker

MAX_HANDS = 4
NUMBER = re.compile(r"(\d+)(?!.*\d)")
"""The last number in a name."""
MISFIT = 0.08
"""Posed joints are two or three hundredths of the hand's extent from where they are seen. Where they are so much
farther, it is another hand that is seen, such as a left one in a right one's back."""


class ClipHands(NamedTuple):
    """Hands of n frames as `RawClip` takes them; NaN in frames without one.

    `pose` is of right hands in the camera's frame, a left hand's mirrored with its picture; the rest is as it was seen.
    """

    pose: HandPose
    keypoints: Float[np.ndarray, "n 21 2"]
    confidence: Float[np.ndarray, "n 21"]
    intrinsics: Float[np.ndarray, "n 4"]


def stacked(found: Sequence[HandEstimate | None], side: Side) -> ClipHands:
    """The estimates of all frames, one array each; a frame without one has the camera of the nearest that has.

    Raises:
        HopriorError: no frame has a hand.
    """
    n, known = len(found), [i for i, one in enumerate(found) if one is not None]
    if not known:
        raise HopriorError("no frame has a hand estimate: run the estimator again")
    flat, keypoints = torch.full((n, 61), torch.nan), np.full((n, 21, 2), np.nan)
    confidence, cameras = np.zeros((n, 21)), np.zeros((n, 4))
    for i in range(n):
        one = found[min(known, key=lambda k, i=i: abs(k - i))]  # type: ignore[misc]
        assert one is not None
        K = one.K.double().numpy()
        cameras[i] = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
        if found[i] is not None:
            pose = one.pose
            flat[i] = torch.cat([pose.hand_pose.flatten(), pose.betas[0], pose.global_orient[0], pose.transl[0]])
            keypoints[i], confidence[i] = one.keypoints.numpy(), one.confidence.numpy()
    placed = HandPose(flat[:, :45].reshape(n, 15, 3), flat[:, 45:55], flat[:, 55:58], flat[:, 58:])
    return ClipHands(placed if side == "right" else mirrored_in_camera(placed), keypoints, confidence, cameras)


def hands_of_files(path: Path, hand: str, side: Side, names: Sequence[str], frames: Sequence[int]) -> ClipHands:
    """Hands from an estimator's files: one file for each frame, or one of all frames.

    Of several hands in a frame the first of `side` counts. Files belong to the frame that has their name, or else the
    number that ends it; without such names there have to be as many hands as frames, and their order counts.

    Args:
        path: an .npz or .json file, or a folder of such; see docs/refine.md.
        hand: the hand model to pose, "open" or "mano".
        names: of the frames' pictures, without their endings.
        frames: the frames' numbers in the video.

    Raises:
        HopriorError: the files cannot be read, or do not belong to these frames.
    """
    estimates, skipped = read_estimates(path, hand=hand, side="auto")
    mine = [one for one in estimates if one.side == side]
    if not mine:
        raise HopriorError(f"{path}: holds no {side} hand among {len(estimates)}: is --side right?")
    found: list[HandEstimate | None] = [None] * len(names)
    for place in (_named(mine, names), _numbered(mine, frames)):
        if place:
            for k, one in place.items():
                found[k] = one
            return stacked(found, side)
    if len(mine) != len(names):
        lost = f", {len(skipped)} could not be used ({skipped[0].reason})" if skipped else ""
        raise HopriorError(
            f"{path}: has {len(mine)} {side} hands for {len(names)} frames{lost}: name each file as its frame's"
            " picture, or end its name with the frame's number"
        )
    return stacked(mine, side)


def _named(estimates: Sequence[HandEstimate], names: Sequence[str]) -> dict[int, HandEstimate]:
    """Estimates of files that are called as frames are."""
    index = {name: k for k, name in enumerate(names)}
    found: dict[int, HandEstimate] = {}
    for one in estimates:
        stem = Path(one.source or one.name).stem
        if stem in index:
            found.setdefault(index[stem], one)
    return found


def _numbered(estimates: Sequence[HandEstimate], frames: Sequence[int]) -> dict[int, HandEstimate]:
    """Estimates of files whose names end with frames' numbers; not of one file with the hands of all frames."""
    index = {number: k for k, number in enumerate(frames)}
    found: dict[int, HandEstimate] = {}
    if len({one.source for one in estimates}) < 2:
        return found
    for one in estimates:
        number = NUMBER.search(Path(one.source or one.name).stem)
        if number and int(number[1]) in index:
            found.setdefault(index[int(number[1])], one)
    return found


def hands_of_pictures(
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    masks: Sequence[Bool[np.ndarray, "h w"] | None],
    side: Side,
    seconds: Float[np.ndarray, " n"],
    focal: float | None = None,
) -> ClipHands:
    """Hands found by the embedded landmarker and followed from frame to frame; lengths are an average hand's.

    Frames are without one in which it is turned as no hand moves (`follows`), or no hand of that side can be posed to
    what is seen (`misfit`).

    Args:
        masks: of the hand, where they are known: it is then looked for under them.
        side: of the hand; what the landmarker says of it is not asked.
        seconds: when each picture was taken.
        focal: pixels; a view of 53 degrees without.

    Raises:
        HopriorError: LiteRT is not installed, or no frame shows a hand.
    """
    landmarker, model = hand_landmarker(), load_hand("open", side)
    found: list[HandEstimate | None] = []
    last: FoundHand | None = None
    for image, mask in zip(images, masks, strict=True):
        photo, posed = Photo(image), None
        for hand in _sightings(landmarker, photo, mask, side, last):
            posed = _posed(photo, replace(hand, side=side), model, focal)
            if posed is not None:
                last = hand
                break
        found.append(posed)
    if not any(one is not None for one in found):
        raise HopriorError(
            f"no {side} hand is found in any frame: is it in the picture, not gloved, and a {side} one (--side)?"
        )
    hands = stacked(found, side)
    kept = follows(hands.pose, seconds)
    return stacked([one if keep else None for one, keep in zip(found, kept, strict=True)], side)


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


def _posed(photo: Photo, hand: FoundHand, model: HandModel, focal: float | None) -> HandEstimate | None:
    """The hand posed, or None: landmarks to which no hand of its side can be posed are those of no hand, or of the
    other one."""
    try:
        estimate = estimate_of(photo, hand, "frame", model, focal=focal)
    except HopriorError:
        return None
    return None if misfit(estimate, model) > MISFIT else estimate


def misfit(estimate: HandEstimate, model: HandModel) -> float:
    """How far posed joints are from where they are seen, on average, in shares of the hand's extent in the picture."""
    away = (seen_at(model, estimate.pose, estimate.K) - estimate.keypoints).norm(dim=-1).mean()
    return float(away / (estimate.keypoints.amax(dim=0) - estimate.keypoints.amin(dim=0)).norm())


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
