"""Hands of photos, by the embedded landmarker."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from hoprior.errors import HopriorError
from hoprior.geometry.camera import intrinsics
from hoprior.hand import HandModel, load_hand, reorder_joints
from hoprior.vision.estimates.estimate import HandEstimate, pose_from_joints
from hoprior.vision.images import Photo, read_mask, read_photo
from hoprior.vision.landmarker import FoundHand, hand_landmarker

MAX_HANDS = 10


def hands_of_photo(
    path: str | Path,
    hand: str = "open",
    side: str = "auto",
    mask: str | Path | None = None,
    focal: float | None = None,
) -> list[HandEstimate]:
    """The hands of a photo, the surest first.

    Args:
        hand: the hand model to pose.
        side: "right" or "left" overrules what the landmarker says of every hand.
        mask: a picture of the same photo in which the hand is white: only this hand is looked for, and what it holds
            hides those of its joints that are outside.
        focal: pixels; without it the one in the file's EXIF data, else a view of 53 degrees.

    Raises:
        HopriorError: the photo or the mask cannot be read, or shows no hand.
    """
    photo = read_photo(path)
    shown = None if mask is None else read_mask(mask, photo.size)
    found = find_hands(photo, shown)
    if side != "auto":
        found = [FoundHand(h.points, h.world, side, 1.0, h.presence) for h in found]  # type: ignore[arg-type]
    several = len(found) > 1
    return [
        estimate_of(photo, one, f"{photo.name}_{k}" if several else photo.name, hand, shown, focal)
        for k, one in enumerate(found)
    ]


def find_hands(photo: Photo, mask: Bool[np.ndarray, "h w"] | None = None) -> Sequence[FoundHand]:
    """The hands of a photo, or the one under a mask.

    Raises:
        HopriorError: there are none.
    """
    name = photo.path or photo.name
    if mask is None:
        found = hand_landmarker().find(photo, MAX_HANDS)
        if not found:
            raise HopriorError(
                f"{name}: no hand found: if there is one, cut the photo closer to it, or show where it is with --mask"
            )
        return found
    under = hand_landmarker().find_under(photo, mask)
    if under is None:
        raise HopriorError(f"{name}: no hand found where the mask is white: is it the hand's mask, not the object's?")
    return [under]


def estimate_of(
    photo: Photo,
    found: FoundHand,
    name: str,
    hand: str | HandModel = "open",
    mask: Bool[np.ndarray, "h w"] | None = None,
    focal: float | None = None,
) -> HandEstimate:
    """A found hand as a posed hand model before a camera."""
    model = load_hand(hand, found.side) if isinstance(hand, str) else hand
    K = intrinsics(photo.size, focal or photo.focal)
    world = reorder_joints(torch.from_numpy(found.world).float(), "mediapipe")
    keypoints = reorder_joints(torch.from_numpy(found.points).float(), "mediapipe")
    confidence = torch.full((21,), found.presence)
    return HandEstimate(
        name=name,
        side=found.side,
        pose=pose_from_joints(model, world, confidence, K, keypoints, scale_free=True),
        K=K,
        size=photo.size,
        keypoints=keypoints,
        confidence=confidence,
        photo=photo.pixels,
        mask=mask,
        source=str(photo.path) if photo.path else None,
        notes=() if focal or photo.focal else ("focal length unknown: distance to the camera is a guess",),
    )
