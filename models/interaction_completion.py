"""Whole objects of which a part was seen: draws that fit it best, moved and bent until they have a surface there.

The code's decoder says at every point how far the surface is (as in DeepSDF, Park et al., CVPR 2019, Sec. 4.3, whose
code is found for partial views by the same descent); the denoiser keeps it one of a thing that the sentence names.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.geometry.shape_box import REACH
from hoprior.models.interaction_draws import DenoisesPairs, draw_objects, mesh_of
from hoprior.models.shape_autoencoder import ShapeAutoencoder
from hoprior.priors.protocols import Generator

CANDIDATES = 24
"""Objects that are drawn, each in `TURNS` directions about +z, of which the best are fitted."""
TURNS = 8
LOOKED_AT = 256
"""Points of what was seen, in fitting."""
STEPS, RATE = 120, 0.02
FAR = 0.3
"""Misses beyond this (over the box's scale) count no more: what was seen may have a stray point."""
PRIOR_WEIGHT, PRIOR_TIMES = 0.02, (0.05, 0.3)
"""Of the pull towards what the denoiser makes of a noised object, and at which shares of T."""


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
    best = misses.argsort()[: 2 * num]
    x = objects[best].clone().requires_grad_()
    yaw = yaw[best].clone().requires_grad_()
    move = torch.zeros(len(best), 3).to(drawn).requires_grad_()
    adam = Adam([{"params": [x], "lr": RATE}, {"params": [yaw], "lr": RATE / 2}, {"params": [move], "lr": RATE / 20}])
    heard = None if cond is None else cond[:1].expand(len(best), -1, -1)
    for step in range(STEPS):
        adam.zero_grad()
        pull = (x - _likely(prior, x.detach(), heard, one)).square().mean(dim=1)
        (_miss(prior, x, yaw, move, points) + PRIOR_WEIGHT * pull).sum().backward()
        adam.step()
        told(0.1 + 0.8 * (step + 1) / STEPS)
    with torch.no_grad():
        order = _miss(prior, x, yaw, move, points).argsort()[:num].tolist()
        codes, extents = prior.decode_objects(x)
    found = []
    for i in order:
        mesh = mesh_of(prior.shapes, codes[i].detach(), extents[i].detach())
        turn = trimesh.transformations.rotation_matrix(float(yaw[i]), (0, 0, 1))
        turn[:3, 3] = (move[i].detach() + middle).double().cpu().numpy()
        found.append(mesh.apply_transform(turn))
    told(1.0)
    return found


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


@torch.no_grad()
def _likely(
    prior: DrawsObjects,
    x: Float[Tensor, "b k"],
    cond: Float[Tensor, "b tokens dim"] | None,
    generator: torch.Generator | None,
) -> Float[Tensor, "b k"]:
    """What the denoiser makes of objects that were noised a little, with no hand known."""
    T = len(prior.schedule)
    low, high = (round(share * T) for share in PRIOR_TIMES)
    t: Int[Tensor, " b"] = torch.randint(low, high, (len(x),), generator=generator).to(x.device)
    noise = torch.randn(x.shape, generator=generator).to(x)
    x_t = prior.schedule.add_noise(x, noise, t)
    padded = torch.cat([x_t, x_t.new_zeros(len(x), prior.hand_size)], dim=1)
    times = torch.stack([t, torch.full_like(t, T)], dim=1)
    found = prior.noise_in(padded, x_t, t, times, cond, slice(0, prior.object_size))
    return prior.schedule.x0_from_noise(x_t, found, t)
