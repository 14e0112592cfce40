"""Hands of a clip's frames from estimators: HaMeR's and FreiHAND's files, or the embedded landmarker."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from hoprior.common.array_files import array_names
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.hand import HandPose, load_hand
from hoprior.hand.motion import Posture
from hoprior.hand.pose import mirrored_in_camera
from hoprior.results.refinements import PARAMETERS_NAME
from hoprior.vision.estimates.estimate import HandEstimate
from hoprior.vision.estimates.files import read_estimates
from hoprior.vision.hand_track import track_hand

NUMBER = re.compile(r"(\d+)(?!.*\d)")
"""The last number in a name."""


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
    number that ends it, hands of one file to the `frame` that they say; without such there have to be as many hands as
    frames, and their order counts.

    Args:
        path: an .npz or .json file, or a folder of such, or of a video's refined hand; see docs/refine.md.
        hand: the hand model to pose, "open" or "mano".
        names: of the frames' pictures, without their endings.
        frames: the frames' numbers in the video.

    Raises:
        HopriorError: the files cannot be read, or do not belong to these frames.
    """
    estimates, skipped = read_estimates(file_of_motion(path) or path, hand=hand, side="auto")
    mine = [one for one in estimates if one.side == side]
    if not mine:
        raise HopriorError(f"{path}: holds no {side} hand among {len(estimates)}: is --side right?")
    found: list[HandEstimate | None] = [None] * len(names)
    for place in (_named(mine, names), _numbered(mine, frames), _framed(mine, frames)):
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


def _framed(estimates: Sequence[HandEstimate], frames: Sequence[int]) -> dict[int, HandEstimate]:
    """Estimates that say which frames they are of."""
    index = {number: k for k, number in enumerate(frames)}
    found: dict[int, HandEstimate] = {}
    for one in estimates:
        if one.frame is not None and one.frame in index:
            found.setdefault(index[one.frame], one)
    return found


def file_of_motion(path: Path) -> Path | None:
    """The file of a video's refined hand, if it is that, or a folder of such results: its frames are even in time."""
    file = path / PARAMETERS_NAME if path.is_dir() else path
    if file.suffix != ".npz" or not file.is_file():
        return None
    return file if {"seconds", "sighted_uv"} <= set(array_names(file)) else None


def hands_of_pictures(
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    masks: Sequence[Bool[np.ndarray, "h w"] | None],
    side: Side,
    seconds: Float[np.ndarray, " n"],
    focal: float | None = None,
    posture: Posture | None = None,
) -> ClipHands:
    """Hands found by the embedded landmarker, as one motion (`hoprior.vision.hand_track`) that goes on through frames
    without a sighting; NaN where nobody knows where the hand is. Lengths are about an average hand's.

    Args:
        masks: of the hand, where they are known: it is then looked for under them.
        side: of the hand; what the landmarker says of it is not asked.
        seconds: when each picture was taken.
        focal: pixels; a view of 53 degrees without.
        posture: what pulls fingers to likely postures.

    Raises:
        HopriorError: LiteRT is not installed, or no frame shows a hand.
    """
    track = track_hand(images, seconds, side, load_hand("open", "right"), focal=focal, masks=masks, posture=posture)
    pose = track.pose if side == "right" else mirrored_in_camera(track.pose)
    lost = torch.from_numpy(track.lost)
    known = (
        torch.where(lost.view(-1, *[1] * (part.ndim - 1)), torch.nan, part)
        for part in (pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    )
    K = track.K
    cameras = np.tile([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], (len(track), 1))
    return ClipHands(HandPose(*known), track.keypoints, track.confidence, cameras)
