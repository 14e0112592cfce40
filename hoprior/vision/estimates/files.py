"""Estimates from files: parameters of HaMeR and WiLoR, keypoints as FreiHAND has them, whole folders; docs/refine.md.

A damaged item costs that item: it comes back as `Skipped`, with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.camera import intrinsics
from hoprior.hand import HandModel, HandPose, load_hand, reorder_joints
from hoprior.hand.mano import ManoHand
from hoprior.vision.boxes import Box, read_boxes
from hoprior.vision.estimates.contents import hands_in, numbers_of, shaped
from hoprior.vision.estimates.estimate import HandEstimate, Skipped, pose_from_joints, seen_at
from hoprior.vision.estimates.kept import KeptHands
from hoprior.vision.estimates.photos import hands_of_photo
from hoprior.vision.images import read_mask, read_photo

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
ESTIMATE_SUFFIXES = (".npz", ".json")
ESTIMATOR_ORDER = "openpose"
"""Order of joints in HaMeR's and WiLoR's outputs; FreiHAND's is the same."""
MAX_HAND = 0.5
"""Metres; joints that span more are in another unit."""
MIN_HAND = 0.02
IN_FRONT = 0.05
"""Depth (m) from which joints are taken to be in the camera's frame rather than relative to the wrist."""

Boxes: TypeAlias = Sequence[Box] | Mapping[str, Sequence[Box]]
"""Of the hands of one photo, or of many, by their names."""


class Reading(NamedTuple):
    """How files are read; see `read_estimates`."""

    hand: str = "open"
    side: str = "auto"
    image: Path | None = None
    mask: Path | None = None
    focal: float | None = None
    boxes: Boxes = ()
    kept: KeptHands | None = None
    object_mask: Path | None = None


def read_estimates(
    path: str | Path,
    *,
    hand: str = "open",
    side: str = "auto",
    image: str | Path | None = None,
    mask: str | Path | None = None,
    focal: float | None = None,
    hand_box: str | Boxes = (),
    keep: str | Path | None = None,
    object_mask: str | Path | None = None,
) -> tuple[list[HandEstimate], list[Skipped]]:
    """The hands of a file or of all files in a folder, and what could not be used.

    Args:
        path: a photo; an .npz of an estimator's parameters or of keypoints; a .json of keypoints; or a folder of such.
        hand: the hand model to pose, "open" or "mano".
        side: overrules what the files say.
        image: the photo of an .npz or .json file that names none; with a folder, a folder of photos with its names.
        mask: the same for masks.
        focal: of photos, pixels.
        hand_box: where the hands of a photo are (left, top, right, bottom; pixels): boxes, or boxes by the photos'
            names, or what `hoprior.vision.boxes.read_boxes` reads. Photos without a name there are searched.
        keep: a folder where the hands of each photo of a folder are kept as they are found; a later call with the same
            goes on from there.
        object_mask: the same as `mask`, for masks of what may be in front of hands.

    Raises:
        HopriorError: there is nothing at `path`, or nothing of it can be used; boxes for a folder, without names.
    """
    path = Path(path)
    if side not in ("auto", "right", "left"):
        raise HopriorError(f"--side '{side}' is unknown: use auto, right or left")
    if focal is not None and not 0 < focal < np.inf:
        raise HopriorError(f"--focal {focal:g}: give the focal length in pixels, more than 0")
    boxes = read_boxes(hand_box) if isinstance(hand_box, str) else hand_box
    if path.is_dir() and boxes and not isinstance(boxes, Mapping):
        raise HopriorError(
            f"{path}: one box does not fit a folder of photos: give a .json file of boxes by their names"
        )
    kept = KeptHands(keep) if keep is not None and path.is_dir() else None
    places = Reading(hand, side, Path(image) if image else None, Path(mask) if mask else None, focal, boxes or (), kept)
    places = places._replace(object_mask=Path(object_mask) if object_mask else None)
    if not path.exists():
        raise HopriorError(f"{path}: there is no such file or folder")
    files = _files_of(path) if path.is_dir() else [path]
    estimates: list[HandEstimate] = []
    skipped: list[Skipped] = []
    for file in files:
        try:
            own = _of_file(places, file) if path.is_dir() else places
            for item in _read_file(file, own):
                if isinstance(item, Skipped):
                    skipped.append(item)
                elif places.mask is not None and own.mask is None:
                    note = f"{file.name}: {places.mask} has no mask named {file.stem}"
                    estimates.append(replace(item, notes=(*item.notes, note)))
                else:
                    estimates.append(item)
        except HopriorError as error:
            skipped.append(Skipped(file.name, str(error)))
    if not estimates:
        reasons = "; ".join(dict.fromkeys(item.reason for item in skipped))
        raise HopriorError(reasons or f"{path}: no photos, .npz or .json files in it")
    return _with_unique_names(estimates), skipped


def _files_of(folder: Path) -> list[Path]:
    suffixes = (*PHOTO_SUFFIXES, *ESTIMATE_SUFFIXES)
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.stem.endswith("_K"))


def _of_file(places: Reading, file: Path) -> Reading:
    """The photo and the masks of one of many files: those with its name."""
    return places._replace(
        image=_namesake(places.image, file),
        mask=_namesake(places.mask, file),
        object_mask=_namesake(places.object_mask, file),
    )


def _namesake(place: Path | None, file: Path) -> Path | None:
    """The picture in a folder that is called as a file; a picture that is no folder stands for all."""
    if place is None or not place.is_dir():
        return place
    same = sorted(p for p in place.glob(f"{file.stem}.*") if p.suffix.lower() in PHOTO_SUFFIXES)
    return same[0] if same else None


def _read_file(file: Path, places: Reading) -> Iterator[HandEstimate | Skipped]:
    if file.suffix.lower() in PHOTO_SUFFIXES:
        boxes = places.boxes
        if isinstance(boxes, Mapping):
            boxes = boxes.get(file.name, boxes.get(file.stem, ()))
        yield from hands_of_photo(
            file, places.hand, places.side, places.mask, places.focal, boxes, places.kept, places.object_mask
        )
        return
    if file.suffix.lower() not in ESTIMATE_SUFFIXES:
        raise HopriorError(f"{file}: not a photo, an .npz or a .json file")
    items = hands_in(file)
    for k, item in enumerate(items):
        name = f"{file.stem}_{k}" if len(items) > 1 else file.stem
        try:
            yield _estimate(item, name, file, places)
        except HopriorError as error:
            yield Skipped(name, str(error))


def _estimate(item: dict[str, Any], name: str, file: Path, places: Reading) -> HandEstimate:
    """One hand of a file.

    Raises:
        HopriorError: it cannot be used; the sentence says why.
    """
    side = _side(item, places.side, file)
    photo_path = _beside(item.get("image"), file) or places.image
    mask_path = _beside(item.get("mask"), file) or places.mask
    photo = read_photo(photo_path) if photo_path is not None and photo_path.is_file() else None
    size = photo.size if photo else _size(item, file)
    K = _camera(item, size, photo.focal if photo else None, file)
    size = size or (round(2 * float(K[0, 2])), round(2 * float(K[1, 2])))
    model = load_hand(places.hand, side)
    order = str(np.asarray(item.get("order", ESTIMATOR_ORDER)))
    keypoints = None
    if "keypoints" in item:
        raw = torch.from_numpy(shaped(item["keypoints"], (21, -1), "2D keypoints", file))
        keypoints = reorder_joints(raw, order)[:, :2]
    confidence = torch.ones(21)
    if "confidence" in item:
        confidence = reorder_joints(
            torch.from_numpy(shaped(item["confidence"], (21,), "confidence", file))[:, None], order
        )
        confidence = confidence[:, 0].nan_to_num(0.0).clamp(0.0, 1.0)
    pose = _pose(item, model, side, K, keypoints, confidence, order, file)
    own = seen_at(model, pose, K)
    if keypoints is None:
        keypoints = own
    known = keypoints.isfinite().all(dim=-1) & (confidence > 0)
    occluded = None
    if "occluded" in item:
        flags = torch.from_numpy(shaped(item["occluded"], (21,), "occluded", file))[:, None]
        occluded = reorder_joints(flags, order)[:, 0] > 0.5
    return HandEstimate(
        name=name,
        side=side,
        pose=pose,
        K=K,
        size=size,
        keypoints=torch.where(known[:, None], keypoints, own),
        confidence=torch.where(known, confidence, 0.0),
        photo=photo.pixels if photo else None,
        mask=read_mask(mask_path, size) if mask_path is not None else None,
        objects=read_mask(places.object_mask, size) if places.object_mask is not None else None,
        objects_complete=places.object_mask is not None,
        occluded=occluded,
        text=str(item["text"]) if "text" in item else None,
        source=str(file),
    )


def _pose(
    item: dict[str, Any],
    model: HandModel,
    side: str,
    K: Float[Tensor, "3 3"],
    keypoints: Float[Tensor, "21 2"] | None,
    confidence: Float[Tensor, "21"],
    order: str,
    file: Path,
) -> HandPose:
    is_estimators = "cam_t" in item
    if isinstance(model, ManoHand) and "hand_pose" in item:
        return _mano_pose(item, model, side, file)
    if "joints" not in item:
        raise HopriorError(
            f"{file}: has MANO's parameters but no 3D joints: save keypoints_3d too, or give --hand mano with your MANO"
            " files"
        )
    joints = torch.from_numpy(shaped(item["joints"], (21, 3), "3D joints", file))
    if is_estimators:
        # A left hand is estimated in a mirrored crop.
        joints = joints * torch.tensor([1.0 if side == "right" else -1.0, 1.0, 1.0])
        joints = joints + torch.from_numpy(shaped(item["cam_t"], (3,), "cam_t_full", file))
    joints = reorder_joints(joints, order)
    known = joints[joints.isfinite().all(dim=-1)]
    span = float((known.amax(dim=0) - known.amin(dim=0)).max()) if len(known) else 0.0
    if len(known) and not MIN_HAND < span < MAX_HAND:
        raise HopriorError(f"{file}: the joints span {span:.3g} m, which no hand does: are they in metres?")
    in_camera = bool((known[:, 2] > IN_FRONT).all()) if len(known) else False
    if not in_camera and keypoints is None:
        raise HopriorError(
            f"{file}: the joints are not before the camera: give 2D keypoints (uv), or joints in its frame"
        )
    return pose_from_joints(model, joints, confidence, K, None if in_camera else keypoints)


def _mano_pose(item: dict[str, Any], model: ManoHand, side: str, file: Path) -> HandPose:
    """MANO's own parameters: rotation matrices, or axis-angles of the flat hand."""
    orient = _rotvecs(item.get("global_orient", np.zeros(3)), 1, file)
    fingers = _rotvecs(item["hand_pose"], 15, file)
    if side == "left" and "cam_t" in item:
        mirror = torch.tensor([1.0, -1.0, -1.0])
        orient, fingers = orient * mirror, fingers * mirror
    betas = torch.from_numpy(shaped(item.get("betas", np.zeros(10)), (10,), "betas", file))
    transl = torch.from_numpy(shaped(item.get("cam_t", np.zeros(3)), (3,), "cam_t_full", file))
    return model.from_smplx(fingers.reshape(1, 45), betas[None], orient.reshape(1, 3), transl[None])


def _rotvecs(value: Any, count: int, file: Path) -> Float[Tensor, "n 3"]:
    numbers = numbers_of(value, "rotations", file)
    if numbers.size == 9 * count:
        return roma.rotmat_to_rotvec(torch.from_numpy(numbers.reshape(count, 3, 3)))
    if numbers.size != 3 * count:
        raise HopriorError(f"{file}: {numbers.size} numbers for {count} rotations: give 3x3 matrices or axis-angles")
    return torch.from_numpy(numbers.reshape(count, 3))


def _side(item: dict[str, Any], wanted: str, file: Path) -> Any:
    if wanted != "auto":
        return wanted
    if "side" in item:
        side = str(np.asarray(item["side"]).reshape(-1)[0]).lower()
        if side not in ("right", "left"):
            raise HopriorError(f"{file}: side '{side}' is unknown: right or left")
        return side
    if "is_right" in item:
        return "right" if float(np.asarray(item["is_right"]).reshape(-1)[0]) > 0.5 else "left"
    return "right"


def _size(item: dict[str, Any], file: Path) -> tuple[int, int] | None:
    """Width and height, as the estimators list them."""
    if "size" not in item:
        return None
    numbers = numbers_of(item["size"], "img_size", file).reshape(-1)
    if len(numbers) != 2 or not bool((numbers >= 1).all()) or not bool(np.isfinite(numbers).all()):
        raise HopriorError(f"{file}: img_size is {numbers.tolist()}: give width and height, pixels")
    width, height = numbers.tolist()
    return round(width), round(height)


def _camera(
    item: dict[str, Any], size: tuple[int, int] | None, focal: float | None, file: Path
) -> Float[Tensor, "3 3"]:
    if "K" in item:
        K = torch.from_numpy(shaped(item["K"], (3, 3), "K", file))
        if not bool((K[[0, 1], [0, 1]] > 0).all()):
            raise HopriorError(f"{file}: K has no positive focal lengths: give 3x3 intrinsics in pixels")
        return K
    if size is None:
        raise HopriorError(f"{file}: says neither K nor img_size, and has no photo: give one of them")
    if "focal" in item:
        focal = float(numbers_of(item["focal"], "focal_length", file).reshape(-1)[0])
        if not 0 < focal < np.inf:
            raise HopriorError(f"{file}: focal_length is {focal:g}: give pixels, more than 0")
    return intrinsics(size, focal)


def _beside(path: Any, file: Path) -> Path | None:
    """A file that another one names, relative to it."""
    if path is None:
        return None
    named = Path(str(np.asarray(path)))
    return named if named.is_absolute() else file.parent / named


def _with_unique_names(estimates: list[HandEstimate]) -> list[HandEstimate]:
    seen: dict[str, int] = {}
    named = []
    for item in estimates:
        count = seen.get(item.name, 0)
        seen[item.name] = count + 1
        named.append(replace(item, name=f"{item.name}_{count}") if count else item)
    return named
