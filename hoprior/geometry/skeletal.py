"""Skeletal distance fields: a hand as squared distances to its joints on a grid, and the joints back from the field.

G-HOP (Ye et al., CVPR 2024, section 3.1) describes the hand beside the object's signed distance in this way, so that
one convolutional network sees both. G-HOP recovers the hand by gradient descent; here the joints have a closed form.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool3d

from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec

FIELD_JOINTS = {20: slice(1, 21), 15: slice(1, 16)}
"""Joints with a channel, by the number of channels: without the wrist (the frame's origin), and without the tips."""

RIDGE = 1e-4
"""Added to normal equations in units of the half extent; it decides only where a field tells next to nothing."""


def skeletal_field(
    joints_hand: Float[Tensor, "b 21 3"], spec: GridSpec, clamp: float, channels: int = 20
) -> Float[Tensor, "b {channels} D H W"]:
    """Squared distance (m²) from each grid point to each joint, truncated at `clamp` m².

    Args:
        joints_hand: joints in the canonical hand frame, MANO order, metres.
        clamp: the largest value in the field, m²; G-HOP's 0.12 in its units of 0.2 m is 0.0048 m².
        channels: 20 (all joints but the wrist) or 15 (no fingertips either, as in the paper's text).

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=8)
        >>> field = skeletal_field(torch.zeros(2, 21, 3), spec, clamp=0.0048)
        >>> field.shape, round(float(field.max()), 4)
        (torch.Size([2, 20, 8, 8, 8]), 0.0048)
    """
    if channels not in FIELD_JOINTS:
        raise HopriorError(f"a skeletal field has 15 or 20 channels, not {channels}.")
    joints = joints_hand[:, FIELD_JOINTS[channels]]
    axis = torch.linspace(-spec.half_extent, spec.half_extent, spec.resolution, device=joints.device)
    center = torch.tensor(spec.center, device=joints.device, dtype=joints.dtype)
    # The square separates by axis, so the field is a sum of three short rows instead of a (b, C, n, 3) tensor.
    rows = (axis.to(joints.dtype) + center[:, None] - joints[..., None]).square()
    x, y, z = rows.unbind(dim=-2)
    field = z[..., :, None, None] + y[..., None, :, None] + x[..., None, None, :]
    return field.clamp(max=clamp)


def joints_from_field(
    field: Float[Tensor, "b C D H W"], spec: GridSpec, clamp: float, refinements: int = 5
) -> Float[Tensor, "b C 3"]:
    """Joints (metres, hand frame) whose squared distances a field holds; batched, differentiable, robust to noise.

    The joint j minimises `sum w (|p - j|² - f)²` over the cells p. From the lowest cell of the smoothed field, each
    refinement is one Gauss-Newton step, closed in 3x3. Its weights fall to zero where the present estimate expects
    the clamp: most cells lie there, know nothing, and their noise is cut off on one side.
    A joint that no cell sees (all values at the clamp) cannot be known; it lands somewhere on the grid.

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=8)
        >>> joints = torch.full((1, 21, 3), 0.03)
        >>> found = joints_from_field(skeletal_field(joints, spec, clamp=0.0048), spec, clamp=0.0048)
        >>> found.shape, [round(x, 3) for x in found[0, 0].tolist()]
        (torch.Size([1, 20, 3]), [0.03, 0.03, 0.03])
    """
    # Units of the half extent, about the centre, keep float32 sums well conditioned.
    center = torch.tensor(spec.center, dtype=field.dtype, device=field.device)
    points = (spec.points(field.device).to(field.dtype) - center) / spec.half_extent
    square = points.square().sum(-1)
    limit = clamp / spec.half_extent**2
    y = square - field.flatten(2) / spec.half_extent**2

    smooth = avg_pool3d(field.detach(), kernel_size=3, stride=1, padding=1, count_include_pad=False)
    nearest = points[smooth.flatten(2).argmin(dim=-1)]
    joints = nearest
    for _ in range(refinements):
        at = joints.detach()
        distance = square - 2 * at @ points.T + at.square().sum(-1, keepdim=True)
        weight = (1 - distance / limit).clamp(0, 1)
        joints = joints - _gauss_newton_step(joints, weight, points, y)

    # A joint beyond the grid can be at most this far from the nearest cell that sees it.
    step, reach = joints - nearest, limit**0.5
    joints = nearest + step * (reach / step.norm(dim=-1, keepdim=True).clamp(min=reach))
    return joints * spec.half_extent + center


def _gauss_newton_step(
    j: Float[Tensor, "b C 3"], weight: Float[Tensor, "b C n"], points: Float[Tensor, "n 3"], y: Float[Tensor, "b C n"]
) -> Float[Tensor, "b C 3"]:
    """Step for `sum w r²`, `r = y - 2 p.j + |j|²` with `y = |p|² - f`; the Jacobian is `2 (j - p)`."""
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=1e-6)
    one = torch.ones_like(points[:, :1])
    basis = torch.cat([one, points, (points[:, :, None] * points[:, None, :]).flatten(1)], dim=-1)
    total, p, pp = (weight @ basis).split([1, 3, 9], dim=-1)
    sum_y, sum_yp = ((weight * y) @ basis[:, :4]).split([1, 3], dim=-1)
    pp = pp.unflatten(-1, (3, 3))

    square = j.square().sum(-1, keepdim=True)
    sum_r = sum_y - 2 * (p * j).sum(-1, keepdim=True) + total * square
    sum_rp = sum_yp - 2 * (pp @ j[..., None])[..., 0] + square * p
    cross = j[..., :, None] * p[..., None, :]
    hessian = total[..., None] * j[..., :, None] * j[..., None, :] - cross - cross.transpose(-1, -2) + pp
    hessian = hessian + RIDGE * torch.eye(3, dtype=j.dtype, device=j.device)
    return 0.5 * torch.linalg.solve(hessian, (sum_r * j - sum_rp)[..., None])[..., 0]
