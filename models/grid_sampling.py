"""Joint samples of object and hand out of an interaction-grid prior, as clean grids.

How this was chosen is told, with figures, in docs/generation.md.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.geometry.grid import GridSpec
from hoprior.geometry.skeletal import skeletal_field
from hoprior.geometry.state import HandObjectState
from hoprior.models.vqvae import SdfVQVAE
from hoprior.priors.diffusion import ddim_sample


@runtime_checkable
class GridDenoiser(Protocol):
    """What sampling needs of a `GridPrior`, beside that it denoises."""

    vqvae: SdfVQVAE
    grid_mean: Tensor
    latent_spec: GridSpec
    object_channels: slice
    hand_channels: slice
    hand_joints: int
    hand_clamp: float

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def alphas_cumprod(self) -> Float[Tensor, " T"]: ...
    def encode(self, state: HandObjectState) -> Float[Tensor, "b *shape"]: ...
    def predict_noise(
        self, x_t: Float[Tensor, "b *shape"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b *shape"]: ...
    def companded(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]: ...
    def normalised(self, raw: Float[Tensor, "*b C d h w"]) -> Float[Tensor, "*b C d h w"]: ...
    def unnormalised(self, x0: Float[Tensor, "*b C d h w"]) -> Float[Tensor, "*b C d h w"]: ...


ETA = 1.0
"""Ancestral sampling: deterministic DDIM keeps the errors of its first steps, where the network errs most."""


@torch.no_grad()
def sample_grids(
    prior: GridDenoiser,
    cond: Float[Tensor, "n tokens dim"] | None,
    num: int,
    *,
    steps: int = 50,
    guidance_scale: float = 3.0,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    progress: Callable[[float], object] | None = None,
) -> Float[Tensor, "n *shape"]:
    """Clean grids of `num` hands and objects, from noise alone; `prior.decode` reads them.

    Ancestral sampling in which each step's estimate is brought into what grids can hold (`clean_range`).

    Args:
        cond: text features, one row a sample; None for the null condition.
        steps: from T to 0; must divide the prior's T.
        guidance_scale: of classifier-free guidance; without a condition there is none.
        generator: source of all noise, or one for each sample. Sample i does not depend on how many there are.
        progress: told after each step the share of the steps that is done.

    Raises:
        HopriorError: steps that do not divide T.
    """
    return ddim_sample(
        prior,
        (num, *prior.shape),
        cond,
        steps=steps,
        guidance_scale=guidance_scale,
        generator=generator,
        eta=ETA,
        x0_range=clean_range(prior),
        progress=progress,
    )


def clean_range(prior: GridDenoiser) -> tuple[Float[Tensor, "C 1 1 1"], Float[Tensor, "C 1 1 1"]]:
    """Smallest and largest values that a clean grid can have in each channel, as the prior normalises them.

    A hand's squared distances lie between 0 and their truncation. Latents that are scalar quantised lie in [-1, 1];
    of latents with a codebook the codes are the bounds, one code's spacing wider.
    """
    low, high = prior.grid_mean.clone(), prior.grid_mean.clone()
    low[prior.hand_channels], high[prior.hand_channels] = 0.0, prior.hand_clamp
    if prior.vqvae.scalar:
        latents = (low.new_full((1, 1, 1, 1), -1.0), low.new_full((1, 1, 1, 1), 1.0))
    else:
        codes = cast(Tensor, prior.vqvae.quantizer.codebook)
        spread = codes.std(dim=0)
        lowest, highest = codes.amin(dim=0) - spread, codes.amax(dim=0) + spread
        latents = (lowest.reshape(-1, 1, 1, 1), highest.reshape(-1, 1, 1, 1))
    low[prior.object_channels], high[prior.object_channels] = (prior.companded(z) for z in latents)
    return prior.normalised(low), prior.normalised(high)


def field_residual(
    prior: GridDenoiser, x0: Float[Tensor, "n *shape"], joints_hand: Float[Tensor, "n 21 3"]
) -> Float[Tensor, " n"]:
    """How far the hand fields of clean grids are from the fields of joints: root mean square, as a share of the clamp.

    Small where a field is one that a hand can have; NaN where the joints are.
    """
    field = skeletal_field(joints_hand, prior.latent_spec, prior.hand_clamp, prior.hand_joints)
    difference = prior.unnormalised(x0)[:, prior.hand_channels] - field
    return difference.square().flatten(1).mean(dim=1).sqrt() / prior.hand_clamp
