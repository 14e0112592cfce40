"""A clip out of a sequence of HOI4D: frames of its video, 2D segmentation, refined hand poses, and the truth."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from hoprior.datasets.clips.clip import MAX_FRAMES, Clip, ClipTruth, RawClip, crop_clip
from hoprior.datasets.clips.video import chosen_frames
from hoprior.datasets.recordings.adapter import UNREADABLE, FrameSkipped
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.hoi4d import HOI4D, SIZE
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import Camera, RecordedSample
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.geometry.state import transform_points
from hoprior.hand import HandPose
from hoprior.hand.pose import mirrored_in_camera
from hoprior.vision.video import video_info

logger = logging.getLogger(__name__)


def read_hoi4d_clip(
    root: Path,
    sequence: str,
    side: str = "right",
    max_frames: int = MAX_FRAMES,
    *,
    frames: tuple[int, int] | None = None,
    hands: Hands | None = None,
) -> Clip:
    """A sequence "ZY20210800001/H1/C2/N05/S100/s02/T5" of HOI4D; the truth where object poses and CAD model are there.

    Args:
        root: the folder that HOI4D was unpacked into.
        side: of the hand.
        frames: first and last frame; the whole sequence without. Frames without a hand pose count as without a hand.
        hands: MANO's models; those that HOPRIOR_MANO_DIR names without.

    Raises:
        HopriorError: a part of the sequence is missing or damaged, or MANO's files are.
    """
    if side not in ("right", "left"):
        raise HopriorError(f"--side '{side}' is unknown: use right or left")
    which: Side = "left" if side == "left" else "right"
    adapter = HOI4D(root, hands)
    sequence = sequence.strip("/")
    try:
        entries = {int(entry.item): entry for entry in adapter.entries_of(sequence, which)}
    except (IndexError, ValueError) as error:
        raise HopriorError(
            f"--sequence '{sequence}' names no sequence: it is like ZY20210800001/H1/C2/N05/S100/s02/T5"
        ) from error
    first, last = frames or (min(entries, default=0), max(entries, default=-1))
    entries = {number: entry for number, entry in entries.items() if first <= number <= last}
    if len(entries) < 2:
        place = adapter.path("handpose", f"refinehandpose_{which}") / sequence
        raise HopriorError(f"{place}: {len(entries)} hand poses from frame {first} to {last}: a clip needs two")
    video = adapter.video(sequence)
    if not video.is_file():
        raise HopriorError(f"{video}: there is no such video: unpack HOI4D_release too")
    numbers, images, _ = chosen_frames(video, last + 1, max_frames, first)
    poses = _poses(adapter, entries, numbers, which)
    masks = [_masks(adapter, sequence, number, images[0].shape[:2]) for number in numbers]
    camera = adapter.camera(sequence.split("/")[0])
    if camera is None:
        raise HopriorError(f"{adapter.path('camera_params')}: has no intrinsics of this camera: unpack camera_params")
    raw = RawClip(
        name=sequence.replace("/", "_"),
        hand="mano",
        side=which,
        text=adapter.info(next(iter(entries.values())).object).text,
        images=images,
        object_masks=[mask[0] for mask in masks],
        hand_masks=[mask[1] for mask in masks],
        intrinsics=np.broadcast_to(_intrinsics(camera, images[0].shape[1]), (len(numbers), 4)),
        hand_pose=poses if which == "right" else mirrored_in_camera(poses),
        frame=tuple(numbers),
        fps=video_info(video).fps * len(numbers) / max(last - first + 1, 1),
        truth=_truth(adapter, entries, numbers),
    )
    return crop_clip(raw, max_frames)


def _poses(adapter: HOI4D, entries: dict[int, Entry], numbers: Sequence[int], side: Side) -> HandPose:
    """The hands of frames before the camera; NaN where there is none or its file is damaged."""
    flat = torch.full((len(numbers), 61), torch.nan)
    wrong: Exception | None = None
    for k, number in enumerate(numbers):
        if number not in entries:
            continue
        try:
            reading = adapter.hand_of(entries[number])
        except (HopriorError, *UNREADABLE) as error:
            wrong = error
            continue
        pose = adapter.hands.pose(reading)
        flat[k] = torch.cat([pose.hand_pose.flatten(), pose.betas[0], pose.global_orient[0], pose.transl[0]])
    if not bool(flat.isfinite().any()):
        raise HopriorError(f"{adapter.root}: no {side} hand pose of the chosen frames can be read ({wrong})")
    return HandPose(flat[:, :45].reshape(-1, 15, 3), flat[:, 45:55], flat[:, 55:58], flat[:, 58:])


def _masks(adapter: HOI4D, sequence: str, number: int, shape: tuple[int, int]) -> list[UInt8[np.ndarray, "h w"]]:
    """Of object and hand; empty where the frame is not segmented."""
    found = []
    for name in ("object_mask", "hand_mask"):
        file = adapter.masks(sequence, number)[name]
        found.append(255 * file.read().astype(np.uint8) if file.exists() else np.zeros(shape, dtype=np.uint8))
    return found


def _intrinsics(camera: Camera, width: int) -> Float[np.ndarray, " 4"]:
    """fx, fy, cx, cy of frames that were read at another width than the camera's."""
    K = camera.K.double().numpy() * width / (camera.size or SIZE)[0]
    return np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])


def _truth(adapter: HOI4D, entries: dict[int, Entry], numbers: Sequence[int]) -> ClipTruth | None:
    """The object and its place in the hand, where both are known in every frame."""
    samples: list[RecordedSample] = []
    for number in numbers:
        try:
            samples.append(adapter.sample(entries[number]))
        except (FrameSkipped, HopriorError, KeyError) as error:
            logger.warning("frame %d has no truth (%s): the reconstruction will not be measured", number, error)
            return None
    thing = samples[0].object
    try:
        assert thing is not None
        mesh = thing.surface()
    except HopriorError as error:
        logger.warning("the object has no true surface (%s): the reconstruction will not be measured", error)
        return None
    T_camera_hand = torch.stack([sample.T_scene_hand for sample in samples])
    joints = torch.stack([sample.joints for sample in samples])
    return ClipTruth(
        mesh=mesh,
        T_hand_object=torch.stack([sample.T_hand_object for sample in samples]),
        T_camera_hand=T_camera_hand,
        joints_hand=transform_points(torch.linalg.inv(T_camera_hand), joints),
    )
