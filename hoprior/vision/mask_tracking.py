"""Masks of a hand and of what it holds, through a video, from SAM 2."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8

from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.vision.masks import PROMPTS, box_around
from hoprior.vision.sam2 import SAM2, Prompt, VideoModel

PINCH = tuple(JOINT_NAMES.index(name) for name in ("thumb_tip", "index_tip", "middle_tip"))
"""What is held is most often seen between these."""

Tracker: TypeAlias = Callable[
    [Sequence[UInt8[np.ndarray, "h w 3"]], int, Sequence[Prompt]], Sequence[Bool[np.ndarray, "n h w"]]
]
"""Frames, the number of the one that is prompted, and a prompt a thing; gives each thing's masks in all frames."""


def load_tracker(name: str | None = None, device: str = "auto") -> Tracker:
    """SAM 2 for videos by its name on the Hugging Face hub, or by a folder, on a device.

    Raises:
        HopriorError: transformers is not installed, or the weights or the device cannot be had.
    """
    try:
        return VideoModel(name or SAM2, device).masks
    except HopriorError as error:
        raise HopriorError(
            "a video needs masks: give --hand-masks and --object-masks (folders with a picture for each frame, white"
            f" where the thing is seen), or SAM 2, which makes them: {error}"
        ) from error


def hand_and_object_prompts(
    keypoints: Float[np.ndarray, "21 2"],
    size: tuple[int, int],
    object_point: Float[np.ndarray, " 2"] | None = None,
) -> tuple[Prompt, Prompt]:
    """Prompts for a hand, by its joints, and for what it holds: a pixel of it, or else the middle of the pinch.

    Example:
        >>> keypoints = np.tile(np.linspace(100.0, 200.0, 21)[:, None], (1, 2))
        >>> hand, held = hand_and_object_prompts(keypoints, (640, 480), object_point=np.array([300.0, 200.0]))
        >>> hand.box is not None, held.points[held.labels == 1]
        (True, array([[300., 200.]]))
    """
    palm = keypoints[list(PROMPTS)]
    held = keypoints[list(PINCH)].mean(axis=0) if object_point is None else np.asarray(object_point, dtype=float)
    ones, zeros = np.ones(len(palm)), np.zeros(len(palm))
    hand = Prompt(np.concatenate([palm, held[None]]), np.append(ones, 0.0), box_around(keypoints, *size))
    return hand, Prompt(np.concatenate([held[None], palm]), np.insert(zeros, 0, 1.0))
