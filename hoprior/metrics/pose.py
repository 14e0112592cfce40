"""Errors of hand poses."""

import roma
import torch
from jaxtyping import Float
from torch import Tensor

MM_PER_M = 1000.0


@torch.no_grad()
def pa_mpjpe_mm(joints: Float[Tensor, "b n 3"], truth: Float[Tensor, "b n 3"]) -> Float[Tensor, " b"]:
    """Mean distance of joints after the best similarity transform of each hand (Procrustes), mm; both metres."""
    found, true = joints.double(), truth.double()
    rotation, transl, scale = roma.rigid_points_registration(found, true, compute_scaling=True)
    aligned = scale[:, None, None] * found @ rotation.mT + transl[:, None]
    return MM_PER_M * (aligned - true).norm(dim=-1).mean(dim=1).float()
