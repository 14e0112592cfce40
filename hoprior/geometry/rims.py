"""Walls that are modelled as separate surfaces, joined at their rims: a cup stays hollow."""

from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from hoprior.geometry.repair import vertex_pieces

WALL_SHARE, MAX_WALL = 0.2, 0.01
"""Two rims belong to one wall if all of each lies this close to the other: this share of its extent, at most 1 cm."""
MOST_RIMS = 64


class _Rim(NamedTuple):
    loop: np.ndarray
    piece: int


def join_rims(mesh: trimesh.Trimesh) -> tuple[trimesh.Trimesh, int]:
    """The mesh (metres) with strips between rims of different pieces that run side by side, and how many there are.

    Capping each rim by itself would fill a cup whose inner and outer wall are two surfaces: its mouth would be solid.
    The faces of a strip run as those of one of its sides; `repair.orient_outwards` turns what hangs together.

    Example:
        >>> outer, inner = (trimesh.creation.cylinder(r, 0.1, sections=24) for r in (0.04, 0.037))
        >>> walls = [trimesh.Trimesh(m.vertices, m.faces[m.face_normals[:, 2] < 0.9]) for m in (outer, inner)]
        >>> walls[1].apply_translation([0, 0, 0.003])
        <trimesh.Trimesh(vertices.shape=(49, 3), faces.shape=(72, 3))>
        >>> joined, strips = join_rims(trimesh.util.concatenate(walls))
        >>> strips, joined.is_watertight
        (1, True)
    """
    faces, verts = np.asarray(mesh.faces), np.asarray(mesh.vertices)
    rims = _rims(faces, len(verts))
    if not 2 <= len(rims) <= MOST_RIMS or len({rim.piece for rim in rims}) < 2:
        return mesh, 0
    pairs = sorted(
        (gap, a, b)
        for b in range(len(rims))
        for a in range(b)
        if rims[a].piece != rims[b].piece and (gap := _gap(verts, rims[a].loop, rims[b].loop)) is not None
    )
    joined: set[int] = set()
    strips = []
    for _, a, b in pairs:
        if not joined & {a, b}:
            joined |= {a, b}
            strips.append(_strip(verts, rims[a].loop, rims[b].loop))
    if not strips:
        return mesh, 0
    return trimesh.Trimesh(verts, np.concatenate([faces, *strips]), process=False), len(strips)


def _rims(faces: np.ndarray, count: int) -> list[_Rim]:
    """Loops of edges with one face, whichever way it runs, and the piece that each bounds."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, times = np.unique(edges, axis=0, return_counts=True)
    single = unique[times == 1]
    piece = vertex_pieces(faces, count)[1]
    beside: dict[int, list[int]] = {}
    for a, b in single.tolist():
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    found, seen = [], set()
    for first in sorted(beside):
        if first in seen:
            continue
        loop, before, at = [first], -1, first
        seen.add(first)
        # Where more than two edges meet, holes touch; such loops are left to what closes holes.
        simple = len(beside[first]) == 2
        while simple:
            onward = next((v for v in beside[at] if v != before), first)
            before, at = at, onward
            if at == first:
                break
            simple = len(beside[at]) == 2 and at not in seen
            seen.add(at)
            loop.append(at)
        if simple and len(loop) > 2:
            found.append(_Rim(np.array(loop), int(piece[first])))
    return found


def _gap(verts: np.ndarray, a: np.ndarray, b: np.ndarray) -> float | None:
    """The largest distance from one loop to the other, where it is that of a wall; None where they lie apart."""
    extent = min(float(np.ptp(verts[loop], axis=0).max()) for loop in (a, b))
    limit = min(WALL_SHARE * extent, MAX_WALL)
    centers = np.linalg.norm(verts[a].mean(axis=0) - verts[b].mean(axis=0))
    if centers > 2 * limit:
        return None
    points = [_along(verts[loop], limit / 4) for loop in (a, b)]
    far = max(float(cKDTree(p).query(q)[0].max()) for p, q in (points, points[::-1]))
    return far if far <= limit else None


def _along(corners: np.ndarray, step: float) -> np.ndarray:
    """Points on a closed line, no farther apart than `step`."""
    ends = np.roll(corners, -1, axis=0)
    lengths = np.linalg.norm(ends - corners, axis=1)
    counts = np.clip(np.ceil(lengths / max(step, 1e-9)).astype(int), 1, 1000)
    return np.concatenate(
        [
            a + np.linspace(0, 1, n, endpoint=False)[:, None] * (b - a)
            for a, b, n in zip(corners, ends, counts, strict=True)
        ]
    )


def _strip(verts: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Triangles between two loops that run side by side, the shorter diagonal first."""
    start = int(np.argmin(np.linalg.norm(verts[b] - verts[a[0]], axis=1)))
    b = np.roll(b, -start)
    reverse = np.roll(b[::-1], 1)
    quarter = verts[a[len(a) // 4]]
    if np.linalg.norm(verts[reverse[len(b) // 4]] - quarter) < np.linalg.norm(verts[b[len(b) // 4]] - quarter):
        b = reverse
    i = j = 0
    triangles = []
    while i < len(a) or j < len(b):
        here, there = a[i % len(a)], b[j % len(b)]
        next_a, next_b = a[(i + 1) % len(a)], b[(j + 1) % len(b)]
        along_a = np.linalg.norm(verts[next_a] - verts[there])
        along_b = np.linalg.norm(verts[next_b] - verts[here])
        if j == len(b) or (i < len(a) and along_a <= along_b):
            triangles.append((here, next_a, there))
            i += 1
        else:
            triangles.append((here, next_b, there))
            j += 1
    return np.array(triangles)
