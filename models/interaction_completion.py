"""Whole objects of which a part was seen: drawn anew by the prior, and bent and moved on the way until they fit it.

The code's decoder says at every point how far the surface is, so that a code can be found for a partial view by descent
(DeepSDF, Park et al., CVPR 2019, Sec. 4.3); codes found by descent alone are those of torn things. So it is the
denoiser's estimates of the clean code that descend a little, at each of its steps, as measurements guide
samples in Chung et al. (Diffusion Posterior Sampling, ICLR 2023).
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.geometry.shape_box import REACH
from hoprior.models.interaction_draws import ETA, DenoisesPairs, DrawnPart, draw_objects
from hoprior.models.shape_autoencoder import ShapeAutoencoder
from hoprior.models.shape_surfaces import surface_of
from hoprior.priors.diffusion import ddim_sample, guided_noise, noise_from_x0
from hoprior.priors.protocols import Generator

CANDIDATES = 24
"""Objects that are drawn, each in `TURNS` directions about +z, of which the best `FITTED` are drawn anew."""
TURNS = 8
FITTED = 8
LOOKED_AT = 256
"""Points of what was seen, in fitting."""
BEGIN = 0.4
"""The share of T at which drawing anew begins."""
DESCENT, RATE = 6, 0.05
"""Steps of each estimate, and their size in normalised codes."""
TURN_RATE, MOVE_RATE = 0.01, 0.001
"""Sizes of steps of the place: radians and metres."""
FAR = 0.3
"""Misses beyond this (over the box's scale) count no more: what was seen may have a stray point."""
LOOSE = 0.5
"""What it costs, in the unit of misses, if all of a surface but nothing were loose from its largest piece."""


@runtime_checkable
class DrawsObjects(DenoisesPairs, Protocol):
    """What completion needs of an `InteractionPrior`."""

    shapes: ShapeAutoencoder

    def decode_objects(self, objects: Float[Tensor, "n k"]) -> tuple[Float[Tensor, "n code"], Float[Tensor, "n 3"]]: ...


def completed(
    prior: DrawsObjects,
    seen: Float[Tensor, "n 3"],
    cond: Float[Tensor, "k tokens dim"] | None,
    num: int,
    *,
    steps: int,
    guidance_scale: float,
    generator: Generator = None,
    progress: Callable[[float], object] | None = None,
) -> list[trimesh.Trimesh]:
    """`num` objects with a surface at points that were seen (m, +z up), in their frame, the best fit first."""
    told = progress or (lambda share: None)
    one = generator if isinstance(generator, torch.Generator) else None
    count = max(CANDIDATES, 2 * num)
    cond_each = None if cond is None else cond[:1].expand(count, -1, -1)
    drawn = draw_objects(prior, cond_each, count, steps=steps, guidance_scale=guidance_scale, generator=one)
    picked = torch.randperm(len(seen), generator=one)[:LOOKED_AT]
    points = seen[picked].to(drawn)
    middle = (points.amin(dim=0) + points.amax(dim=0)) / 2
    points = points - middle
    told(0.1)

    turns = torch.arange(TURNS, device=drawn.device) * (2 * torch.pi / TURNS)
    objects, yaw = drawn.repeat_interleave(TURNS, dim=0), turns.repeat(count)
    with torch.no_grad():
        misses = torch.cat(
            [
                _miss(prior, objects[k : k + TURNS], yaw[k : k + TURNS], torch.zeros(TURNS, 3).to(drawn), points)
                for k in range(0, len(objects), TURNS)
            ]
        )
    best = misses.argsort()[: max(FITTED, 2 * num)]
    fitting = _Fitting(prior, yaw[best], points, guidance_scale)
    x = ddim_sample(
        fitting,
        objects[best].shape,
        None if cond is None else cond[:1].expand(len(best), -1, -1),
        steps=steps,
        generator=one,
        x_init=objects[best],
        t_start=BEGIN,
        eta=ETA,
        progress=lambda share: told(0.1 + 0.8 * share),
    )
    with torch.no_grad():
        misses = _miss(prior, x, fitting.yaw, fitting.move, points)
        codes, extents = prior.decode_objects(x)
    found = []
    for i in range(len(x)):
        mesh = surface_of(prior.shapes, codes[i], extents[i]).mesh
        turn = trimesh.transformations.rotation_matrix(float(fitting.yaw[i].detach()), (0, 0, 1))
        turn[:3, 3] = (fitting.move[i].detach() + middle).double().cpu().numpy()
        found.append((float(misses[i]) + LOOSE * _loose(mesh), mesh.apply_transform(turn)))
    told(1.0)
    return [mesh for _, mesh in sorted(found, key=lambda each: each[0])[:num]]


class _Fitting:
    """A denoiser of objects alone, whose estimates are brought to what was seen; `yaw` and `move` are their places."""

    def __init__(
        self, prior: DrawsObjects, yaw: Float[Tensor, " b"], points: Float[Tensor, "n 3"], guidance_scale: float
    ) -> None:
        self.prior, self.points, self.guidance_scale = prior, points, guidance_scale
        self.alone = DrawnPart(prior, slice(0, prior.object_size), None)
        self.alphas_cumprod = prior.alphas_cumprod
        self.yaw = yaw.clone().requires_grad_()
        self.move = yaw.new_zeros(len(yaw), 3).requires_grad_()
        self.place = Adam([{"params": [self.yaw], "lr": TURN_RATE}, {"params": [self.move], "lr": MOVE_RATE}])

    def encode(self, x: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """The objects themselves."""
        return x

    def predict_noise(
        self, x_t: Float[Tensor, "b k"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b k"]:
        """The noise between x_t and the fitted estimate of what is clean."""
        with torch.no_grad():
            noise = guided_noise(self.alone, x_t, t, cond, self.guidance_scale)
        x0 = self.prior.schedule.x0_from_noise(x_t, noise, t).requires_grad_()
        adam = Adam([{"params": [x0], "lr": RATE}])
        with torch.enable_grad():
            for _ in range(DESCENT):
                adam.zero_grad()
                self.place.zero_grad()
                _miss(self.prior, x0, self.yaw, self.move, self.points).sum().backward()
                adam.step()
                self.place.step()
        return noise_from_x0(self.alphas_cumprod, x_t, x0.detach(), t)


def _loose(mesh: trimesh.Trimesh) -> float:
    """The share of a surface's area that is no part of its largest piece."""
    areas = [piece.area for piece in mesh.split(only_watertight=False)]
    return 1.0 - max(areas) / sum(areas) if areas else 1.0


def _miss(
    prior: DrawsObjects,
    x: Float[Tensor, "b k"],
    yaw: Float[Tensor, " b"],
    move: Float[Tensor, "b 3"],
    points: Float[Tensor, "n 3"],
) -> Float[Tensor, " b"]:
    """Mean distance of points from each object, turned about +z and moved, over its box's scale, at most `FAR`."""
    code, extents = prior.decode_objects(x)
    local = points - move[:, None]
    c, s = yaw.cos()[:, None], yaw.sin()[:, None]
    # The inverse turn of every point.
    across = torch.stack([c * local[..., 0] + s * local[..., 1], c * local[..., 1] - s * local[..., 0]], dim=-1)
    unit = torch.cat([across, local[..., 2:]], dim=-1) / (extents[:, None] / 2)
    inside = unit.clamp(-REACH, REACH)
    distance = prior.shapes.decoder(code, inside).float().abs()
    # Beyond the box nothing was learnt: how far beyond counts instead.
    beyond = ((unit - inside) * extents[:, None] / 2).norm(dim=-1) / (extents / 2).log().mean(dim=1, keepdim=True).exp()
    return (distance + beyond).clamp(max=FAR).mean(dim=1) + 0.05 * beyond.clamp(max=3.0).mean(dim=1)
