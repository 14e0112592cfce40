"""Masks of a hand and of what it holds, through a video, from SAM 2 (Ravi et al. 2024); needs the package `sam2`."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from hoprior.common.compute import torch_device
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.vision.masks import PROMPTS, box_around, sam2_reason

SAM2 = "facebook/sam2.1-hiera-small"
"""The weights that are tried where none are named."""
PINCH = tuple(JOINT_NAMES.index(name) for name in ("thumb_tip", "index_tip", "middle_tip"))
"""What is held is most often seen between these."""


class Prompt(NamedTuple):
    """What shows SAM 2 a thing in one frame: pixels on it (1) and beside it (0), perhaps a box (x0, y0, x1, y1)."""

    points: Float[np.ndarray, "k 2"]
    labels: Float[np.ndarray, " k"]
    box: Float[np.ndarray, " 4"] | None = None


Tracker: TypeAlias = Callable[
    [Sequence[UInt8[np.ndarray, "h w 3"]], int, Sequence[Prompt]], Sequence[Bool[np.ndarray, "n h w"]]
]
"""Frames, the number of the one that is prompted, and a prompt a thing; gives each thing's masks in all frames."""


def load_tracker(name: str | None = None, device: str = "auto") -> Tracker:
    """SAM 2's video predictor by its name on the Hugging Face hub, from the hub's cache or a download, on a device.

    Raises:
        HopriorError: sam2 is not installed, or the model or the device cannot be had.
    """
    try:
        from sam2.sam2_video_predictor import SAM2VideoPredictor
    except ImportError as error:
        raise HopriorError(
            "a video needs masks, and SAM 2, which makes them, is not installed: give --hand-masks and --object-masks"
            " (folders with a picture for each frame, white where the thing is seen), or pip install hoprior[segment]"
        ) from error
    where = str(torch_device(device))
    try:
        predictor = SAM2VideoPredictor.from_pretrained(name or SAM2, device=where)
    except Exception as error:  # the hub, hydra and torch each raise their own
        raise HopriorError(
            f"a video needs masks, and SAM 2's model '{name or SAM2}', which makes them, cannot be loaded"
            f" ({sam2_reason(error)}): give --hand-masks and --object-masks, or see that the model can be downloaded"
        ) from error
    return lambda frames, prompted, prompts: track(predictor, frames, prompted, prompts)


def track(
    predictor: Any, frames: Sequence[UInt8[np.ndarray, "h w 3"]], prompted: int, prompts: Sequence[Prompt]
) -> list[Bool[np.ndarray, "n h w"]]:
    """Masks of several things in all frames, followed forwards and backwards from the prompted one."""
    import torch

    height, width = frames[0].shape[:2]
    masks = np.zeros((len(prompts), len(frames), height, width), dtype=bool)
    # The predictor reads its frames from a folder of numbered JPEGs.
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(Path(folder) / f"{number:05d}.jpg", quality=95)
        state = predictor.init_state(folder)
        for thing, prompt in enumerate(prompts):
            predictor.add_new_points_or_box(
                state,
                frame_idx=prompted,
                obj_id=thing,
                points=prompt.points.astype(np.float32),
                labels=prompt.labels.astype(np.int32),
                box=prompt.box,
            )
        for reverse in (False, True):
            for number, things, logits in predictor.propagate_in_video(
                state, start_frame_idx=prompted, reverse=reverse
            ):
                for k, thing in enumerate(things):
                    masks[int(thing), int(number)] = np.asarray(logits[k, 0].float().cpu()) > 0
    return list(masks)


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
