"""Closed surfaces of objects whose own are not."""

import trimesh

from hoprior.geometry.isosurface import extract_surface
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.repair import simplify
from hoprior.geometry.sdf import SdfGrid


def watertight_mesh(mesh: ObjectMesh, resolution: int = 96, max_faces: int = 8_000) -> trimesh.Trimesh:
    """A closed, consistently wound mesh of the object (metres), as booleans, volumes and physics want it.

    The solid itself where it is watertight, else the zero level of its signed-distance grid, simplified.

    Example:
        >>> import trimesh
        >>> box = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> watertight_mesh(ObjectMesh(box, solid=box)) is box
        True
    """
    if mesh.watertight:
        return mesh.solid
    grid = SdfGrid.from_mesh(mesh, resolution=resolution, margin=0.01)
    lower = (float(grid.lower[0]), float(grid.lower[1]), float(grid.lower[2]))
    surface = extract_surface(grid.values.numpy(), lower, grid.cell)
    simple = simplify(surface, max_faces)
    return simple if simple.is_watertight else surface
