"""Draws from the prior of interactions: objects with no hand known, and hands for known objects."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.priors.diffusion import NoiseSchedule, ddim_sample
from hoprior.priors.protocols import Generator

ETA = 1.0
"""Ancestral sampling: deterministic DDIM keeps the errors of its first steps, where the network errs most."""


@runtime_checkable
class DenoisesPairs(Protocol):
    """What drawing needs of an `InteractionPrior`."""

    schedule: NoiseSchedule
    object_size: int

    @property
    def hand_size(self) -> int: ...
    @property
    def alphas_cumprod(self) -> Float[Tensor, " T"]: ...
    def noise_in(
        self,
        x: Float[Tensor, "b d"],
        x_t: Float[Tensor, "b k"],
        t: Int[Tensor, " b"],
        times: Int[Tensor, "b 2"],
        cond: Float[Tensor, "b tokens dim"] | None,
        part: slice,
    ) -> Float[Tensor, "b k"]: ...


def draw_objects(
    prior: DenoisesPairs,
    cond: Float[Tensor, "n tokens dim"] | None,
    num: int,
    *,
    steps: int,
    guidance_scale: float,
    generator: Generator = None,
    progress: Callable[[float], object] | None = None,
) -> Float[Tensor, "n k"]:
    """Objects alone, normalised: the first columns of x. Arguments as of `hoprior.priors.SamplesInteractions`."""
    alone = DrawnPart(prior, slice(0, prior.object_size), None)
    return ddim_sample(
        alone,
        (num, prior.object_size),
        cond,
        steps=steps,
        guidance_scale=guidance_scale,
        generator=generator,
        eta=ETA,
        progress=progress,
    )


def draw_hands(
    prior: DenoisesPairs,
    objects: Float[Tensor, "n k"],
    cond: Float[Tensor, "n tokens dim"] | None,
    *,
    steps: int,
    guidance_scale: float,
    generator: Generator = None,
    progress: Callable[[float], object] | None = None,
) -> Float[Tensor, "n d"]:
    """Hands for given objects (normalised, as `draw_objects` gives them): whole x."""
    of_objects = DrawnPart(prior, slice(prior.object_size, None), objects)
    hands = ddim_sample(
        of_objects,
        (len(objects), prior.hand_size),
        cond,
        steps=steps,
        guidance_scale=guidance_scale,
        generator=generator,
        eta=ETA,
        progress=progress,
    )
    return torch.cat([objects, hands], dim=1)


class DrawnPart:
    """One of the two things, as a denoiser of its own: the object with no hand known, or the hand of a known object."""

    def __init__(self, prior: DenoisesPairs, part: slice, objects: Float[Tensor, "n k"] | None) -> None:
        self.prior, self.part, self.objects = prior, part, objects
        self.alphas_cumprod = prior.alphas_cumprod

    def encode(self, x: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """The thing itself."""
        return x

    def predict_noise(
        self, x_t: Float[Tensor, "b k"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b k"]:
        """The noise in what is drawn."""
        prior = self.prior
        if self.objects is None:
            x = torch.cat([x_t, x_t.new_zeros(len(x_t), prior.hand_size)], dim=1)
            times = torch.stack([t, torch.full_like(t, len(prior.schedule))], dim=1)
        else:
            x = torch.cat([self.objects, x_t], dim=1)
            times = torch.stack([torch.zeros_like(t), t], dim=1)
        return prior.noise_in(x, x_t, t, times, cond, self.part)
