"""Hands that are curled more or less: a Gaussian over hand poses, whose best denoiser is known without training."""

from typing import NamedTuple

import torch
from torch import Tensor

from hoprior import PriorInfo, load_hand

CURL_STD, JOINT_STD = 0.4, 0.05
"""Radians: of all fingers bending together, and of each joint by itself."""


class BentHand(NamedTuple):
    """What is decoded: anything with a `hand_pose` will do."""

    hand_pose: Tensor


class CurledHands(torch.nn.Module):
    """N(relaxed, CURL_STD² d dᵀ + JOINT_STD² I) over the 45 numbers of a pose, d the direction in which hands close."""

    text_encoder_name = None
    info = PriorInfo(reads=frozenset({"hand_pose"}), licence="CC0-1.0")
    pose_shape = (15, 3)

    def __init__(self) -> None:
        super().__init__()
        hand = load_hand()
        relaxed = hand.angles_to_pose(hand.relaxed_angles[None])[0].flatten()
        direction = relaxed / relaxed.norm()
        covariance = CURL_STD**2 * torch.outer(direction, direction) + JOINT_STD**2 * torch.eye(45)
        self.register_buffer("mean", relaxed)
        self.register_buffer("covariance", covariance)
        self.register_buffer("alphas_cumprod", torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0))

    def encode(self, state) -> Tensor:
        return state.hand_pose

    def decode(self, x0: Tensor) -> BentHand:
        return BentHand(x0)

    def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        """E[noise | x_t] = sqrt(1 - a) (a C + (1 - a) I)^-1 (x_t - sqrt(a) mean)."""
        a = self.alphas_cumprod[t][:, None]
        eye = torch.eye(45, device=x_t.device)
        spread = a[..., None] * self.covariance + (1 - a[..., None]) * eye
        away = x_t.flatten(1) - a.sqrt() * self.mean
        return ((1 - a).sqrt() * torch.linalg.solve(spread, away)).reshape(x_t.shape)
