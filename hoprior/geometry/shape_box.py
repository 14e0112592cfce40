"""The box that a shape fills, whose sides are brought to the same length: of a pen and a plate as much is seen.

Coordinates run from -1 to 1 between opposite faces of the box; `REACH` is how far what is looked at goes beyond.
Distances are in metres over `scale`, the geometric mean of the half sides, so that they change by about one from the
middle of a box to its face whatever its size.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid

REACH = 1.1
FIELD_RESOLUTION = 32
"""Points an axis at which an encoder sees a shape's distances."""
THINNEST = 5e-4
"""Least half side (m)."""


@dataclass(frozen=True)
class ShapeBox:
    """An axis-aligned box (m).

    Example:
        >>> box = ShapeBox.of(np.array([[0.0, 0.0, 0.0], [0.2, 0.04, 0.02]]))
        >>> box.unit(np.array([[0.2, 0.02, 0.0]])), round(box.scale, 4)
        (array([[ 1.,  0., -1.]]), 0.0271)
    """

    centre: Float[np.ndarray, " 3"]
    half: Float[np.ndarray, " 3"]

    @classmethod
    def of(cls, bounds: Float[np.ndarray, "2 3"]) -> "ShapeBox":
        """Between two corners."""
        return cls(bounds.mean(axis=0), np.maximum((bounds[1] - bounds[0]) / 2, THINNEST))

    @classmethod
    def of_inside(cls, sdf: SdfGrid) -> "ShapeBox":
        """Around the inside of an object whose distances are on a grid, found between its points.

        Raises:
            HopriorError: the grid has no inside.

        Example:
            >>> import trimesh
            >>> ShapeBox.of_inside(SdfGrid.from_mesh(trimesh.creation.box((0.1, 0.06, 0.03)))).extents.round(4)
            array([0.1 , 0.06, 0.03])
        """
        values = sdf.values.detach().float().cpu().numpy()
        low, high = np.zeros(3), np.zeros(3)
        for axis in range(3):
            # x, y, z of the object are the last, the middle and the first axis of the grid.
            least = values.min(axis=tuple(k for k in range(3) if k != 2 - axis))
            inside = np.flatnonzero(least < 0)
            if not len(inside):
                raise HopriorError("the object's grid of distances has no inside")
            first, last = inside[0], inside[-1]
            low[axis] = first - (least[first] / (least[first] - least[first - 1]) if first else 0)
            high[axis] = last + (least[last] / (least[last] - least[last + 1]) if last + 1 < len(least) else 0)
        corner = sdf.lower.detach().double().cpu().numpy()
        return cls.of(corner + sdf.cell * np.stack([low, high]))

    def field(self, sdf: SdfGrid) -> Float[Tensor, "r r r"]:
        """An object's distances on the box's lattice, over its scale: what an encoder sees of it.

        Example:
            >>> import trimesh
            >>> sdf = SdfGrid.from_mesh(trimesh.creation.box((0.1, 0.06, 0.03)))
            >>> field = ShapeBox.of_inside(sdf).field(sdf)
            >>> tuple(field.shape), bool(field[16, 16, 16] < 0 < field[0, 0, 0])
            ((32, 32, 32), True)
        """
        points = torch.from_numpy(self.metres(self.lattice(FIELD_RESOLUTION))).to(sdf.values)
        return sdf(points).view(3 * (FIELD_RESOLUTION,)) / self.scale

    @property
    def extents(self) -> Float[np.ndarray, " 3"]:
        """Its sides, m."""
        return 2 * self.half

    @property
    def scale(self) -> float:
        """The unit of distances, m."""
        return float(np.prod(self.half) ** (1 / 3))

    def unit(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points (m) in the box's coordinates."""
        return (points - self.centre) / self.half

    def metres(self, unit: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """The inverse of `unit`."""
        return self.centre + self.half * unit

    @staticmethod
    def lattice(resolution: int, reach: float = REACH) -> Float[np.ndarray, "n 3"]:
        """`resolution`³ points from -reach to reach, x running fastest."""
        axis = np.linspace(-reach, reach, resolution)
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        return np.stack([x, y, z], axis=-1).reshape(-1, 3)
