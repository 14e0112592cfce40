"""How far hand and object are from each other, vertex by vertex, for their colours."""

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from hoprior.geometry.sdf import signed_distance

REACH = 0.012
"""Farther away (m) no colour says anything."""
SPACING = 0.008
"""No point of a hand's surface is farther (m) from a vertex, and none of its inside farther than this and `REACH`."""
EDGE, COARSER = 0.005, 1.4
MM_PER_M = 1000.0
GAP_UNIT = 0.1
"""Millimetres: of the steps in which gaps are kept."""


def gaps_mm(points: Float[np.ndarray, "v 3"], other: trimesh.Trimesh) -> Float[np.ndarray, " v"]:
    """Signed distances (mm, negative inside) of points (m) to a mesh; NaN where it is out of reach.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> gaps_mm(np.array([[0.0, 0.0, 0.052], [0.0, 0.0, 0.049], [0.0, 0.0, 0.2]]), box).round(3)
        array([ 2., -1., nan])
    """
    low, high = other.bounds[0] - REACH, other.bounds[1] + REACH
    near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    found = np.full(len(points), np.nan)
    if len(near):
        distances = signed_distance(other, points[near])
        found[near] = np.where(distances > REACH, np.nan, MM_PER_M * distances)
    return found


def gaps_to_hand_mm(
    points: Float[np.ndarray, "w 3"], verts: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Float[np.ndarray, " w"]:
    """The same to a hand, whose vertices are so dense that one is near wherever its surface is."""
    found = np.full(len(points), np.nan)
    distance, _ = cKDTree(verts).query(points, distance_upper_bound=REACH + SPACING)
    near = np.flatnonzero(np.isfinite(distance))
    found[near] = gaps_mm(points[near], trimesh.Trimesh(verts, faces, process=False))
    return found


def fine(mesh: trimesh.Trimesh, most_faces: int) -> trimesh.Trimesh:
    """A mesh whose edges are about 5 mm long at most, so that colours of its vertices say where it is touched.

    Edges stay longer where there would be more than `most_faces`, and a surface that is not closed stays as it is.

    Example:
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> finer = fine(box, 20_000)
        >>> len(box.faces), 2000 < len(finer.faces) <= 20_000, round(float(finer.volume), 6)
        (12, True, 0.001)
    """
    from manifold3d import Error, Manifold, Mesh

    verts, faces = np.asarray(mesh.vertices, dtype=np.float32), np.asarray(mesh.faces, dtype=np.uint32)
    body = Manifold(Mesh(verts, faces))
    if body.status() != Error.NoError:
        return mesh
    length = EDGE
    while length < mesh.scale:
        refined = body.refine_to_length(length)
        if refined.num_tri() <= most_faces:
            made = refined.to_mesh()
            return trimesh.Trimesh(np.array(made.vert_properties)[:, :3], np.array(made.tri_verts), process=False)
        length *= COARSER
    return mesh
