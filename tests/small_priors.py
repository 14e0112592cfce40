"""Priors that are small and were never trained, and one that knows what it should draw."""

from typing import Any, TypeVar

import torch
from torch import Tensor

from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.hand import load_hand
from hoprior.models.grid_prior import GridPrior
from hoprior.models.pose_prior import PosePrior
from hoprior.models.vqvae import SdfVQVAE

VQVAE: dict[str, Any] = {"channels": [8, 16], "res_blocks": 1, "latent_channels": 4, "levels": [5] * 4}
NETWORK: dict[str, Any] = {"channels": [16, 16], "head_dim": 16, "text_dim": 6, "text_encoder": "stub"}
HAND = load_hand()
JOINTS = HAND.joints_only(HAND.angles_to_pose(HAND.relaxed_angles[None]))
PriorT = TypeVar("PriorT", bound=GridPrior)


def tiny(kind: type[PriorT], **arguments: Any) -> PriorT:
    """A grid prior that was never trained, normalised as a real one."""
    torch.manual_seed(0)
    prior = kind(SdfVQVAE(**VQVAE).config(), **{**NETWORK, **arguments})
    with torch.no_grad():
        for parameter in prior.unet.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
        prior.grid_mean[prior.object_channels], prior.grid_std[prior.object_channels] = 0.1, 0.5
        prior.grid_mean[prior.hand_channels], prior.grid_std[prior.hand_channels] = 0.009, 0.002
    return prior.eval()


def ball(spec: GridSpec, radius: float = 0.03, center: tuple[float, float, float] = (0.1, -0.01, 0.048)) -> Tensor:
    """Signed distances of a ball before the palm (1, D, H, W)."""
    return ((spec.points() - torch.tensor(center)).norm(dim=-1) - radius).reshape(1, *spec.shape)


class Knowing(GridPrior):
    """Knows the hand that it draws, a relaxed one; its object is a ball whose size is up to the noise.

    Where `fails` says so of a draw's first latent, there is no object.
    """

    fails = staticmethod(lambda latent: latent > 1e9)

    def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        noise = super().predict_noise(x_t, t, cond)
        clean = self.encode_grids(ball(self.spec)[None], JOINTS)[:, self.hand_channels]
        abar = self.alphas_cumprod[t][:, None, None, None, None]
        noise[:, self.hand_channels] = (x_t[:, self.hand_channels] - abar.sqrt() * clean) / (1 - abar).sqrt()
        return noise

    def decode(self, x0: Tensor) -> InteractionGrid:
        radius = 0.03 + 0.002 * x0[:, self.object_channels].mean(dim=(1, 2, 3, 4))
        sdf = ball(self.spec, 0.0)[None] - radius[:, None, None, None, None]
        sdf = torch.where(self.fails(x0[:, 0, 0, 0, 0])[:, None, None, None, None], 0.04, sdf)
        return InteractionGrid(sdf, self.decode_joints(x0), self.spec)


def small_pose_prior() -> PosePrior:
    """A small prior whose zero-initialised layers say something."""
    torch.manual_seed(0)
    prior = PosePrior(width=32, layers=1, mlp_blocks=1, text_dim=6, text_encoder="stub")
    with torch.no_grad():
        for parameter in prior.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
        prior.pose_std.uniform_(0.1, 0.3)
    return prior.eval()
