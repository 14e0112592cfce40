"""Surfaces out of signed-distance grids."""

import numpy as np
import trimesh
from jaxtyping import Float
from skimage import measure
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.units import length_text


def extract_surface(
    values: Float[np.ndarray, "D H W"], lower: tuple[float, float, float], cell: float, level: float = 0.0
) -> trimesh.Trimesh:
    """The surface where a grid (z, y, x) of signed distances crosses `level`; `lower` is the position of [0, 0, 0].

    Raises:
        HopriorError: the grid never crosses the level.

    Example:
        >>> z, y, x = np.mgrid[-5:6, -5:6, -5:6] / 100
        >>> ball = extract_surface(np.sqrt(x**2 + y**2 + z**2) - 0.03, lower=(-0.05, -0.05, -0.05), cell=0.01)
        >>> ball.is_watertight, ball.extents.round(3)
        (True, array([0.06, 0.06, 0.06]))
    """
    if not values.min() < level < values.max():
        low, high = length_text(float(values.min())), length_text(float(values.max()))
        raise HopriorError(
            f"no surface in the grid: its signed distances run from {low} to {high} and never cross {level:g}."
        )
    # Low values are inside; skimage winds for that under "ascent" once its (z, y, x) are read as (x, y, z).
    verts_zyx, faces, _, _ = measure.marching_cubes(values, level=level, gradient_direction="ascent")
    verts = verts_zyx[:, ::-1] * cell + np.asarray(lower)
    return trimesh.Trimesh(vertices=verts, faces=faces, process=False)


def marching_cubes(sdf_grid: Float[Tensor, "D H W"], spec: GridSpec, level: float = 0.0) -> trimesh.Trimesh:
    """The surface in a signed-distance grid (metres, negative inside), in the frame of `spec`, normals outwards.

    Example:
        >>> spec = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=16)
        >>> ball = (spec.points().norm(dim=-1) - 0.05).reshape(spec.shape)
        >>> marching_cubes(ball, spec).extents.round(2)
        array([0.1, 0.1, 0.1])
    """
    values = sdf_grid.detach().cpu().float().numpy()
    if values.shape != spec.shape:
        raise HopriorError(f"sdf_grid has shape {values.shape}, its spec says {spec.shape}.")
    return extract_surface(values, spec.lower, spec.cell, level)
