"""A closed surface around a cloud of points, for objects that were scanned and never meshed."""

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from hoprior.geometry import repair

FEWEST = 200
"""Fewer points than this show no surface."""
MOST = 8_000
"""More points than this are thinned out: they lie closer than the cells of the surface."""
NEIGHBOURS = 6
STRAY = 5.0
"""A point is stray if its neighbours are so many times farther away than those of the others."""
SOLID_SHARE = 0.25
"""A surface that holds less than this share of its convex hull is that of one view: it has no back."""


def surface_of_points(points: np.ndarray) -> tuple[trimesh.Trimesh, str]:
    """A closed surface around points (n, 3), and a note on what was guessed.

    Triangles between neighbours show where the surface is, and `repair.shell` takes what is seen of them from outside.
    Points of one view show no back, so there their convex hull (qhull) is taken.

    Args:
        points: at least `FEWEST`, in any unit.

    Example:
        >>> ball = trimesh.creation.icosphere(4, 0.05)
        >>> surface, note = surface_of_points(np.asarray(ball.vertices))
        >>> surface.is_watertight, round(float(surface.volume / ball.volume), 1), note[:32]
        (True, 1.0, 'a cloud of 2,562 points: its sur')
    """
    cloud = np.unique(np.asarray(points, dtype=np.float64), axis=0)
    if len(cloud) > MOST:
        cloud = cloud[np.random.default_rng(0).choice(len(cloud), MOST, replace=False)]
    distance, near = cKDTree(cloud).query(cloud, NEIGHBOURS + 1)
    kept = distance[:, -1] <= STRAY * np.median(distance[:, -1])
    about = f"a cloud of {len(points):,} points: "
    first, second = np.triu_indices(NEIGHBOURS, 1)
    corners = np.stack(np.broadcast_arrays(near[:, :1], near[:, 1 + first], near[:, 1 + second]), axis=-1)
    faces = corners[kept].reshape(-1, 3)
    faces = np.unique(np.sort(faces[kept[faces].all(axis=1)], axis=1), axis=0)
    soup = repair.submesh(trimesh.Trimesh(cloud, faces, process=False), np.arange(len(faces)))
    hull = soup.convex_hull
    surface = repair.shell(soup)
    if surface.volume >= SOLID_SHARE * hull.volume:
        return surface, about + "its surface was guessed from outside; what lies between the points may differ."
    return hull, about + "they show one side only, so their convex hull was taken, and the back is a guess."
