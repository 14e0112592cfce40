"""The layers that look at an object's coarse shape around the palm, shared by the priors that judge placements."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.hand import load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.models.networks.norms import QuickGroupNorm

FEATURES = 128
JOINTS_SEEN = [k for k, name in enumerate(JOINT_NAMES) if name not in ("wrist", "thumb1")]
"""All but the wrist, which is the frame's origin, and the thumb's CMC, which datasets place differently."""


def field_encoder(resolution: int, width: int, dropout: float, deep: int | None = None) -> nn.Sequential:
    """(b, 8, r/2, r/2, r/2) signed distances, `folded`, -> (b, FEATURES); the resolution r is a multiple of 4.

    `deep` is the width of the coarser half; twice `width` if None.
    """
    cells = (resolution // 4) ** 3
    deep = 2 * width if deep is None else deep
    return nn.Sequential(
        *_block(8, width, 1),
        *_block(width, width, 1),
        *_block(width, deep, 2),
        *_block(deep, deep, 1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(deep * cells, FEATURES),
        nn.SiLU(),
        nn.Dropout(dropout),
    )


def folded(field: Float[Tensor, "b 1 D H W"]) -> Float[Tensor, "b 8 d h w"]:
    """Blocks of 2 x 2 x 2 cells as channels: the convolutions run on an eighth of the points."""
    blocks = rearrange(field, "b c (z k) (y l) (x m) -> b (c k l m) z y x", k=2, l=2, m=2)
    return blocks.contiguous(memory_format=torch.channels_last_3d)


def relaxed_joints() -> Float[Tensor, "j 3"]:
    """Where a relaxed hand has the joints that are seen (hand frame, m): what networks' offsets are added to.

    Example:
        >>> relaxed_joints().shape
        torch.Size([19, 3])
    """
    hand = load_hand()
    return hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None]))[0, JOINTS_SEEN].clone()


def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv3d(inputs, outputs, 3, stride, 1), QuickGroupNorm(8, outputs), nn.SiLU()
