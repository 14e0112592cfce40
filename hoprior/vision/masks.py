"""Masks of hands from SAM 2 (Ravi et al. 2024), prompted with joints and a box; needs the package `sam2`."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8

from hoprior.common.compute import torch_device
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES

Segmenter: TypeAlias = Callable[[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "21 2"]], Bool[np.ndarray, "h w"]]
"""The mask of the hand whose 21 joints are seen at these pixels of a photo."""

PROMPTS = tuple(JOINT_NAMES.index(name) for name in ("wrist", "index1", "middle1", "ring1", "pinky1"))
"""Joints that prompt: the palm's, over which the hand rather than what it holds is seen in most photos."""
BOX_MARGIN = 0.15
"""How much wider than the joints the box is on each side, in its longer side: flesh is around joints."""


def load_segmenter(name: str, device: str = "auto") -> Segmenter:
    """SAM 2 by its name on the Hugging Face hub, "facebook/sam2.1-hiera-small", from the hub's cache or a download.

    Raises:
        HopriorError: sam2 is not installed, or the model or the device cannot be had.
    """
    try:
        from sam2.sam2_image_predictor import SAM2ImagePredictor
    except ImportError as error:
        raise HopriorError(
            "--segment needs SAM 2: pip install sam2; or give the hand's mask as a picture with --mask"
        ) from error
    where = str(torch_device(device))
    try:
        predictor = SAM2ImagePredictor.from_pretrained(name, device=where)
    except Exception as error:  # the hub, hydra and torch each raise their own
        raise HopriorError(
            f"SAM 2 model '{name}' cannot be loaded ({sam2_reason(error)}): give a name on the hub, such as"
            " facebook/sam2.1-hiera-small, and see that it can be downloaded"
        ) from error
    return lambda photo, keypoints: hand_mask(predictor, photo, keypoints)


def sam2_reason(error: Exception) -> str:
    """What the hub, hydra or torch had to say, in one line."""
    return " ".join(str(error).split())[:160]


def hand_mask(
    predictor: Any, photo: UInt8[np.ndarray, "h w 3"], keypoints: Float[np.ndarray, "21 2"]
) -> Bool[np.ndarray, "h w"]:
    """The likeliest of a SAM 2 image predictor's masks for the hand's box and its palm's joints in the photo.

    Raises:
        HopriorError: hardly any of the hand is in the photo.
    """
    height, width = photo.shape[:2]
    points = keypoints[list(PROMPTS)]
    points = points[((points >= 0) & (points < [width, height])).all(axis=1)].astype(np.float32)
    box = box_around(keypoints, width, height)
    if not len(points) or min(box[2:] - box[:2]) < 1:
        raise HopriorError("the palm is outside the photo, so that nothing shows which mask is the hand's")
    predictor.set_image(photo)
    masks, scores, _ = predictor.predict(
        point_coords=points, point_labels=np.ones(len(points), dtype=np.int32), box=box, multimask_output=True
    )
    return np.asarray(masks[int(np.argmax(scores))]) > 0


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
