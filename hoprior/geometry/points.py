"""A closed surface around a cloud of points, for objects that were scanned and never meshed."""

import igl
import numpy as np
import trimesh
from jaxtyping import Bool, Float
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree
from scipy.spatial import ConvexHull, cKDTree
from skimage.measure import marching_cubes

from hoprior.errors import HopriorError

FEWEST = 200
"""Fewer points than this show no surface."""
FARTHEST = 1e15
"""What is farther off is nowhere, in any unit; a planet in micrometres is not. Squares of more are no numbers."""
FLAT = 1e-4
"""Points that lie so close to a plane, as a share of their extent, enclose nothing."""
MOST = 8_000
"""More points than this are thinned out: they lie closer than the cells of the surface."""
NEIGHBOURS = 12
STRAY = 5.0
"""A point is stray if its neighbours are so many times farther away than those of the others."""
CELLS = 64
"""Of the grid in which the surface is found, along the longest side."""
FLIPPED, VIEW_DISTANCE = 30.0, 3.0
"""Radius of the sphere that points are flipped over, and how far away it is looked from, in radii of the cloud."""
FACING = 0.3
"""Cosine between a normal and the way to an eye from which that side of the surface is seen."""
SURE = 0.25
"""Mean such cosine, over the eyes that see a point, from which the side that is outside is known."""
BOTH_SIDES = 0.2
"""Share of points that are seen from both of their sides above which a cloud is of one view: it has no back. Of eight
whole things, thin-walled ones among them, it is .07 at most, of views of them .2 to .9, but for one of a cup."""


def surface_of_scan(points: Float[np.ndarray, "n 3"], name: str) -> tuple[trimesh.Trimesh, list[str]]:
    """A closed surface around the points of a file as they come, and notes on what was left out or guessed.

    Args:
        name: the file's, for the message.

    Raises:
        HopriorError: they are too few, or lie in a plane.
    """
    there = (np.abs(points) < FARTHEST).all(axis=1)  # false for NaN, which cameras write where they see nothing
    notes = [] if there.all() else [f"left out {(~there).sum():,} of {len(points):,} points, which are nowhere (NaN)."]
    cloud = np.unique(np.asarray(points[there], dtype=np.float64), axis=0)
    if len(cloud) < FEWEST:
        raise HopriorError(
            f"{name}: has points and no faces, and {len(cloud)} different points are too few to show a surface: "
            f"give at least {FEWEST} from all around the object, or a mesh with faces"
        )
    spread = np.linalg.svd(cloud - cloud.mean(axis=0), compute_uv=False)
    if spread[2] < FLAT * spread[0]:
        raise HopriorError(
            f"{name}: has points and no faces, and all of them lie in one plane: give points from all around the "
            "object, or a mesh with faces"
        )
    surface, note = surface_of_points(points[there])
    return surface, [*notes, note]


def surface_of_points(points: Float[np.ndarray, "n 3"]) -> tuple[trimesh.Trimesh, str]:
    """A closed surface around points, and a note on what was guessed.

    Each point's normal is that of its neighbourhood, and points to where the point is seen from (Katz et al., Direct
    Visibility of Point Sets, 2007). The surface is where the winding number of these oriented points is a half (Barill
    et al., Fast Winding Numbers for Soups and Clouds, 2018; libigl). Points of one view show no back, so there their
    convex hull (qhull) is taken.

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
    distance = cKDTree(cloud).query(cloud, NEIGHBOURS + 1)[0][:, -1]
    cloud = cloud[distance <= STRAY * np.median(distance)]
    about = f"a cloud of {len(points):,} points: "
    normals, areas, both = _oriented(cloud)
    if both <= BOTH_SIDES:
        surface = _half_wound(cloud, normals, areas)
        if surface is not None:
            return surface, about + "its surface was guessed; what lies between the points may differ."
    return trimesh.PointCloud(
        cloud
    ).convex_hull, about + "they show one side only, so their convex hull was taken, and the back is a guess."


def _half_wound(
    cloud: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], areas: Float[np.ndarray, " n"]
) -> trimesh.Trimesh | None:
    """The surface on which the winding number is a half; None if there is none."""
    cell = np.ptp(cloud, axis=0).max() / CELLS
    low = cloud.min(axis=0) - 3 * cell
    counts = np.ceil((np.ptp(cloud, axis=0) + 6 * cell) / cell).astype(int) + 1
    places = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3) * cell + low
    winding = igl.fast_winding_number(cloud, normals, areas, places).reshape(counts)
    if not winding.min() < 0.5 < winding.max():
        return None
    # Nothing is inside at the grid's edge, so the surface is closed.
    edge = np.ones(counts, dtype=bool)
    edge[1:-1, 1:-1, 1:-1] = False
    verts, faces, _, _ = marching_cubes(np.where(edge, np.minimum(winding, 0.0), winding), 0.5)
    surface = trimesh.Trimesh(verts * cell + low, faces)
    if surface.volume < 0:
        surface.invert()
    return surface


def _oriented(
    cloud: Float[np.ndarray, "n 3"],
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"], float]:
    """Outward normals, the area around each point, and the share of points that are seen from both of their sides."""
    distance, near = cKDTree(cloud).query(cloud, NEIGHBOURS + 1)
    around = cloud[near] - cloud[near].mean(axis=1, keepdims=True)
    normals = np.linalg.svd(around, full_matrices=False)[2][:, 2]
    areas = np.pi * distance[:, -1] ** 2 / NEIGHBOURS
    eyes = np.asarray(trimesh.creation.icosphere(1).vertices)
    seen = np.stack([_seen(cloud, eye) for eye in eyes], axis=1)
    facing = normals @ eyes.T
    front, back = (seen & (facing > FACING)).sum(axis=1), (seen & (facing < -FACING)).sum(axis=1)
    both = float((np.minimum(front, back) > FACING * np.maximum(front, back)).mean())
    outward = (seen * facing).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    normals = normals * np.where(outward < 0, -1.0, 1.0)[:, None]
    return _agreeing(normals, near[:, 1:], np.abs(outward) > SURE), areas, both


def _seen(cloud: Float[np.ndarray, "n 3"], eye: Float[np.ndarray, "3"]) -> Bool[np.ndarray, " n"]:
    """Which points are seen from far away in a direction: those on the hull of all, flipped over a sphere."""
    centre = cloud.mean(axis=0)
    radius = np.linalg.norm(cloud - centre, axis=1).max()
    rays = cloud - (centre + VIEW_DISTANCE * radius * eye)
    lengths = np.linalg.norm(rays, axis=1, keepdims=True)
    flipped = rays + 2 * (FLIPPED * lengths.max() - lengths) * rays / lengths
    corners = ConvexHull(np.concatenate([flipped, np.zeros((1, 3))])).vertices
    seen = np.zeros(len(cloud), dtype=bool)
    seen[corners[corners < len(cloud)]] = True
    return seen


def _agreeing(
    normals: Float[np.ndarray, "n 3"], near: np.ndarray, sure: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """Normals that nothing sees, turned to agree with those of the nearest neighbours that are sure (Hoppe 1992)."""
    if sure.all() or not sure.any():
        return normals
    first, second = np.repeat(np.arange(len(near)), near.shape[1]), near.reshape(-1)
    bent = 1.001 - np.abs((normals[first] * normals[second]).sum(axis=1))
    graph = coo_matrix((bent, (first, second)), shape=(len(near), len(near))).tocsr()
    tree = minimum_spanning_tree(graph.maximum(graph.T))
    away, before, _ = dijkstra(
        tree + tree.T, directed=False, indices=np.flatnonzero(sure), min_only=True, return_predecessors=True
    )
    turned = normals.copy()
    for k in np.argsort(away):
        if not sure[k] and before[k] >= 0 and turned[k] @ turned[before[k]] < 0:
            turned[k] *= -1
    return turned
