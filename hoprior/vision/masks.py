"""Masks of hands in photos from SAM 2, prompted with joints and a box."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8

from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.vision.sam2 import PhotoModel, Prompt

Segmenter: TypeAlias = Callable[[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "21 2"]], Bool[np.ndarray, "h w"]]
"""The mask of the hand whose 21 joints are seen at these pixels of a photo."""

PROMPTS = tuple(JOINT_NAMES.index(name) for name in ("wrist", "index1", "middle1", "ring1", "pinky1"))
"""Joints that prompt: the palm's, over which the hand rather than what it holds is seen in most photos."""
BOX_MARGIN = 0.15
"""How much wider than the joints the box is on each side, in its longer side: flesh is around joints."""


def load_segmenter(name: str, device: str = "auto") -> Segmenter:
    """SAM 2 by its name on the Hugging Face hub, "facebook/sam2.1-hiera-small", or by a folder.

    Raises:
        HopriorError: transformers is not installed, or the weights or the device cannot be had.
    """
    try:
        model = PhotoModel(name, device)
    except HopriorError as error:
        raise HopriorError(f"--segment: {error}; or give the hand's mask as a picture with --mask") from error
    return lambda photo, keypoints: hand_mask(model.masks, photo, keypoints)


def hand_mask(
    masks_of: Callable[[UInt8[np.ndarray, "h w 3"], Prompt], tuple[np.ndarray, np.ndarray]],
    photo: UInt8[np.ndarray, "h w 3"],
    keypoints: Float[np.ndarray, "21 2"],
) -> Bool[np.ndarray, "h w"]:
    """The likeliest of the masks that SAM 2 (`PhotoModel.masks`) gives for the hand's box and its palm's joints.

    Raises:
        HopriorError: hardly any of the hand is in the photo.
    """
    height, width = photo.shape[:2]
    points = keypoints[list(PROMPTS)]
    points = points[((points >= 0) & (points < [width, height])).all(axis=1)]
    box = box_around(keypoints, width, height)
    if not len(points) or min(box[2:] - box[:2]) < 1:
        raise HopriorError("the palm is outside the photo, so that nothing shows which mask is the hand's")
    masks, scores = masks_of(photo, Prompt(points, np.ones(len(points)), box))
    return np.asarray(masks[int(np.argmax(scores))], dtype=bool)


def box_around(keypoints: Float[np.ndarray, "21 2"], width: int, height: int) -> Float[np.ndarray, " 4"]:
    """The box (x0, y0, x1, y1) of a hand with these joints, within the photo.

    Example:
        >>> keypoints = np.stack([np.linspace(100, 200, 21), np.linspace(150, 250, 21)], axis=1)
        >>> box_around(keypoints, width=640, height=480)
        array([ 85., 135., 215., 265.], dtype=float32)
    """
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    margin = BOX_MARGIN * float((high - low).max())
    box = np.concatenate([low - margin, high + margin])
    return np.clip(box, 0, [width, height, width, height]).astype(np.float32)
