"""Hands of photos, by the embedded landmarker."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from hoprior.errors import HopriorError
from hoprior.geometry.camera import intrinsics
from hoprior.hand import HandModel, load_hand, reorder_joints
from hoprior.vision.boxes import Box
from hoprior.vision.estimates.estimate import HandEstimate, pose_from_joints
from hoprior.vision.estimates.kept import KeptHands
from hoprior.vision.images import Photo, read_mask, read_photo
from hoprior.vision.landmark_offsets import joints_of
from hoprior.vision.landmarker import hand_landmarker
from hoprior.vision.occluders import look_past
from hoprior.vision.sightings import FoundHand

MAX_HANDS = 10
GUESSED = "focal length unknown: distance to the camera is a guess"
SURE = 0.45
"""Certainty below which a hand is called unsure."""
GUESS = 0.1
"""Weight of the landmarks of hidden joints, beside 1 of those that are seen: on covered and on annotated hands less was
farther from the truth, and more no nearer (benchmarks/photo_refine.py)."""


def hands_of_photo(
    path: str | Path,
    hand: str = "open",
    side: str = "auto",
    mask: str | Path | None = None,
    focal: float | None = None,
    boxes: Sequence[Box] = (),
    kept: KeptHands | None = None,
    objects: str | Path | None = None,
) -> list[HandEstimate]:
    """The hands of a photo, the surest first.

    Args:
        hand: the hand model to pose.
        side: "right" or "left" overrules what the landmarker says of every hand.
        mask: a picture of the same photo in which the hand is white: only this hand is looked for, and what it holds
            hides those of its joints that are outside.
        focal: pixels; without it the one in the file's EXIF data, else a view of 53 degrees.
        boxes: where the hands are, pixels: one is looked for in each, and nowhere else.
        kept: what was found before, and where to keep it.
        objects: a picture of the same photo in which whatever may be in front of the hand is white; without it, that
            is found by its colours.

    Raises:
        HopriorError: the photo or a mask cannot be read, or shows no hand; a mask and boxes.
    """
    photo = read_photo(path)
    shown = None if mask is None else read_mask(mask, photo.size)
    things = None if objects is None else read_mask(objects, photo.size)
    if kept is None:
        found = find_hands(photo, shown, boxes)
    else:
        how = [importlib.metadata.version("hoprior"), None if shown is None else np.packbits(shown), list(boxes)]
        found = kept.hands(Path(path), how, lambda: find_hands(photo, shown, boxes))
    if side != "auto":
        found = [replace(h, side=side, side_score=1.0) for h in found]  # type: ignore[arg-type]
    several = len(found) > 1
    return [
        seen_in_photo(photo, one, f"{photo.name}_{k}" if several else photo.name, hand, shown, focal, things)
        for k, one in enumerate(found)
    ]


def find_hands(
    photo: Photo, mask: Bool[np.ndarray, "h w"] | None = None, boxes: Sequence[Box] = ()
) -> Sequence[FoundHand]:
    """The hands of a photo, the one under a mask, or those in boxes.

    Raises:
        HopriorError: there are none; a mask and boxes.
    """
    name = photo.path or photo.name
    landmarker = hand_landmarker()
    if boxes:
        if mask is not None:
            raise HopriorError(f"{name}: a mask and a box say where the hand is: give one of them")
        return [_in_box(photo, box) for box in boxes]
    if mask is None:
        found = landmarker.find(photo, MAX_HANDS)
        if not found:
            raise HopriorError(
                f"{name}: no hand found: if there is one, show where it is with --hand-box LEFT,TOP,RIGHT,BOTTOM"
                " (pixels) or with --mask"
            )
        return found
    under = landmarker.find_under(photo, mask)
    if under is None:
        raise HopriorError(f"{name}: no hand found where the mask is white: is it the hand's mask, not the object's?")
    return [landmarker.look_again(photo, under)]


def _in_box(photo: Photo, box: Box) -> FoundHand:
    found = hand_landmarker().find_in(photo, box)
    if found is None:
        shown = ",".join(f"{corner:g}" for corner in box)
        raise HopriorError(
            f"{photo.path or photo.name}: nothing in the box {shown} looks like a hand: put it around the whole hand,"
            " hidden fingers too"
        )
    return found


def seen_in_photo(
    photo: Photo,
    found: FoundHand,
    name: str,
    hand: str | HandModel = "open",
    mask: Bool[np.ndarray, "h w"] | None = None,
    focal: float | None = None,
    objects: Bool[np.ndarray, "h w"] | None = None,
) -> HandEstimate:
    """A found hand as a posed hand model before a camera, looked for behind what is in front of it."""
    past, front = look_past(photo, found, objects=objects, mask=mask)
    past = replace(past, points=_joints(past))
    estimate = estimate_of(photo, past, name, hand, mask, focal)
    return replace(estimate, objects=front, objects_complete=objects is not None, guess=GUESS)


def _joints(found: FoundHand) -> Float[np.ndarray, "21 2"]:
    """Where a found hand's joints likelier are than its landmarks; pixels, in MediaPipe's order."""
    points = reorder_joints(torch.from_numpy(found.points), "mediapipe").numpy()
    return reorder_joints(torch.from_numpy(joints_of(points, found.side)), "mano", "mediapipe").numpy()


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
        notes=(*_doubts(found, name), *(() if focal or photo.focal else (GUESSED,))),
        presence=found.presence,
        certainty=found.certainty,
    )


def _doubts(found: FoundHand, name: str) -> tuple[str, ...]:
    if found.certainty >= SURE:
        return ()
    return (f"{name}: unsure whether this is a hand, and where its joints are (certainty {found.certainty:.2f})",)
