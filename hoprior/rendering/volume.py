"""The mask and the depth of an implicit surface along rays, differentiable, and how it and a hand hide each other.

Opacity comes from signed distances as in NeuS (Wang et al., NeurIPS 2021, Eq. 13): a ray that grazes the surface is
half opaque. Densities that fall off outside, as VolSDF's, make silhouettes larger than the surface by about twice
their width, and a surface that is fitted to masks too small by as much.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.state import SignedDistance


class VolumeMask(NamedTuple):
    """What b bundles of r rays see of a surface."""

    alpha: Float[Tensor, "b r"]
    """Opacity: 1 where the ray goes through."""
    depth: Float[Tensor, "b r"]
    """Where it meets the surface, in units of the rays' directions; the box's far side where it does not."""
    nearest: Float[Tensor, "b r"]
    """The least signed distance along the ray, metres; for rays beside the box, its distance where they end."""


def pixel_rays(
    pixels: Float[Tensor, "b r 2"], intrinsics: Float[Tensor, "b 4"], T_object_camera: Float[Tensor, "b 4 4"]
) -> tuple[Float[Tensor, "b 1 3"], Float[Tensor, "b r 3"]]:
    """Origins and directions of pixels' rays in the object's frame; a direction is one metre of depth long.

    Example:
        >>> intrinsics = torch.tensor([[8.0, 8.0, 8.0, 8.0]])
        >>> pixel_rays(torch.tensor([[[8.0, 16.0]]]), intrinsics, torch.eye(4)[None])
        (tensor([[[0., 0., 0.]]]), tensor([[[0., 1., 1.]]]))
    """
    directions = (pixels - intrinsics[:, None, 2:]) / intrinsics[:, None, :2]
    directions = torch.cat([directions, torch.ones_like(directions[..., :1])], dim=-1)
    return T_object_camera[:, None, :3, 3], directions @ T_object_camera[:, :3, :3].mT


def render_mask(
    sdf: SignedDistance,
    origins: Float[Tensor, "b 1 3"],
    directions: Float[Tensor, "b r 3"],
    lower: Float[Tensor, " 3"],
    upper: Float[Tensor, " 3"],
    *,
    samples: int = 48,
    width: float = 0.002,
    generator: torch.Generator | None = None,
) -> VolumeMask:
    """Volume rendering of a surface in the box between `lower` and `upper`.

    Args:
        sdf: signed distance (metres) at points (b, n, 3) of the object's frame.
        samples: points along each ray, evenly through the box.
        width: metres over which opacity goes from a quarter to three quarters.
        generator: shifts each ray's samples by a random part of their spacing; not at all if None.

    Example:
        >>> def ball(points):
        ...     return points.norm(dim=-1) - 0.1
        >>> origins, directions = torch.tensor([[[0.0, 0.0, -0.5]]]), torch.tensor([[[0.0, 0.0, 1.0], [0.5, 0.0, 1.0]]])
        >>> seen = render_mask(ball, origins, directions, torch.full((3,), -0.2), torch.full((3,), 0.2))
        >>> seen.alpha.round(decimals=2), round(float(seen.depth[0, 0]), 2)
        (tensor([[1., 0.]]), 0.4)
    """
    safe = torch.where(directions.abs() < 1e-9, torch.full_like(directions, 1e-9), directions)
    first, second = (lower - origins) / safe, (upper - origins) / safe
    near = torch.minimum(first, second).amax(dim=-1).clamp(min=1e-3).detach()
    far = torch.maximum(first, second).amin(dim=-1).detach()
    hits = far > near
    far = torch.where(hits, far, near + 1e-3)
    steps = torch.linspace(0, 1, samples, device=directions.device).expand(*near.shape, samples)
    if generator is not None:
        shift = torch.rand(near.shape, generator=generator)[..., None].to(steps) - 0.5
        steps = (steps + shift / (samples - 1)).clamp(0, 1)
    t = near[..., None] + (far - near)[..., None] * steps
    points = origins[:, :, None] + t[..., None] * directions[:, :, None]
    distance = sdf(points.flatten(1, 2)).unflatten(1, (-1, samples))
    inside = torch.sigmoid(distance / (0.5 * width))
    passed = (inside[..., 1:] + 1e-5) / (inside[..., :-1] + 1e-5)
    each = (1 - passed).clamp(min=0) * hits[..., None]
    through = torch.cumprod(torch.cat([torch.ones_like(each[..., :1]), 1 - each + 1e-7], dim=-1), dim=-1)
    weights = each * through[..., :-1]
    middle = 0.5 * (t[..., 1:] + t[..., :-1])
    depth = (weights * middle).sum(dim=-1) + through[..., -1] * t[..., -1]
    return VolumeMask(weights.sum(dim=-1).clamp(0, 1), depth, distance.amin(dim=-1))


def composite(
    alpha: Float[Tensor, "*b"],
    depth: Float[Tensor, "*b"],
    other_alpha: Float[Tensor, "*b"],
    other_depth: Float[Tensor, "*b"],
    softness: float = 0.005,
) -> Float[Tensor, "*b"]:
    """How much is seen of a thing of an opacity and depth before and behind another; `softness` is in metres.

    Example:
        >>> front, behind = torch.tensor([1.0]), torch.tensor([2.0])
        >>> opaque = torch.ones(1)
        >>> composite(opaque, front, opaque, behind), composite(opaque, behind, opaque, front)
        (tensor([1.]), tensor([0.]))
    """
    other_in_front = torch.sigmoid((depth - other_depth) / softness)
    return alpha * (1 - other_alpha * other_in_front)
