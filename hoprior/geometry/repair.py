"""Mending of triangle meshes as they come: duplicates, winding, holes, soups, too many faces.

Works on arrays and `trimesh.Trimesh`; what is mended is returned, nothing is changed in place. `mesh.prepare_mesh`
puts the pieces in order.
"""

import heapq
import math
from typing import NamedTuple

import igl
import manifold3d
import numpy as np
import trimesh
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hoprior.geometry.isosurface import extract_surface

WELD = 1e-5
"""Vertices closer than about this share of the mesh's diagonal are one: files round coordinates."""

SHELL_CELLS = 72
"""Cells along each side (on average) of the grid that rebuilds a solid from a soup of faces."""

MOST_PARTS = 8
"""How many of the largest parts are looked at one by one."""

PROBE, FAR_PROBE = 5e-4, 2e-2
"""Distances in front of and behind a face at which winding is probed, as shares of the mesh's diagonal."""


FAR = 2.0
"""A mesh is far from the origin at so many times its longest side: single precision rounds it there."""

SINGLE = 50.0
"""So many sizes from the origin, single precision moves a thing's vertices by a micrometre or more."""


def place_of(mesh: trimesh.Trimesh, far: float = FAR) -> np.ndarray:
    """The middle (3,) of a mesh that lies `far` sizes from the origin; 0 for any other, which needs no moving.

    Example:
        >>> box = trimesh.creation.box((1, 1, 1))
        >>> place_of(box), place_of(box.apply_translation([5000.0, 0.0, 0.0]))
        (array([0., 0., 0.]), array([5000.,    0.,    0.]))
    """
    middle = mesh.bounds.mean(axis=0)
    return middle if np.abs(middle).max() > far * mesh.extents.max() else np.zeros(3)


def precision_at(mesh: trimesh.Trimesh) -> type[np.floating]:
    """The precision that results at a mesh need: single, as everywhere, and double where it lies far away."""
    return np.float64 if place_of(mesh, SINGLE).any() else np.float32


def moved(mesh: trimesh.Trimesh, by: np.ndarray) -> trimesh.Trimesh:
    """A mesh, moved by a vector (3,) in double precision; the mesh itself where that is 0."""
    return trimesh.Trimesh(mesh.vertices + by, mesh.faces, process=False) if by.any() else mesh


def submesh(mesh: trimesh.Trimesh, keep: np.ndarray) -> trimesh.Trimesh:
    """The faces of a mask or index, without vertices that no face uses."""
    faces = mesh.faces[keep]
    used, inverse = np.unique(faces, return_inverse=True)
    return trimesh.Trimesh(mesh.vertices[used], inverse.reshape(-1, 3), process=False)


def merge_duplicates(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """One vertex a place, one face a triple of vertices, none with two corners in one place.

    Faces that lie on each other back to back are a sheet without thickness. Where they are few, as scans have them,
    both go and the surface stays closed; where the whole mesh is drawn from both sides, one of each stays.
    """
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    digits = max(0, math.ceil(-math.log10(WELD * mesh.scale)))
    mesh.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=digits)
    faces = np.asarray(mesh.faces)
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    if not len(faces):
        return trimesh.Trimesh(mesh.vertices, faces, process=False)
    _, first, group, count = np.unique(
        np.sort(faces, axis=1), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    balance = np.bincount(group.reshape(-1), weights=_parity(faces), minlength=len(first))
    cancelled = (count > 1) & (balance == 0)
    if cancelled.mean() > 0.5:
        cancelled[:] = False
    return submesh(trimesh.Trimesh(mesh.vertices, faces, process=False), np.sort(first[~cancelled]))


def _parity(faces: np.ndarray) -> np.ndarray:
    """1 or -1: whether a face is an even or odd permutation of its sorted corners; odd against even faces opposite."""
    return np.sign(faces[:, [1, 2, 0]] - faces).prod(axis=1)


def simplify(mesh: trimesh.Trimesh, max_faces: int) -> trimesh.Trimesh:
    """At most about `max_faces` faces, by quadric edge collapse (Garland and Heckbert 1997)."""
    if len(mesh.faces) <= max_faces:
        return mesh
    import fast_simplification

    # Copies: the package refuses arrays that cannot be written, as a mesh made of somebody's own may be.
    place = place_of(mesh)
    verts, faces = np.array(mesh.vertices - place, np.float64, order="C"), np.array(mesh.faces, np.int32, order="C")
    verts, faces = fast_simplification.simplify(verts, faces, target_count=max_faces)
    return moved(merge_duplicates(trimesh.Trimesh(verts, faces, process=False)), place)


def winding_number(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """How often the surface goes around each point (Barill et al. 2018): about 1 inside, 0 outside, -1 if inverted."""
    verts = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
    faces = np.ascontiguousarray(mesh.faces, dtype=np.int64)
    return igl.fast_winding_number(verts, faces, np.ascontiguousarray(points, dtype=np.float64))


def probe_winding(mesh: trimesh.Trimesh, around: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Winding number of `around` just in front of and just behind each face of `mesh`."""
    step = PROBE * around.scale * mesh.face_normals
    centers = mesh.triangles_center
    both = winding_number(around, np.concatenate([centers + step, centers - step]))
    return both[: len(centers)], both[len(centers) :]


def orient_outwards(mesh: trimesh.Trimesh) -> tuple[trimesh.Trimesh, float]:
    """The mesh with every connected patch wound consistently and outwards, and the share of area that was turned.

    Crossing a patch from front to back adds one turn whichever way it is wound, but around a patch that faces outwards
    the two numbers are about 0 and 1, around an inverted one -1 and 0. So their sum's sign tells, for closed patches
    and open ones. Cavities inside a solid are turned outwards too, which fills them; no hand gets there.
    """
    original = np.asarray(mesh.faces, dtype=np.int64)
    faces, patch = igl.bfs_orient(np.ascontiguousarray(original))
    faces = np.array(faces)
    area = mesh.area_faces
    patch_area = np.bincount(patch, weights=area)
    # Many tiny patches are a soup; turning each by itself would be noise, so they go by the whole.
    own = np.flatnonzero(patch_area > 0.01 * patch_area.sum())
    oriented = trimesh.Trimesh(mesh.vertices, faces, process=False)
    undecided = ~np.isin(patch, own)
    for label in own:
        mask = patch == label
        single = submesh(oriented, mask)
        front, back = probe_winding(single, single)
        score = np.average(front + back, weights=single.area_faces + 1e-12)
        if score < -0.2:
            faces[mask] = faces[mask][:, ::-1]
        undecided[mask] = abs(score) <= 0.2
    oriented = trimesh.Trimesh(mesh.vertices, faces, process=False)
    if undecided.all():
        front, back = probe_winding(oriented, oriented)
        if np.average(front + back, weights=area + 1e-12) < 0:
            faces = faces[:, ::-1]
    elif undecided.any():
        faces[undecided] = _turn_by_rest(oriented, undecided, patch)
    turned = _parity(original) != _parity(faces)
    share = float(area[turned].sum() / max(area.sum(), 1e-30))
    return trimesh.Trimesh(mesh.vertices, faces, process=False), share


def _turn_by_rest(mesh: trimesh.Trimesh, undecided: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """Faces of flat patches, turned so that the winding number of all other patches grows behind them."""
    rest = submesh(mesh, ~undecided)
    part = submesh(mesh, undecided)
    step = FAR_PROBE * mesh.scale * part.face_normals
    centers = part.triangles_center
    both = winding_number(rest, np.concatenate([centers + step, centers - step]))
    grows = (both[len(centers) :] - both[: len(centers)]) * part.area_faces
    votes = np.bincount(patch[undecided], weights=grows, minlength=patch.max() + 1)[patch[undecided]]
    faces = np.asarray(mesh.faces)[undecided]
    return np.where(votes[:, None] < 0, faces[:, ::-1], faces)


class Caps(NamedTuple):
    """A mesh whose holes are closed, how many there were, and the share of its area that closes them."""

    mesh: trimesh.Trimesh
    holes: int
    share: float


def close_holes(mesh: trimesh.Trimesh) -> Caps:
    """The mesh with triangles over each hole; no vertex is added or moved."""
    loops = boundary_loops(np.asarray(mesh.faces))
    verts = np.asarray(mesh.vertices)
    fill = [triangle for loop in loops for triangle in _triangulate(verts, loop)]
    if not fill:
        return Caps(mesh, 0, 0.0)
    closed = trimesh.Trimesh(verts, np.concatenate([mesh.faces, np.array(fill)]), process=False)
    return Caps(closed, len(loops), float(closed.area_faces[len(mesh.faces) :].sum() / closed.area))


def boundary_loops(faces: np.ndarray) -> list[list[int]]:
    """Closed walks along the rims of holes, each in the direction in which the faces beside it run."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    count = int(faces.max()) + 1
    # How often an edge runs each way: a closed surface has as many there as back, whatever meets in the edge.
    runs = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count)).tocsr()
    surplus = coo_array(runs - runs.T)
    onward: dict[int, list[int]] = {}
    for start, end, times in zip(surplus.row.tolist(), surplus.col.tolist(), surplus.data.tolist(), strict=True):
        onward.setdefault(start, []).extend([end] * int(max(times, 0)))
    loops = []
    for first in sorted(onward):
        while onward[first]:
            walk = [first]
            # Every vertex has as many rims coming as going, so a walk can only end where it has been before.
            while onward.get(walk[-1]):
                vertex = onward[walk[-1]].pop()
                if vertex in walk:
                    at = walk.index(vertex)
                    loops.append(walk[at:])
                    walk = walk[:at]
                walk.append(vertex)
    return [loop for loop in loops if len(loop) > 2]


def _triangulate(verts: np.ndarray, loop: list[int]) -> list[tuple[int, int, int]]:
    """Triangles that close a rim, cutting the corner with the shortest diagonal first: slits are zipped up."""
    before = {k: (k - 1) % len(loop) for k in range(len(loop))}
    after = {k: (k + 1) % len(loop) for k in range(len(loop))}
    points = verts[loop]

    def entry(k: int) -> tuple[float, int, int, int]:
        a, b = before[k], after[k]
        return (float(np.linalg.norm(points[a] - points[b])), k, a, b)

    heap = [entry(k) for k in range(len(loop))]
    heapq.heapify(heap)
    triangles: list[tuple[int, int, int]] = []
    while len(triangles) < len(loop) - 2:
        _, k, a, b = heapq.heappop(heap)
        if before.get(k) != a or after[k] != b:
            continue
        triangles.append((loop[b], loop[k], loop[a]))
        after[a], before[b] = b, a
        del before[k]
        for neighbour in (a, b):
            heapq.heappush(heap, entry(neighbour))
    return triangles


def unite(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The outer surface of closed parts that touch, overlap or hold each other, with two faces at each edge.

    Walls inside the solid would give small distances deep within. The mesh is returned as it is where its edges do not
    pair up (a true hole).
    """
    whole = manifold3d.Manifold(
        manifold3d.Mesh(np.asarray(mesh.vertices, dtype=np.float32), np.asarray(mesh.faces, dtype=np.uint32))
    )
    if whole.status() != manifold3d.Error.NoError or whole.is_empty():
        return mesh
    parts = [part for part in whole.decompose() if part.volume() > 0]
    if len(parts) > 1:
        whole = manifold3d.Manifold.batch_boolean(parts, manifold3d.OpType.Add)
    elif mesh.is_watertight:
        return mesh
    out = whole.to_mesh()
    united = trimesh.Trimesh(out.vert_properties[:, :3].astype(np.float64), out.tri_verts, process=False)
    return united if united.is_watertight else mesh


def encloses(mesh: trimesh.Trimesh) -> float:
    """Share of the outer area that has the inside behind it and the outside in front, by the winding number.

    Near 1 for a solid. Low for sheets, for faces drawn from both sides and for soups wound at random.
    """
    front, back = probe_winding(mesh, mesh)
    outer = np.abs(front) < 0.5
    area = mesh.area_faces
    if area[outer].sum() < 0.05 * area.sum():
        return 0.0
    return float(area[outer & (back > 0.5)].sum() / area[outer].sum())


def shell(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """A closed surface around any set of faces: what can be reached from outside, whichever way the faces are wound.

    Flood-fills the space farther than a cell from the faces, and pulls the border of what is left back to the faces.
    Sheets come out as thin plates, and openings wider than two cells stay open.
    """
    cell = float(np.prod(np.maximum(mesh.extents, 0.05 * mesh.extents.max()))) ** (1 / 3) / SHELL_CELLS
    lower = mesh.bounds[0] - 4 * cell
    shape = np.ceil((mesh.extents + 8 * cell) / cell).astype(int) + 1

    # Exact distances are slow for many faces, and needed only beside them: samples say where that is.
    count = int(min(max(4 * mesh.area / cell**2, 10_000), 500_000))
    samples = np.concatenate([mesh.vertices, trimesh.sample.sample_surface(mesh, count, seed=0)[0]])
    beside = np.zeros(shape, dtype=bool)
    beside[tuple(np.rint((samples - lower) / cell).astype(int).T)] = True
    beside = ndimage.binary_dilation(beside, ndimage.generate_binary_structure(3, 3), iterations=2)
    distance = np.full(shape, 3 * cell)
    distance[beside] = _nearest(mesh, lower + cell * np.argwhere(beside))[0]

    labels, _ = ndimage.label(distance > cell)
    outside = labels == labels[0, 0, 0]
    values = np.where(outside, distance - cell, np.minimum(distance - cell, -0.01 * cell))
    surface = extract_surface(values.transpose(2, 1, 0), (float(lower[0]), float(lower[1]), float(lower[2])), cell)
    _, closest = _nearest(mesh, np.asarray(surface.vertices))
    # A tenth of a cell keeps the two sides of a sheet apart.
    return trimesh.Trimesh(closest + 0.1 * (surface.vertices - closest), surface.faces, process=False)


def _nearest(mesh: trimesh.Trimesh, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the surface and the nearest point of it."""
    verts, faces = np.ascontiguousarray(mesh.vertices), np.ascontiguousarray(mesh.faces, dtype=np.int64)
    square, _, closest = igl.point_mesh_squared_distance(np.ascontiguousarray(points), verts, faces)
    return np.sqrt(square), closest


class Part(NamedTuple):
    """Faces that hang together or lie close to each other; `bounds` (2, 3) and `area` in metres."""

    faces: np.ndarray
    bounds: np.ndarray
    area: float

    @property
    def size(self) -> float:
        """The longest side of the box, metres."""
        return float(np.ptp(self.bounds, axis=0).max())


class Parts(NamedTuple):
    """The largest parts by area, and how many there are in all."""

    largest: list[Part]
    number: int


def separate_parts(mesh: trimesh.Trimesh, gap: float) -> Parts:
    """Parts with more than about `gap` metres between them.

    Parts inside another's box (a cavity, a stick in a cup) belong to it.
    """
    verts, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    # Points all over the surface: corners of small faces, samples of large ones. Those in one small cell are one.
    samples, on_face = trimesh.sample.sample_surface(mesh, 20_000, seed=0)
    points = np.concatenate([verts, samples])
    _, first, cell = np.unique(
        np.floor((points - mesh.bounds[0]) / (gap / 4)).astype(np.int64) @ [1 << 40, 1 << 20, 1],
        return_index=True,
        return_inverse=True,
    )
    near = cKDTree(points[first]).query_pairs(gap, output_type="ndarray")
    of_vertex, of_sample = cell[: len(verts)], cell[len(verts) :]
    corners = of_vertex[faces]
    links = np.concatenate([near, corners[:, :2], corners[:, 1:], np.stack([of_sample, corners[on_face, 0]], axis=1)])
    count, label = linked(links, len(first))
    return _collect(mesh, label[corners[:, 0]], count)


def pieces(mesh: trimesh.Trimesh) -> Parts:
    """Parts that share no vertex; those inside another's box belong to it."""
    faces = np.asarray(mesh.faces)
    count, label = vertex_pieces(faces, len(mesh.vertices))
    return _collect(mesh, label[faces[:, 0]], count)


def vertex_pieces(faces: np.ndarray, size: int) -> tuple[int, np.ndarray]:
    """How many pieces hang together by their faces, and to which each of `size` vertices belongs."""
    return linked(np.concatenate([faces[:, :2], faces[:, 1:]]), size)


def linked(links: np.ndarray, size: int) -> tuple[int, np.ndarray]:
    """How many pieces `size` things are in, of which pairs are linked, and to which each belongs."""
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)


def _collect(mesh: trimesh.Trimesh, of_face: np.ndarray, count: int) -> Parts:
    """Parts from a label for each face; those inside the box of one of the largest are joined to it."""
    area = np.bincount(of_face, weights=mesh.area_faces, minlength=count)
    triangles = mesh.triangles
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, of_face, triangles.min(axis=1))
    np.maximum.at(high, of_face, triangles.max(axis=1))
    owner = np.arange(count)
    for k in np.argsort(-area, kind="stable")[:MOST_PARTS]:
        held = (low >= low[k]).all(axis=1) & (high <= high[k]).all(axis=1) & (owner == np.arange(count))
        if owner[k] == k:
            owner[held] = k
    label = owner[of_face]
    area = np.bincount(owner, weights=area, minlength=count)
    roots = np.unique(label)
    largest = roots[np.argsort(-area[roots], kind="stable")][:MOST_PARTS]
    parts = [Part(np.flatnonzero(label == k), np.stack([low[k], high[k]]), float(area[k])) for k in largest]
    return Parts(parts, len(roots))


def least_distance(mesh: trimesh.Trimesh, parts: list[Part]) -> float:
    """Distance (metres) between the two closest of several parts, by their vertices."""
    points = [np.asarray(mesh.vertices)[np.unique(mesh.faces[part.faces])] for part in parts]
    return min(float(cKDTree(a).query(b)[0].min()) for i, a in enumerate(points) for b in points[:i])
