"""What a reconstruction follows from: a checkpoint of a run that differs in any of it is not taken up."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from jaxtyping import Float
from torch import Tensor

from hoprior.common.run_key import RunKey
from hoprior.datasets.clips.clip import Clip
from hoprior.hand import HandModel
from hoprior.tasks.reconstruct.config import FitConfig


def key_of(
    clip: Clip,
    model: HandModel,
    prior: Any,
    shapes: Sequence[tuple[float, Any]],
    cond: Float[Tensor, "1 tokens dim"] | None,
    config: FitConfig,
    seed: int,
) -> RunKey:
    """Everything that a fit follows from, but for the device and the time it has: a run may go on elsewhere."""
    return RunKey.of(
        {
            "the clip": [clip.name, clip.hand, clip.side, clip.frame, clip.fps, clip.image],
            "the hands": [clip.hand_pose, clip.has_hand, clip.keypoints, clip.confidence],
            "the masks": [clip.object_mask, clip.hand_mask, clip.has_object],
            "the cameras": clip.intrinsics,
            "the text": cond,
            "the priors": [prior, list(shapes)],
            "the settings": config,
            "the seed": seed,
            "the hand model": model,
            "the version of hoprior": version("hoprior"),
        }
    )
