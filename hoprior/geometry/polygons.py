"""Concave polygons that were cut into fans, cut anew: no face lies over a notch, in the plane of its polygon."""

import manifold3d
import numpy as np
import trimesh

PLANE = 1e-4
"""A region is flat if its corners lie within this share of the mesh's diagonal of one plane."""
FOLD = -0.999
"""Cosine between the normals of two faces that lie on each other in one plane."""
CLOSED = 1e-3
"""A region whose faces cancel but for this share of their area is a sheet drawn from both sides, not a polygon."""
MOST_REGIONS = 20_000


def mend_fans(mesh: trimesh.Trimesh) -> tuple[trimesh.Trimesh, int]:
    """The mesh with the flat regions that are folded onto themselves triangulated anew, and how many there were.

    Readers cut a polygon of more than three corners into a fan around its first one. The fan of a concave polygon
    leaves it: faces lie over the notch, wound once forwards and once backwards. Together they still have the
    polygon's edges as their border, since edges between them cancel; so the border is what is cut anew (by
    `manifold3d.triangulate`). No vertex is added or moved.

    Args:
        mesh: one vertex a place, as `repair.merge_duplicates` leaves it.

    Example:
        >>> corners = [[0, 0, 0], [2, 0, 0], [2, 1, 0], [1, 0.2, 0], [0, 1, 0]]  # a notch in its upper side
        >>> fan = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3], [0, 3, 4]], process=False)
        >>> mended, regions = mend_fans(fan)
        >>> round(float(fan.area), 3), round(float(mended.area), 3), regions
        (1.8, 1.2, 1)
    """
    faces, verts = np.asarray(mesh.faces), np.asarray(mesh.vertices)
    seeds = _folded(mesh)
    if not len(seeds):
        return mesh, 0
    tolerance = PLANE * float(np.linalg.norm(mesh.extents))
    beside = _neighbours(mesh)
    normals = np.cross(verts[faces[:, 1]] - verts[faces[:, 0]], verts[faces[:, 2]] - verts[faces[:, 0]])
    done = np.zeros(len(faces), dtype=bool)
    removed, added, regions = [], [], 0
    for seed in seeds[:MOST_REGIONS]:
        if done[seed]:
            continue
        region = _flat_region(verts, faces, normals, beside, int(seed), tolerance)
        done[region] = True
        cut = _cut_anew(verts, faces[region], normals[region], normals[seed])
        if cut is not None:
            removed.append(region)
            added.append(cut)
            regions += 1
    if not regions:
        return mesh, 0
    keep = np.ones(len(faces), dtype=bool)
    keep[np.concatenate(removed)] = False
    return trimesh.Trimesh(verts, np.concatenate([faces[keep], *added]), process=False), regions


def _folded(mesh: trimesh.Trimesh) -> np.ndarray:
    """Faces, the largest first, that have a neighbour lying back on them, or one without an area."""
    pairs = np.asarray(mesh.face_adjacency)
    if not len(pairs):
        return np.zeros(0, dtype=int)
    area, normals = np.asarray(mesh.area_faces), np.asarray(mesh.triangles_cross)
    length = np.maximum(np.linalg.norm(normals, axis=1), 1e-300)
    unit = normals / length[:, None]
    cosine = (unit[pairs[:, 0]] * unit[pairs[:, 1]]).sum(axis=1)
    # Two faces may also meet in an edge and be wound against each other: that is an edge run twice in one direction.
    folded = (cosine < FOLD) & _run_against(np.asarray(mesh.faces), pairs, np.asarray(mesh.face_adjacency_edges))
    flat = area < 1e-9 * area.max()
    sides = pairs[folded | flat[pairs].any(axis=1)]
    found = np.unique(sides)
    found = found[~flat[found]]
    return found[np.argsort(-area[found], kind="stable")]


def _run_against(faces: np.ndarray, pairs: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Whether two neighbours run along their edge in opposite directions, as consistently wound faces do."""

    def forwards(which: np.ndarray) -> np.ndarray:
        corners = faces[which]
        start = (corners == edges[:, :1]).argmax(axis=1)
        return corners[np.arange(len(which)), (start + 1) % 3] == edges[:, 1]

    return forwards(pairs[:, 0]) != forwards(pairs[:, 1])


def _neighbours(mesh: trimesh.Trimesh) -> list[list[int]]:
    beside: list[list[int]] = [[] for _ in range(len(mesh.faces))]
    for a, b in np.asarray(mesh.face_adjacency).tolist():
        beside[a].append(b)
        beside[b].append(a)
    return beside


def _flat_region(
    verts: np.ndarray, faces: np.ndarray, normals: np.ndarray, beside: list[list[int]], seed: int, tolerance: float
) -> np.ndarray:
    """Faces that hang together with a seed and lie in its plane."""
    normal = normals[seed] / np.linalg.norm(normals[seed])
    height = float(verts[faces[seed, 0]] @ normal)
    found, waiting = {seed}, [seed]
    while waiting:
        for other in beside[waiting.pop()]:
            if other not in found and (np.abs(verts[faces[other]] @ normal - height) <= tolerance).all():
                found.add(other)
                waiting.append(other)
    return np.array(sorted(found))


def _cut_anew(verts: np.ndarray, region: np.ndarray, normals: np.ndarray, axis: np.ndarray) -> np.ndarray | None:
    """Triangles between the border of a flat region; None where it needs or allows none."""
    axis = axis / np.linalg.norm(axis)
    signed = normals @ axis
    if not ((signed > 0).any() and (signed < 0).any()) or abs(signed.sum()) < CLOSED * np.abs(signed).sum():
        return None
    if signed.sum() < 0:
        axis = -axis
    loops = _border(region)
    if not loops:
        return None
    across = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    across /= np.linalg.norm(across)
    flat = verts @ np.stack([across, np.cross(axis, across)], axis=1)
    order = np.concatenate(loops)
    try:
        triangles = np.asarray(manifold3d.triangulate([flat[loop] for loop in loops]))
    except (ValueError, RuntimeError):
        return None
    if not len(triangles):
        return None
    cut = order[triangles]
    a, b, c = flat[cut[:, 0]], flat[cut[:, 1]], flat[cut[:, 2]]
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    # The border may cross itself; what is cut anew must be better than what was there.
    if np.abs(areas).sum() > 0.5 * (np.abs(signed).sum() + abs(signed.sum())):
        return None
    return cut


def _border(faces: np.ndarray) -> list[np.ndarray]:
    """Loops of the edges that no face runs back along."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).tolist()
    count: dict[tuple[int, int], int] = {}
    for a, b in edges:
        if count.get((b, a), 0) > 0:
            count[b, a] -= 1
        else:
            count[a, b] = count.get((a, b), 0) + 1
    onward: dict[int, list[int]] = {}
    for (a, b), times in sorted(count.items()):
        onward.setdefault(a, []).extend([b] * times)
    loops = []
    for first in sorted(onward):
        while onward[first]:
            loop = [first]
            while onward.get(loop[-1]):
                vertex = onward[loop[-1]].pop()
                if vertex in loop:
                    at = loop.index(vertex)
                    loops.append(np.array(loop[at:]))
                    loop = loop[:at]
                loop.append(vertex)
    return [loop for loop in loops if len(loop) > 2]
