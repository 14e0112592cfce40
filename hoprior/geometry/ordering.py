"""One order of a mesh's vertices and faces, so that what is drawn from its surface does not depend on the file's."""

import numpy as np
import trimesh

STEP = 1e-5
"""Of the mesh's size; coordinates that differ by less are taken for equal, as rounding makes them."""
SHIFT = 0.137
"""Of a step: coordinates are often round numbers, which must not lie where the steps meet."""


def in_order(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """A mesh of which nothing is merged or left out, in an order that its shape alone decides.

    Vertices go by x, y, z, faces by their vertices, and both are shuffled, always in the same way: simplification goes
    through faces as they are listed, and would merge sorted ones from one end on. Where the mesh lies and how large it
    is make no difference.

    Example:
        >>> box = trimesh.creation.box((1, 2, 3))
        >>> mixed = trimesh.Trimesh(box.vertices[::-1], 7 - box.faces[::-1, [1, 2, 0]], process=False)
        >>> one, other = in_order(box), in_order(mixed)
        >>> bool((one.vertices == other.vertices).all()), bool((one.faces == other.faces).all())
        (True, True)
    """
    verts, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    if not len(verts):
        return mesh
    steps = np.floor((verts - verts.min(axis=0)) / (STEP * max(float(np.ptp(verts, axis=0).max()), 1e-300)) + SHIFT)
    order = np.lexsort(steps.T[::-1])[np.random.default_rng(0).permutation(len(verts))]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    named = place[faces]
    first = named.argmin(axis=1)[:, None]
    named = np.take_along_axis(named, (first + np.arange(3)) % 3, axis=1)
    listed = np.lexsort(named.T[::-1])[np.random.default_rng(1).permutation(len(named))]
    return trimesh.Trimesh(verts[order], named[listed], process=False)
