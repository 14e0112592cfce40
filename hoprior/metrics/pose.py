"""Errors of hand poses."""

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.rotations import similarity_registration

MM_PER_M = 1000.0


@torch.no_grad()
def pa_mpjpe_mm(joints: Float[Tensor, "b n 3"], truth: Float[Tensor, "b n 3"]) -> Float[Tensor, " b"]:
    """Mean distance of joints after the best similarity transform of each hand (Procrustes), mm; both metres.

    `1000 mean_j |s R x_j + t - y_j|` with the `s, R, t` of least squares.

    Example:
        >>> joints = torch.eye(3)[None].repeat(1, 7, 1) * torch.linspace(0.1, 1.0, 21)[:, None]
        >>> pa_mpjpe_mm(joints, 2 * joints + 0.3).round(decimals=3)  # only larger, and elsewhere
        tensor([0.])
    """
    found, true = joints.double(), truth.double()
    rotation, transl, scale = similarity_registration(found, true)
    aligned = scale[:, None, None] * found @ rotation.mT + transl[:, None]
    return MM_PER_M * (aligned - true).norm(dim=-1).mean(dim=1).float()
