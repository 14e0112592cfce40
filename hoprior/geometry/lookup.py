"""Fields on the points of a box, looked up between them and beyond."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def trilinear(fields: Float[Tensor, "b c D H W"], unit: Float[Tensor, "b n 3"]) -> Float[Tensor, "b c n"]:
    """Fields at points (x, y, z) that are -1 at a box's first grid points and 1 at its last; at points beyond the box,
    as at the nearest of the box. Differentiable in both.

    Example:
        >>> import torch
        >>> ramp = torch.arange(3.0).expand(1, 1, 2, 2, 3)
        >>> trilinear(ramp, torch.tensor([[[-0.5, 0.0, 0.0], [9.0, 0.0, 0.0]]]))
        tensor([[[0.5000, 2.0000]]])
    """
    return F.grid_sample(fields, unit[:, :, None, None], align_corners=True, padding_mode="border")[..., 0, 0]


def trilinear_distance(
    distances: Float[Tensor, "b c D H W"], unit: Float[Tensor, "b n 3"], half: Float[Tensor, " 3"]
) -> Float[Tensor, "b c n"]:
    """Signed distances (m) likewise, of a box that reaches `half` (m) from its middle: beyond the box they grow by how
    far a point is from it, which is never less than the truth.

    Example:
        >>> import torch
        >>> ramp = torch.tensor([-1.0, 1.0]).expand(1, 1, 2, 2, 2)
        >>> trilinear_distance(ramp, torch.tensor([[[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]]), torch.ones(3))
        tensor([[[0., 3.]]])
    """
    beyond = (unit - unit.clamp(-1, 1)).mul_(half).norm(dim=-1)
    return trilinear(distances, unit) + beyond[:, None]


def resized(field: Float[Tensor, "d h w"], shape: tuple[int, int, int]) -> Float[Tensor, "D H W"]:
    """A field on a box with another number of points along each side, trilinear between its own.

    As `F.interpolate`, one product with a matrix along each axis: with the way back torch's own takes ten times as long
    on a CPU.

    Example:
        >>> ramp = torch.arange(3.0).expand(2, 2, 3)
        >>> resized(ramp, (2, 2, 5))[1, 0]
        tensor([0.0000, 0.5000, 1.0000, 1.5000, 2.0000])
    """
    for axis, (size, wanted) in enumerate(zip(field.shape, shape, strict=True)):
        if size != wanted:
            field = (field.movedim(axis, -1) @ _between(size, wanted, field.dtype, field.device)).movedim(-1, axis)
    return field


@lru_cache(maxsize=64)
def _between(size: int, wanted: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "size wanted"]:
    """How much of each point there is in each of the wanted ones."""
    points = torch.eye(size, dtype=dtype, device=device)
    return F.interpolate(points[None], size=wanted, mode="linear", align_corners=True)[0]
