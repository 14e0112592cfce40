"""One hand of an estimator's file, from its entries to a posed hand model before its camera."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.camera import translation_from_pixels
from hoprior.geometry.rotations import rotmat_to_rotvec
from hoprior.geometry.units import length_text
from hoprior.hand import HandModel, HandPose, load_hand, reorder_joints
from hoprior.hand.base import Side
from hoprior.hand.mano import ManoHand
from hoprior.vision.estimates.cameras import Camera, camera_of, sized
from hoprior.vision.estimates.contents import numbers_of, shaped
from hoprior.vision.estimates.estimate import MIN_JOINTS, HandEstimate, pose_from_joints, seen_at
from hoprior.vision.estimates.readings import CAMERA, MIRRORED, POOR, Axes, Listed, Reading, check_numbers, read_listed
from hoprior.vision.images import Photo, read_mask

ESTIMATOR_ORDER = "openpose"
"""Order of joints in HaMeR's and WiLoR's outputs; FreiHAND's is the same."""
MAX_HAND = 0.5
"""Metres; joints that span more are in another unit."""
MIN_HAND = 0.02
SHARES = 1.5
"""Keypoints none of which is above this are no pixels."""
SIDES: Mapping[str, Side] = {
    "right": "right",
    "r": "right",
    "right_hand": "right",
    "rhand": "right",
    "1": "right",
    "left": "left",
    "l": "left",
    "left_hand": "left",
    "lhand": "left",
    "0": "left",
}


@dataclass(frozen=True)
class Beside:
    """What belongs to a hand beside its entries: photo, masks, the model to pose, and the side that the user says."""

    photo: Photo | None = None
    mask: Path | None = None
    objects: Path | None = None
    hand: str = "open"
    side: str = "auto"


@dataclass(frozen=True)
class Points:
    """What a file's entries say of 21 joints, in hoprior's order."""

    joints: Float[Tensor, "21 3"] | None
    pixels: Float[Tensor, "21 2"] | None
    confidence: Float[Tensor, "21"]
    cam_t: Float[Tensor, "3"] | None
    notes: tuple[str, ...]

    def known(self) -> Bool[Tensor, "21"]:
        """The joints that count."""
        known = self.confidence > 0
        if self.joints is not None:
            known = known & self.joints.isfinite().all(dim=-1)
        return known if self.pixels is None else known & self.pixels.isfinite().all(dim=-1)


def estimate_of_entries(item: dict[str, Any], name: str, file: Path, beside: Beside) -> HandEstimate:
    """A hand of a file.

    Raises:
        HopriorError: it cannot be used; the sentence says why.
    """
    said = _side(item, beside.side, file)
    photo = beside.photo
    size = photo.size if photo else _size(item, file)
    points = _points(item, size, file)
    ways = _placed_ways(points, said)
    camera = camera_of(item, size, photo.focal if photo else None, ways, points.pixels, file)
    reading, notes = _reading(item, points, said, camera, file)
    side = reading.side if reading else said or "right"
    model = load_hand(beside.hand, side)
    pose, more = _pose(item, model, reading, points, camera, file)
    own = seen_at(model, pose, camera.K)
    keypoints = own if points.pixels is None else points.pixels
    known = keypoints.isfinite().all(dim=-1) & (points.confidence > 0)
    occluded = None
    if "occluded" in item:
        flags = torch.from_numpy(shaped(item["occluded"], (21,), "occluded", file))[:, None]
        occluded = reorder_joints(flags, _order(item))[:, 0] > 0.5
    told = (*points.notes, *camera.notes, *notes, *more)
    return HandEstimate(
        name=name,
        side=side,
        pose=pose,
        K=camera.K,
        size=camera.size,
        keypoints=torch.where(known[:, None], keypoints, own),
        confidence=torch.where(known, points.confidence, 0.0),
        photo=photo.pixels if photo else None,
        mask=read_mask(beside.mask, camera.size) if beside.mask is not None else None,
        objects=read_mask(beside.objects, camera.size) if beside.objects is not None else None,
        objects_complete=beside.objects is not None,
        occluded=occluded,
        text=str(item["text"]) if "text" in item else None,
        source=str(file),
        notes=tuple(f"{name}: {note}" for note in told),
        frame=_frame(item),
    )


def _frame(item: dict[str, Any]) -> int | None:
    """The number of the video's frame, if that is what the entry has; others name their frames."""
    said = np.asarray(item.get("frame"))
    return int(said) if said.ndim == 0 and np.issubdtype(said.dtype, np.integer) else None


def _order(item: dict[str, Any]) -> str:
    return str(np.asarray(item.get("order", ESTIMATOR_ORDER)))


def _points(item: dict[str, Any], size: tuple[int, int] | None, file: Path) -> Points:
    order, notes = _order(item), []
    confidence = torch.ones(21)
    if "confidence" in item:
        raw = torch.from_numpy(shaped(item["confidence"], (21,), "confidence", file))[:, None]
        confidence = reorder_joints(raw, order)[:, 0].nan_to_num(0.0).clamp(0.0, 1.0)
    pixels = None
    if "keypoints" in item:
        raw = torch.from_numpy(shaped(item["keypoints"], (21, -1), "2D keypoints", file))
        if raw.shape[1] not in (2, 3):
            raise HopriorError(f"{file}: 2D keypoints have the shape {tuple(raw.shape)}: give 21 x 2")
        pixels = reorder_joints(raw, order)[:, :2]
        if float(pixels.abs().nan_to_num().max()) <= SHARES:
            if "cam_t" in item:
                pixels = None
                notes.append("the 2D keypoints are in the estimator's crop, not in the picture: left out")
            elif size is None:
                raise HopriorError(f"{file}: the 2D keypoints are shares of the picture: give pixels, or img_size")
            else:
                pixels = pixels * torch.tensor(size, dtype=torch.float32)
                notes.append("the 2D keypoints are taken as shares of the picture's sides")
    cam_t = torch.from_numpy(shaped(item["cam_t"], (3,), "cam_t_full", file)) if "cam_t" in item else None
    if "joints" not in item:
        return Points(None, pixels, confidence, cam_t, tuple(notes))
    listed = torch.from_numpy(shaped(item["joints"], (21, 3), "3D joints", file))
    joints = reorder_joints(listed, order)
    points = Points(joints, pixels, confidence, cam_t, ())
    known = points.known()
    try:
        rank = reorder_joints(torch.arange(21)[:, None], order)[:, 0]
        notes += check_numbers(listed, order, torch.zeros_like(known).scatter(0, rank, known))
    except HopriorError as error:
        raise HopriorError(f"{file}: {error}") from error
    spans = joints[known]
    span = float((spans.amax(dim=0) - spans.amin(dim=0)).max()) if len(spans) else 0.0
    if len(spans) and not MIN_HAND < span < MAX_HAND:
        raise HopriorError(f"{file}: the joints span {length_text(span)}, which no hand does: are they in metres?")
    return Points(joints, pixels, confidence, cam_t, tuple(notes))


def _ways(points: Points, side: Side | None) -> list[Axes]:
    return [CAMERA, MIRRORED] if points.cam_t is not None and side == "left" else [CAMERA]


def _placed_ways(points: Points, side: Side | None) -> Float[Tensor, "n 21 3"]:
    """The joints before the camera, in each way in which an estimator may list them."""
    if points.joints is None:
        return torch.zeros(0, 21, 3)
    moved = torch.zeros(3) if points.cam_t is None else points.cam_t
    return torch.stack([points.joints * torch.tensor(way.signs) + moved for way in _ways(points, side)])


def _reading(
    item: dict[str, Any], points: Points, side: Side | None, camera: Camera, file: Path
) -> tuple[Reading | None, tuple[str, ...]]:
    """The joints in the camera's axes, if there are enough to tell."""
    known = points.known()
    if points.joints is None or int(known.sum()) < MIN_JOINTS:
        return None, ()
    listed = Listed(
        torch.where(known[:, None], points.joints, 0.0),
        known,
        side,
        camera.K,
        None if points.pixels is None else torch.where(known[:, None], points.pixels, 0.0),
        points.cam_t,
        bool(item.get("mirrored_back", False)),
        _order(item),
    )
    try:
        reading = read_listed(listed)
    except HopriorError as error:
        raise HopriorError(f"{file}: {error}") from error
    return reading, reading.notes


def _pose(
    item: dict[str, Any], model: HandModel, reading: Reading | None, points: Points, camera: Camera, file: Path
) -> tuple[HandPose, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if isinstance(model, ManoHand) and "hand_pose" in item:
        pose, miss = _mano_pose(item, model, reading, points, camera, file)
        if miss <= POOR:
            return pose, ()
        notes = (f"MANO's parameters miss the file's joints by {length_text(miss, 2)}: fitted to the joints",)
    if points.joints is None:
        raise HopriorError(
            f"{file}: has MANO's parameters but no 3D joints: save keypoints_3d too, or give --hand mano with your MANO"
            " files"
        )
    known = points.known()
    joints = points.joints if reading is None else reading.joints
    if reading is not None and not reading.placed and points.pixels is None:
        raise HopriorError(
            f"{file}: the joints are not before the camera: give 2D keypoints (uv), or joints in its frame"
        )
    confidence = torch.where(known, points.confidence, 0.0)
    seen = points.pixels if reading is not None and not reading.placed else None
    try:
        return pose_from_joints(model, joints, confidence, camera.K, seen), notes
    except HopriorError as error:
        raise HopriorError(f"{file}: {error}") from error


def _mano_pose(
    item: dict[str, Any], model: ManoHand, reading: Reading | None, points: Points, camera: Camera, file: Path
) -> tuple[HandPose, float]:
    """MANO's own parameters, rotation matrices or axis-angles of the flat hand, and metres by which they miss joints.

    A left hand's may be those of the mirrored crop, or may have been mirrored back, whatever its joints are.
    """
    orient = _rotvecs(item.get("global_orient", np.zeros(3)), 1, file)
    fingers = _rotvecs(item["hand_pose"], 15, file)
    betas = torch.from_numpy(shaped(item.get("betas", np.zeros(10)), (10,), "betas", file))
    as_they_are, mirrored = torch.ones(3), torch.tensor([1.0, -1.0, -1.0])
    ways = [as_they_are]
    if model.side == "left" and points.cam_t is not None:
        ways = [as_they_are, mirrored] if item.get("mirrored_back") else [mirrored, as_they_are]
    known = points.known()
    found = []
    for signs in ways:
        transl = torch.zeros(3) if points.cam_t is None else points.cam_t
        pose = model.from_smplx(
            (fingers * signs).reshape(1, 45), betas[None], (orient * signs).reshape(1, 3), transl[None]
        )
        joints = model.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)[0]
        if points.cam_t is None:
            moved = _to_its_place(joints, reading, points, camera, file)
            pose, joints = replace(pose, transl=pose.transl + moved), joints + moved
        if reading is None or not reading.placed:
            return pose, 0.0
        found.append((pose, float((joints - reading.joints)[known].norm(dim=-1).mean())))
    return min(found, key=lambda one: one[1])


def _to_its_place(
    joints: Float[Tensor, "21 3"], reading: Reading | None, points: Points, camera: Camera, file: Path
) -> Float[Tensor, "3"]:
    """Where to move a hand whose parameters do not say where it is."""
    known = points.known()
    if reading is not None and reading.placed:
        return (reading.joints - joints)[known].mean(dim=0)
    if points.pixels is None:
        raise HopriorError(f"{file}: does not say where the hand is: give cam_t_full, or 2D keypoints (uv)")
    pixels = torch.where(known[:, None], points.pixels, 0.0)
    return translation_from_pixels(joints[None], pixels[None], camera.K[None], known[None].float())[0]


def _rotvecs(value: Any, count: int, file: Path) -> Float[Tensor, "n 3"]:
    numbers = numbers_of(value, "rotations", file)
    if numbers.size == 9 * count:
        return rotmat_to_rotvec(torch.from_numpy(numbers.reshape(count, 3, 3)))
    if numbers.size != 3 * count:
        raise HopriorError(f"{file}: {numbers.size} numbers for {count} rotations: give 3x3 matrices or axis-angles")
    return torch.from_numpy(numbers.reshape(count, 3))


def _side(item: dict[str, Any], wanted: str, file: Path) -> Side | None:
    """The side that the user or the file says."""
    if wanted != "auto":
        return SIDES[wanted]
    if "side" in item:
        side = str(np.asarray(item["side"]).reshape(-1)[0]).lower()
        if side not in SIDES:
            raise HopriorError(f"{file}: side '{side}' is unknown: right or left")
        return SIDES[side]
    if "is_right" in item:
        is_right = float(numbers_of(item["is_right"], "is_right", file).reshape(-1)[0])
        if is_right not in (0.0, 1.0):
            raise HopriorError(f"{file}: is_right is {is_right:g}: give 1 for a right hand, 0 for a left one")
        return "right" if is_right else "left"
    return None


def _size(item: dict[str, Any], file: Path) -> tuple[int, int] | None:
    """Width and height, as the estimators list them."""
    if "size" not in item:
        return None
    numbers = numbers_of(item["size"], "img_size", file).reshape(-1)
    if len(numbers) != 2 or not bool((numbers >= 1).all()) or not bool(np.isfinite(numbers).all()):
        raise HopriorError(f"{file}: img_size is {numbers.tolist()}: give width and height, pixels")
    return sized(float(numbers[0]), float(numbers[1]), file)
