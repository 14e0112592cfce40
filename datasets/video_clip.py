"""A clip out of a plain video: masks from folders or from SAM 2, the hand from MediaPipe's landmarks.

The camera's focal length is not known from a video; it is taken as the longer side of the picture, which is about a
phone's, and reconstruction corrects it a little. Lengths follow from the hand, which is taken as an average one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from hoprior.datasets.clip import IMAGE_ENDINGS, MAX_FRAMES, Clip, RawClip, crop_clip, mirrored_in_camera
from hoprior.datasets.sample import Side
from hoprior.errors import HopriorError
from hoprior.hand import HandPose, fit_joints, load_hand, reorder_joints
from hoprior.video import read_video, video_info

MODEL_FILE = "hand_landmarker.task"


def read_video_clip(
    video: Path,
    hand_masks: Path | None,
    object_masks: Path | None,
    text: str | None,
    side: str = "right",
    max_frames: int = MAX_FRAMES,
) -> Clip:
    """The clip in a video file.

    Args:
        hand_masks, object_masks: folders with a picture for each frame of the video, white where the thing is seen; any
            size.
        side: of the hand.

    Raises:
        HopriorError: the video cannot be read, masks are missing or too few, or what finds hands is not installed.
    """
    if side not in ("right", "left"):
        raise HopriorError(f"--side '{side}' is unknown: use right or left")
    info = video_info(video)
    masks = [_mask_files(folder, name) for folder, name in ((hand_masks, "hand"), (object_masks, "object"))]
    detector = _detector()
    frames = list(_chosen(video, min(len(files) for files in masks), max_frames))
    numbers = [number for number, _ in frames]
    images = [frame for _, frame in frames]
    found = [detector(image) for image in images]
    if not any(one is not None for one in found):
        raise HopriorError(f"{video}: no hand is found in any frame: is it in the picture, and not gloved?")
    height, width = images[0].shape[:2]
    intrinsics = np.array([max(width, height), max(width, height), width / 2, height / 2], dtype=float)
    pose, keypoints = placed_hands(found, intrinsics, "left" if side == "left" else "right")
    raw = RawClip(
        name=video.stem,
        hand="open",
        side="left" if side == "left" else "right",
        text=text,
        images=images,
        object_masks=[masks[1][number] for number in numbers],
        hand_masks=[masks[0][number] for number in numbers],
        intrinsics=np.broadcast_to(intrinsics, (len(images), 4)),
        hand_pose=pose,
        keypoints=keypoints,
        frame=tuple(numbers),
        fps=info.fps * len(images) / max(len(masks[0]), 1),
    )
    return crop_clip(raw, max_frames)


def placed_hands(
    found: Sequence[tuple[np.ndarray, np.ndarray] | None], intrinsics: Float[np.ndarray, " 4"], side: Side
) -> tuple[HandPose, Float[np.ndarray, "n 21 2"]]:
    """Right hands before the camera, from landmarks: pixels (21, 2) and metres about the hand (21, 3), MANO order.

    A hand is fitted to the metric landmarks and moved to where its joints meet the pixels. A frame without a hand has
    NaN in both; a left hand is mirrored with its picture.
    """
    model = load_hand("open", side)
    n = len(found)
    flat = torch.full((n, 61), torch.nan)
    keypoints = np.full((n, 21, 2), np.nan)
    known = [i for i, one in enumerate(found) if one is not None]
    joints = torch.stack([torch.from_numpy(found[i][1]).float() for i in known])  # type: ignore[index]
    pose = fit_joints(model, joints).pose
    local = model.joints_only(pose.hand_pose, pose.betas, pose.global_orient)
    for k, i in enumerate(known):
        pixels = found[i][0]  # type: ignore[index]
        keypoints[i] = pixels
        transl = torch.from_numpy(translation(local[k].double().numpy(), pixels, intrinsics)).float()
        flat[i] = torch.cat([pose.hand_pose[k].flatten(), pose.betas[k], pose.global_orient[k], transl])
    placed = HandPose(flat[:, :45].reshape(n, 15, 3), flat[:, 45:55], flat[:, 55:58], flat[:, 58:])
    if side == "right":
        return placed, keypoints
    # NaN go through rotation matrices as they come.
    return mirrored_in_camera(placed), keypoints


def translation(
    joints: Float[np.ndarray, "21 3"], pixels: Float[np.ndarray, "21 2"], intrinsics: Float[np.ndarray, " 4"]
) -> Float[np.ndarray, " 3"]:
    """Where joints of known shape and direction have to be so that a camera sees them at `pixels`: least squares.

    u z = fx x + cx z is linear in the translation.
    """
    ray = (pixels - intrinsics[2:]) / intrinsics[:2]
    rows, values = [], []
    for k in range(2):
        row = np.zeros((21, 3))
        row[:, k], row[:, 2] = 1.0, -ray[:, k]
        rows.append(row)
        values.append(ray[:, k] * joints[:, 2] - joints[:, k])
    return np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]


def _chosen(video: Path, count: int, max_frames: int) -> list[tuple[int, UInt8[np.ndarray, "h w 3"]]]:
    """Frames of a video that have masks, thinned out evenly, with their numbers; the others are not kept in memory."""
    keep = set(np.linspace(0, count - 1, min(max_frames, count)).round().astype(int).tolist())
    found = []
    for number, frame in enumerate(read_video(video)):
        if number in keep:
            found.append((number, frame.copy()))
        if number >= count:
            break
    if not found:
        raise HopriorError(f"{video}: holds no frames that can be read: is the file damaged?")
    return found


def _mask_files(folder: Path | None, what: str) -> list[Path]:
    if folder is None:
        raise HopriorError(
            f"a video needs masks: give --{what}-masks a folder with a picture for each frame (white where the {what}"
            " is), made with SAM 2 or by hand"
        )
    files = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    if not files:
        raise HopriorError(f"{folder}: holds no PNG or JPEG: --{what}-masks takes a picture for each frame")
    return files


def _detector() -> Any:
    """A function from a picture to its hand's landmarks (pixels, metres; MANO order); None where there is no hand."""
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise HopriorError(
            "a plain video needs hand landmarks, and mediapipe is not installed: pip install mediapipe, or make a clip"
            " folder with another estimator's hands (docs/reconstruct.md) and use --clip"
        ) from error
    path = _landmark_model()
    options = vision.HandLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(path)), num_hands=1)
    landmarker = vision.HandLandmarker.create_from_options(options)

    def detect(image: UInt8[np.ndarray, "h w 3"]) -> tuple[np.ndarray, np.ndarray] | None:
        result = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
        if not result.hand_landmarks:
            return None
        size = np.array([image.shape[1], image.shape[0]])
        pixels = np.array([[point.x, point.y] for point in result.hand_landmarks[0]]) * size
        metres = np.array([[point.x, point.y, point.z] for point in result.hand_world_landmarks[0]])
        ordered = (reorder_joints(torch.from_numpy(array), "mediapipe") for array in (pixels, metres))
        first, second = (part.numpy() for part in ordered)
        return first, second

    return detect


def _landmark_model() -> Path:
    """MediaPipe's model file: HOPRIOR_HAND_LANDMARKER, or beside the package's other assets."""
    import os
    from importlib.resources import files

    for path in (os.environ.get("HOPRIOR_HAND_LANDMARKER"), str(files("hoprior") / "assets" / MODEL_FILE)):
        if path and Path(path).is_file():
            return Path(path)
    raise HopriorError(
        f"MediaPipe's {MODEL_FILE} is missing: download it from Google's MediaPipe page and name it in"
        " HOPRIOR_HAND_LANDMARKER, or make a clip folder and use --clip"
    )
