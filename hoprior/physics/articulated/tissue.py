"""Masses of a hand's bodies: the volume that is nearest to each, of the density of a hand's tissue."""

from typing import NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from hoprior.geometry.repair import winding_number

DENSITY = 1160.0
"""kg/m³ of a hand as a whole: Dempster 1955, table 4.1 of Winter, Biomechanics and Motor Control (2009)."""
PITCH = 0.0025
"""Edge (m) of the voxels that volumes are counted in."""


class Mass(NamedTuple):
    """Of one rigid body: kg, m, kg m²; the inertia is about `center`, in the axes of the frame that `center` is in."""

    mass: float
    center: Float[np.ndarray, " 3"]
    inertia: Float[np.ndarray, "3 3"]


def part_masses(
    surface: trimesh.Trimesh, part_of_vertex: Int[np.ndarray, " v"], parts: int, density: float = DENSITY
) -> list[Mass]:
    """Masses of the parts of a closed surface, each the volume nearest to its vertices; they sum to the whole.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.05, 0.05)).subdivide()
        >>> left, right = part_masses(box, (box.vertices[:, 0] > 0).astype(int), 2, density=1000.0)
        >>> float(round(left.mass + right.mass, 6)), bool(left.center[0] < 0 < right.center[0])
        (0.25, True)
    """
    low, high = surface.bounds
    axes = [np.arange(a + PITCH / 2, b, PITCH) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[winding_number(surface, points) > 0.5]
    part = part_of_vertex[cKDTree(surface.vertices).query(points)[1]]
    voxel = density * surface.volume / len(points)  # so that the whole weighs what its exact volume does
    found = []
    for k in range(parts):
        own = points[part == k]
        center = own.mean(axis=0)
        out = own - center
        squares = out.T @ out
        cube = len(own) * PITCH**2 / 6 * np.eye(3)  # of the voxels about their own middles
        found.append(Mass(voxel * len(own), center, voxel * (np.trace(squares) * np.eye(3) - squares + cube)))
    return found
