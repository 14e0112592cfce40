"""A clip out of a plain video: hands from an estimator's files or the embedded landmarker, masks from folders or SAM 2.

The camera's focal length is not known from a video; it is taken as the longer side of the picture, which is about a
phone's, and reconstruction corrects it a little. Lengths follow from the hand, which is taken as an average one.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from hoprior.datasets.clips.clip import MAX_FRAMES, Clip, RawClip, crop_clip
from hoprior.datasets.clips.files import frame_picture, pictures
from hoprior.datasets.clips.hands import ClipHands, file_of_motion, hands_of_files, hands_of_pictures
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.priors.posture import LikelyPosture
from hoprior.priors.registry import load_prior
from hoprior.vision.mask_tracking import hand_and_object_prompts, load_tracker
from hoprior.vision.video import read_video, video_info


def read_video_clip(
    video: Path,
    hand_masks: Path | None = None,
    object_masks: Path | None = None,
    text: str | None = None,
    side: str = "right",
    max_frames: int = MAX_FRAMES,
    *,
    hands: Path | None = None,
    hand: str = "open",
    segment: str | None = None,
    object_point: tuple[float, float] | None = None,
    focal: float | None = None,
    device: str = "auto",
) -> Clip:
    """The clip in a video file.

    Args:
        hand_masks, object_masks: folders with a picture for each frame of the video, white where the thing is seen; any
            size. What is missing SAM 2 makes.
        side: of the hand.
        hands: an estimator's files (docs/refine.md), one a frame or one of all frames; the landmarker without.
        hand: the hand model that these are posed with, "open" or "mano".
        segment: name of SAM 2's weights.
        object_point: a pixel of the video that shows the object in the first frame that has a hand; between the
            fingertips without.
        focal: pixels of the video as it is read (at most 1280 a side).
        device: where SAM 2 computes: "auto", "cpu", "cuda" ...

    Raises:
        HopriorError: the video cannot be read, masks are too few, or what finds hands or masks is not there.
    """
    if side not in ("right", "left"):
        raise HopriorError(f"--side '{side}' is unknown: use right or left")
    which: Side = "left" if side == "left" else "right"
    info = video_info(video)
    given = [None if folder is None else pictures(folder) for folder in (hand_masks, object_masks)]
    # Nobody should wait for the hands to be told of what is missing for the masks.
    tracker = load_tracker(segment, device) if None in given else None
    counts = [len(files) for files in given if files is not None]
    count = min(counts, default=max(info.frames, 1))
    # Masks and files of hands are numbered as the file's own frames, but for a hand that hoprior followed.
    even = not counts and (hands is None or file_of_motion(hands) is not None)
    numbers, images, whole = chosen_frames(video, count, max_frames, even=even)
    if counts and min(counts) < whole - 1:
        raise HopriorError(f"{video}: has {whole} frames and masks for {min(counts)}: give a mask for each frame")
    masks = [None if files is None else [files[number] for number in numbers] for files in given]
    size = images[0].shape[1], images[0].shape[0]
    if hands is not None:
        found = hands_of_files(hands, hand, which, [f"{number:05d}" for number in numbers], numbers)
    else:
        hand = "open"
        under = [None] * len(images) if masks[0] is None else [_read(file, size) for file in masks[0]]
        seconds, likely = np.asarray(numbers) / max(info.fps, 1.0), LikelyPosture([(1.0, load_prior("pose"))], [None])
        found = hands_of_pictures(images, under, which, seconds, focal, likely)
    if tracker is not None:
        first = int(np.flatnonzero(np.isfinite(found.keypoints).all(axis=(1, 2)))[0])
        point = None if object_point is None else np.asarray(object_point, dtype=float)
        made = tracker(images, first, hand_and_object_prompts(found.keypoints[first], size, point))
        masks = [
            [255 * mask.astype(np.uint8) for mask in new] if old is None else old
            for old, new in zip(masks, made, strict=True)
        ]
    return crop_clip(_raw(video, text, hand, which, images, masks, numbers, found, info.fps, whole), max_frames)


def _raw(
    video: Path,
    text: str | None,
    hand: str,
    side: Side,
    images: list[UInt8[np.ndarray, "h w 3"]],
    masks: list,
    numbers: list[int],
    found: ClipHands,
    fps: float,
    whole: int,
) -> RawClip:
    return RawClip(
        name=video.stem,
        hand=hand,
        side=side,
        text=text,
        images=images,
        object_masks=masks[1],
        hand_masks=masks[0],
        intrinsics=found.intrinsics,
        hand_pose=found.pose,
        keypoints=found.keypoints,
        confidence=found.confidence,
        frame=tuple(numbers),
        fps=fps * len(images) / max(whole, 1),
    )


def chosen_frames(
    video: Path, stop: int, max_frames: int, start: int = 0, even: bool = False
) -> tuple[list[int], list[UInt8[np.ndarray, "h w 3"]], int]:
    """Numbers and pictures of a video's frames, thinned out evenly from `start` to before `stop`, and how many it has.

    The others are not kept in memory. `even` is as in `read_video`.

    Raises:
        HopriorError: the video cannot be read, or fewer than two frames of it.
    """
    keep = set(np.linspace(start, stop - 1, min(max_frames, stop - start)).round().astype(int).tolist())
    numbers, images, whole = [], [], 0
    for number, frame in enumerate(read_video(video, even)):
        whole = number + 1
        if number in keep:
            numbers.append(number)
            images.append(frame.copy())
    if len(images) < 2:
        raise HopriorError(f"{video}: {len(images)} frames can be read, a clip needs two: is the file damaged?")
    return numbers, images, whole


def _read(file: Path, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """A mask at the video's size; an empty one is that of a frame without a hand."""
    return np.asarray(frame_picture(file).convert("L").resize(size, Image.Resampling.NEAREST)) > 127
