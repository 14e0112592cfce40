"""Parts of an object's surface as points on it: which hang together, which lie in a mesh, how far it is to them."""

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from hoprior.geometry.repair import linked
from hoprior.geometry.sdf import SdfGrid, signed_distance

SAMPLES = 6000
"""Points that stand for a surface: some 3 mm apart on a jug."""
TOUCH = 0.003
"""What is so near (m) to a mesh that marks a part is of the part: drawn by hand, a mark does not lie on the surface."""
NEIGHBOURS = 6
"""Points next to a point, along which a part holds together."""
GRID_RESOLUTION = 56
"""Cells per axis of a part's distances, about."""
GRID_MARGIN = 0.04
"""Around the part (m)."""


def surface_samples(mesh: trimesh.Trimesh, num: int = SAMPLES) -> Float[np.ndarray, "n 3"]:
    """Points evenly on a surface, the same for the same mesh.

    Example:
        >>> surface_samples(trimesh.creation.icosphere(radius=0.05), 10).shape
        (10, 3)
    """
    return np.asarray(trimesh.sample.sample_surface(mesh, num, seed=0)[0])


def points_in_mesh(points: Float[np.ndarray, "n 3"], mesh: trimesh.Trimesh) -> Bool[np.ndarray, " n"]:
    """Which points lie in a mesh or on it.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> points_in_mesh(np.array([[0.0, 0.0, 0.0], [0.051, 0.0, 0.0], [0.06, 0.0, 0.0]]), box)
        array([ True,  True, False])
    """
    return signed_distance(mesh, points) < TOUCH


def likeliest_part(
    points: Float[np.ndarray, "n 3"], likelihood: Float[np.ndarray, " n"], least: float, peak: float
) -> Bool[np.ndarray, " n"]:
    """Which of a surface's points make the part that is likeliest: what hangs together, each likelier than `least`,
    with a point in it that is likelier than `peak`.

    Example:
        >>> handle = np.stack([np.linspace(0.0, 0.1, 50), np.zeros(50), np.zeros(50)], axis=1)
        >>> likelihood = np.concatenate([np.full(49, 0.4), [0.9], np.full(50, 0.4)])  # one point of the handle is sure
        >>> found = likeliest_part(np.concatenate([handle, handle + 0.5]), likelihood, least=0.3, peak=0.8)
        >>> bool(found[:50].all()), bool(found[50:].any())
        (True, False)
    """
    chosen = np.flatnonzero(likelihood > least)
    found = np.zeros(len(points), dtype=bool)
    if not len(chosen):
        return found
    # Spacing as the surface has it, so that the two sides of a gap stay apart and a thin part hangs together.
    spacing = 2.5 * float(np.median(cKDTree(points).query(points, k=min(NEIGHBOURS, len(points)))[0][:, -1]))
    near = cKDTree(points[chosen]).query_pairs(spacing, output_type="ndarray")
    count, label = linked(near, len(chosen))
    best = np.zeros(count)
    np.maximum.at(best, label, likelihood[chosen])
    found[chosen[best[label] > peak]] = True
    return found


def distances_to(points: Float[np.ndarray, "n 3"]) -> SdfGrid:
    """Distances (m, never negative) to the nearest of points, on a grid around them.

    Example:
        >>> grid = distances_to(np.zeros((1, 3)))
        >>> round(float(grid(torch.tensor([[0.03, 0.0, 0.0]]))), 3)
        0.03
    """
    lower, upper = points.min(axis=0) - GRID_MARGIN, points.max(axis=0) + GRID_MARGIN
    cell = float(np.prod(upper - lower)) ** (1 / 3) / (GRID_RESOLUTION - 1)
    shape = np.ceil((upper - lower) / cell).astype(int) + 1
    axes = [lower[k] + cell * np.arange(shape[k]) for k in (2, 1, 0)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    lattice = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    values = cKDTree(points).query(lattice)[0].reshape(x.shape)
    upper = lower + cell * (shape - 1)
    return SdfGrid(*(torch.tensor(a, dtype=torch.float32) for a in (values, lower, upper)))
