"""Draws from the prior of interactions: objects with no hand known, hands for known objects, and their surfaces."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.geometry.grid import GridSpec
from hoprior.geometry.isosurface import extract_surface
from hoprior.geometry.repair import simplify
from hoprior.geometry.shape_box import REACH
from hoprior.geometry.state import transform_points
from hoprior.models.shape_autoencoder import FINE, ShapeAutoencoder
from hoprior.priors.diffusion import NoiseSchedule, ddim_sample
from hoprior.priors.protocols import Generator

MOST_FACES = 8000
"""Of a drawn surface: marching cubes make ten times as many, which show no more."""
OUTSIDE = 0.1
"""Distance (over a box's scale) of a layer that closes what reaches the end of a lattice."""
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


def mesh_of(
    shapes: ShapeAutoencoder, code: Float[Tensor, " code"], extents: Float[Tensor, " 3"], resolution: int = FINE
) -> trimesh.Trimesh:
    """The surface of a coded object in its box's frame, m; empty where the code means nothing."""
    values = shapes.decode(code, resolution).cpu().numpy()
    if not (values < 0).any():
        return trimesh.Trimesh()
    cell = 2 * REACH / (resolution - 1)
    lower = -REACH - cell
    mesh = extract_surface(np.pad(values, 1, constant_values=OUTSIDE), (lower, lower, lower), cell)
    mesh.merge_vertices()
    mesh.apply_scale((extents / 2).double().cpu().numpy())
    return simplify(mesh, MOST_FACES)


@torch.no_grad()
def distances_on(
    spec: GridSpec,
    shapes: ShapeAutoencoder,
    code: Float[Tensor, " code"],
    extents: Float[Tensor, " 3"],
    T_box_grid: Float[Tensor, "4 4"],
) -> Float[Tensor, "1 D H W"]:
    """Signed distances (m) of a coded object on a grid; beyond its box, those at the box and how far it is to there."""
    half = extents / 2
    points = transform_points(T_box_grid[None], spec.points(code.device)[None])[0]
    unit = points / half
    inside = unit.clamp(-REACH, REACH)
    planes = shapes.decoder.planes(code[None])
    near = shapes.decoder.distance(planes, inside[None])[0].float() * half.log().mean().exp()
    return (near + ((unit - inside) * half).norm(dim=1)).view(1, *spec.shape)
