"""A clip of a hand with an object, as reconstruction takes it: square crops, masks, cameras and estimates of the hand.

The folder is G-HOP's and DiffHOI's: `image/ obj_mask/ hand_mask/` with a PNG or JPEG a frame, `cameras_hoi*.npz`
(cTw (N,4,4) world to camera, K_pix (N,3,3) or (N,4,4) in pixels, wTh (N,4,4) hand to world), `hands*.npz` (hA (N,45)
or (N,1,45), beta), `text.txt`; ground truth, where there is some, in `oObj.obj` and `eval_poses.npz` (hTo, cTh, jTh).
Ours adds `keypoints.npz` (j2d (N,21,2) pixels, conf (N,21), MANO order) and `clip.json` (hand, side, fps): a folder
without it holds MANO's right hand. Cameras look along +z, with +x to the right and +y down in the picture.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from hoprior.datasets.clips.files import (
    frame_picture,
    pictures,
    read_hand_files,
    read_sentence,
    read_settings,
    read_truth_files,
)
from hoprior.datasets.clips.hands import hands_of_files
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rotmat_to_rotvec
from hoprior.hand.mano import ManoHand
from hoprior.hand.pose import HandPose, mirrored_in_camera
from hoprior.hand.steadiness import filled

logger = logging.getLogger(__name__)

CROP_SIZE = 256
"""Pixels of a crop's side."""
CROP_MARGIN = 1.25
"""Side of a crop in units of what the masks cover."""
MAX_FRAMES = 40
EDGE_SLACK = 0.01
"""Masks that end so near to the picture's edge (in sides of the crop) are cut by it."""
MIN_MASK_PIXELS = 20
"""A mask with fewer pixels at crop size says nothing of where a thing is."""


@dataclass(frozen=True)
class ClipTruth:
    """Ground truth of a clip of n frames, metres. `points` are of the object's surface; `seen` in some frame."""

    mesh: trimesh.Trimesh
    T_hand_object: Float[Tensor, "n 4 4"]
    T_camera_hand: Float[Tensor, "n 4 4"]
    joints_hand: Float[Tensor, "n 21 3"]
    points: Float[Tensor, "p 3"] | None = None
    seen: Bool[Tensor, " p"] | None = None


@dataclass(frozen=True)
class Clip:
    """n frames, each cropped to a square around hand and object; metres, radians, pixels of the crops.

    Everything is of a right hand: `side` says which hand it was, and a left hand's clip is mirrored, pictures and all.

    Attributes:
        hand: name of the hand model that `hand_pose` is of.
        image: RGB.
        object_mask, hand_mask: what is seen of each, 0 to 1.
        known: 1 where these say something; 0 beyond an edge of the picture that cuts through what they show.
        has_object, has_hand: in which frames the masks (and the estimate) say anything.
        intrinsics: fx, fy, cx, cy of each crop; a pixel's centre is at half integers.
        hand_pose: estimated hands, placed in the camera's frame; a frame without one has one between its neighbours'.
        keypoints: joints in the crops, MANO order, and how sure each is (0: unknown).
        frame: number of each frame in the source.
        fps: frames a second of the source, divided by what was left out.
        notes: what was found and mended, a sentence each.
    """

    name: str
    hand: str
    side: Side
    text: str | None
    image: UInt8[np.ndarray, "n s s 3"]
    object_mask: Float[Tensor, "n s s"]
    hand_mask: Float[Tensor, "n s s"]
    known: Float[Tensor, "n s s"]
    has_object: Bool[Tensor, " n"]
    has_hand: Bool[Tensor, " n"]
    intrinsics: Float[Tensor, "n 4"]
    hand_pose: HandPose
    keypoints: Float[Tensor, "n 21 2"]
    confidence: Float[Tensor, "n 21"]
    frame: tuple[int, ...]
    fps: float = 15.0
    truth: ClipTruth | None = None
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.image)

    @property
    def T_camera_hand(self) -> Float[Tensor, "n 4 4"]:
        """Where the estimates place the hand's frame."""
        return self.hand_pose.T_target_hand


@dataclass(frozen=True)
class RawClip:
    """A clip before it is cropped: files or pictures of any size, one a frame, and what is known of each frame."""

    name: str
    hand: str
    side: Side
    text: str | None
    images: Sequence[Path | np.ndarray]
    object_masks: Sequence[Path | np.ndarray]
    hand_masks: Sequence[Path | np.ndarray]
    intrinsics: Float[np.ndarray, "n 4"]
    hand_pose: HandPose
    keypoints: Float[np.ndarray, "n 21 2"] | None = None
    confidence: Float[np.ndarray, "n 21"] | None = None
    frame: tuple[int, ...] = ()
    fps: float = 15.0
    truth: ClipTruth | None = None


def read_clip(
    folder: str | Path,
    max_frames: int = MAX_FRAMES,
    hand: str | None = None,
    hands: str | Path | None = None,
    side: str | None = None,
) -> Clip:
    """The clip in a folder; more frames than `max_frames` are thinned out evenly.

    Args:
        hand: the hand model that `hands.npz` is of, if the folder does not say so: "mano", or "open".
        hands: an estimator's files (HaMeR's, FreiHAND's; docs/refine.md) instead of `cameras_hoi.npz` and `hands.npz`;
            they are posed with `hand`, or else the open hand.
        side: of the hand, if the folder does not say so.

    Raises:
        HopriorError: a part of the folder is missing, unreadable or of another number of frames.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HopriorError(
            f"{folder}: there is no such folder: give --clip a folder with image/, obj_mask/, hand_mask/"
        )
    images = pictures(folder / "image")
    count = len(images)
    settings = read_settings(folder / "clip.json", side, hand)
    which, model = settings.side, settings.hand
    if hands is None:
        found = read_hand_files(folder, count)
        rotvec, betas, T = (torch.from_numpy(x).float() for x in (found.hand_pose, found.betas, found.T_camera_hand))
        pose, intrinsics = _placed(model, which, rotvec, betas, T), found.intrinsics
        keypoints, confidence = found.keypoints, found.confidence
    else:
        model = hand or "open"
        names = [path.stem for path in images]
        pose, keypoints, confidence, intrinsics = hands_of_files(Path(hands), model, which, names, range(count))
    raw = RawClip(
        name=folder.absolute().name,
        hand=model,
        side=which,
        text=read_sentence(folder / "text.txt"),
        images=images,
        object_masks=pictures(folder / "obj_mask", count),
        hand_masks=pictures(folder / "hand_mask", count),
        fps=settings.fps,
        truth=read_truth(folder, count),
        intrinsics=intrinsics,
        hand_pose=pose,
        keypoints=keypoints,
        confidence=confidence,
    )
    return crop_clip(raw, max_frames)


def crop_clip(raw: RawClip, max_frames: int = MAX_FRAMES, size: int = CROP_SIZE) -> Clip:
    """A clip cropped to squares of `size` pixels, thinned to at most `max_frames`, mirrored where the hand is left.

    Raises:
        HopriorError: a picture cannot be read, or no frame shows both the hand and the object.
    """
    keep = np.unique(np.linspace(0, len(raw.images) - 1, min(max_frames, len(raw.images))).round().astype(int))
    notes = []
    if len(keep) < len(raw.images):
        notes.append(f"{len(keep)} of {len(raw.images)} frames are used")
    crops = [_crop_frame(raw, i, size, notes) for i in keep.tolist()]
    image, object_mask, hand_mask, known, intrinsics, keypoints = (np.stack(part) for part in zip(*crops, strict=True))
    index = torch.from_numpy(keep)
    found = np.isfinite(keypoints).all(axis=-1)
    confidence = found.astype(np.float32) if raw.confidence is None else np.nan_to_num(raw.confidence[keep]) * found
    pose, has_pose = filled(raw.hand_pose[index])
    clip = Clip(
        name=raw.name,
        hand=raw.hand,
        side=raw.side,
        text=raw.text,
        image=image,
        object_mask=torch.from_numpy(object_mask),
        hand_mask=torch.from_numpy(hand_mask),
        known=torch.from_numpy(known),
        has_object=torch.from_numpy(object_mask.sum(axis=(1, 2)) >= MIN_MASK_PIXELS),
        has_hand=torch.from_numpy(hand_mask.sum(axis=(1, 2)) >= MIN_MASK_PIXELS) & has_pose,
        intrinsics=torch.from_numpy(intrinsics).float(),
        hand_pose=pose,
        keypoints=torch.from_numpy(np.nan_to_num(keypoints)).float(),
        confidence=torch.from_numpy(confidence).float(),
        frame=tuple(int(raw.frame[i]) if raw.frame else int(i) for i in keep),
        fps=raw.fps * len(keep) / len(raw.images),
        truth=None if raw.truth is None else _chosen_truth(raw.truth, index),
    )
    for what, has in (("object", clip.has_object), ("hand", clip.has_hand)):
        if not has.any():
            raise HopriorError(f"{raw.name}: no frame shows the {what}: check the masks and the hand estimates")
        if not has.all():
            missing = [clip.frame[i] for i in (~has).nonzero()[:, 0].tolist()]
            notes.append(f"{len(missing)} frames without the {what} ({', '.join(map(str, missing[:8]))})")
    cut = [clip.frame[i] for i in (clip.known.amin(dim=(1, 2)) < 1).nonzero()[:, 0].tolist()]
    if cut:
        notes.append(
            f"the picture's edge cuts through hand or object in {len(cut)} frames ({', '.join(map(str, cut[:8]))}):"
            " what lies beyond it is unknown there"
        )
    clip = replace(clip, notes=tuple(dict.fromkeys(notes)))
    for note in clip.notes:
        logger.info("%s: %s", raw.name, note)
    return clip


def _crop_frame(raw: RawClip, i: int, size: int, notes: list[str]) -> tuple[np.ndarray, ...]:
    """Picture, both masks (0 to 1), where they are known, intrinsics and keypoints of one frame's crop."""
    image = frame_picture(raw.images[i]).convert("RGB")
    masks = []
    for source in (raw.object_masks[i], raw.hand_masks[i]):
        mask = frame_picture(source).convert("L")
        if mask.size != image.size:
            notes.append(f"masks of {mask.size[0]}x{mask.size[1]} pixels were brought to the pictures' size")
            mask = mask.resize(image.size, Image.Resampling.NEAREST)
        masks.append(mask)
    covered = np.maximum(*(np.asarray(mask) for mask in masks)) > 127
    box = _square(covered)
    inside = Image.new("L", image.size, 255)
    crop = [picture.crop(box).resize((size, size), Image.Resampling.BOX) for picture in (image, *masks, inside)]
    scale = size / (box[2] - box[0])
    fx, fy, cx, cy = raw.intrinsics[i]
    intrinsics = np.array([fx * scale, fy * scale, (cx - box[0]) * scale, (cy - box[1]) * scale])
    points = np.full((21, 2), np.nan) if raw.keypoints is None else (raw.keypoints[i] - box[:2]) * scale
    rgb, object_mask, hand_mask, known = (np.asarray(picture) for picture in crop)
    known = np.where(_beyond_whole_edges(box, covered, size), 255, known)
    if raw.side == "left":
        rgb, object_mask, hand_mask, known = (
            np.flip(picture, axis=1) for picture in (rgb, object_mask, hand_mask, known)
        )
        intrinsics[2] = size - intrinsics[2]
        points = points * [-1, 1] + [size, 0]
    soft = [np.ascontiguousarray(mask, dtype=np.float32) / 255 for mask in (object_mask, hand_mask, known)]
    return np.ascontiguousarray(rgb), *soft, intrinsics, points


def _beyond_whole_edges(
    box: tuple[int, int, int, int], covered: Bool[np.ndarray, "h w"], size: int
) -> Bool[np.ndarray, "s s"]:
    """Pixels of a crop that lie beyond edges of the picture which what is covered does not touch: nothing is there."""
    height, width = covered.shape
    slack = max(1, round(EDGE_SLACK * (box[2] - box[0])))
    pixel = (np.arange(size) + 0.5) * (box[2] - box[0]) / size
    x, y = np.meshgrid(box[0] + pixel, box[1] + pixel)
    cut = np.zeros((size, size), dtype=bool)
    for edge, beyond in (
        (covered[:, :slack], x < 0),
        (covered[:, width - slack :], x > width),
        (covered[:slack], y < 0),
        (covered[height - slack :], y > height),
    ):
        if edge.any():
            cut |= beyond
    return ~cut


def _square(covered: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a square around what is covered; the whole picture's where nothing is."""
    rows, columns = np.nonzero(covered)
    if not len(rows):
        rows, columns = np.array([0, covered.shape[0] - 1]), np.array([0, covered.shape[1] - 1])
    centre = np.array([columns.min() + columns.max() + 1, rows.min() + rows.max() + 1]) / 2
    side = CROP_MARGIN * max(int(np.ptp(rows)), int(np.ptp(columns)), 8)
    left, top = np.floor(centre - side / 2).astype(int)
    return int(left), int(top), int(left + np.ceil(side)), int(top + np.ceil(side))


def _placed(
    hand: str,
    side: Side,
    rotvec: Float[Tensor, "n 15 3"],
    betas: Float[Tensor, "n 10"],
    T_camera_model: Float[Tensor, "n 4 4"],
) -> HandPose:
    """Right hands in the camera's frame, from parameters in the model's own axes; a left hand's camera is mirrored."""
    if hand == "mano":
        # The estimates are in the axes of MANO's file; here poses are in the hand frame's.
        model = ManoHand(side)
        rotvec = rotvec @ model.T_hand_model[:3, :3].T
        T_camera_model = T_camera_model @ torch.linalg.inv(model.T_hand_model)
    pose = HandPose(rotvec, betas, rotmat_to_rotvec(T_camera_model[:, :3, :3]), T_camera_model[:, :3, 3].contiguous())
    return pose if side == "right" else mirrored_in_camera(pose)


def _chosen_truth(truth: ClipTruth, index: Tensor) -> ClipTruth:
    names = ("T_hand_object", "T_camera_hand", "joints_hand")
    return replace(truth, **{name: getattr(truth, name)[index] for name in names})


def read_truth(folder: Path, count: int) -> ClipTruth | None:
    """Ground truth of a folder, where there is some."""
    found = read_truth_files(folder, count)
    if found is None:
        return None
    T_hand_object, T_camera_hand, joints = (
        torch.from_numpy(found.poses[name]).float() for name in ("hTo", "cTh", "jTh")
    )
    points, seen = (None if array is None else torch.from_numpy(array) for array in (found.points, found.seen))
    return ClipTruth(found.mesh, T_hand_object, T_camera_hand, joints, points, seen)
