"""The grid that priors see: a cube of points fixed in the hand's frame, and an object's signed distance on it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.constants import constant
from hoprior.errors import HopriorError
from hoprior.geometry.state import HandObjectState


@dataclass(frozen=True)
class GridSpec:
    """A cube of `resolution`³ points around `center`, reaching `half_extent` metres to each side.

    Tensors on the grid are (..., z, y, x), and the first and last points of an axis lie on the cube's faces
    (`align_corners=True` in torch's words).

    Example:
        >>> spec = GridSpec(center=(0.1, 0.0, 0.0), half_extent=0.15, resolution=4)
        >>> round(spec.cell, 3), spec.shape, spec.points().shape
        (0.1, (4, 4, 4), torch.Size([64, 3]))
        >>> [round(x, 3) for x in spec.points()[1].tolist()]
        [0.05, -0.15, -0.15]
        >>> GridSpec(**spec.config()) == spec
        True
    """

    center: Sequence[float]
    half_extent: float
    resolution: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "center", tuple(float(c) for c in self.center))
        if len(self.center) != 3:
            raise HopriorError(f"grid center has {len(self.center)} numbers: give x, y, z in metres.")
        if self.half_extent <= 0 or self.resolution < 2:
            raise HopriorError(
                f"grid has half_extent {self.half_extent} m and resolution {self.resolution}: "
                "they must be positive and at least 2."
            )

    @property
    def cell(self) -> float:
        """Distance between neighbouring points, metres."""
        return 2 * self.half_extent / (self.resolution - 1)

    @property
    def lower(self) -> tuple[float, float, float]:
        """The corner with the smallest x, y, z, metres."""
        x, y, z = self.center
        return (x - self.half_extent, y - self.half_extent, z - self.half_extent)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(D, H, W), the points along z, y, x."""
        return (self.resolution, self.resolution, self.resolution)

    def points(self, device: torch.device | str | None = None) -> Float[Tensor, "n 3"]:
        """The x, y, z of all points in metres, in the order of a flattened (z, y, x) tensor: x runs fastest."""
        axis = torch.linspace(-self.half_extent, self.half_extent, self.resolution, device=device)
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        return torch.stack([x, y, z], dim=-1).reshape(-1, 3) + constant(tuple(self.center), like=axis)

    def with_resolution(self, resolution: int) -> "GridSpec":
        """The same cube with other points in it."""
        return replace(self, resolution=resolution)

    def config(self) -> dict[str, Any]:
        """Plain numbers for JSON, YAML and checkpoints; `GridSpec(**config)` is the way back."""
        return {**asdict(self), "center": list(self.center)}


def sample_object_grid(state: HandObjectState, spec: GridSpec) -> Float[Tensor, "b 1 D H W"]:
    """The object's signed distance (metres, negative inside) on the grid in each hand's frame.

    Differentiable in the state's `T_object_hand`; not truncated, which is the prior's own choice.

    Example:
        >>> state = HandObjectState(lambda points: points[..., 2] - 0.02, torch.eye(4)[None], torch.zeros(1, 21, 3))
        >>> grid = sample_object_grid(state, GridSpec((0.0, 0.0, 0.0), half_extent=0.1, resolution=3))
        >>> grid.shape, grid[0, 0, :, 0, 0]
        (torch.Size([1, 1, 3, 3, 3]), tensor([-0.1200, -0.0200,  0.0800]))
    """
    points_hand = spec.points(state.T_object_hand.device).to(state.T_object_hand.dtype)
    return state.object_sdf_at(points_hand).reshape(len(state), 1, *spec.shape)
