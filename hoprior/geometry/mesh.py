"""Object meshes from files: loaded, checked, repaired, in metres."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from hoprior.errors import HopriorError

METRES_PER_UNIT = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "in": 0.0254}
MAX_FACES = 40_000


@dataclass(frozen=True)
class ObjectMesh:
    """A mesh that is fit for signed distances.

    Attributes:
        mesh: in metres, in the axes of the file; winding outwards; perhaps open (see `watertight`).
        name: the file's stem, or what the caller called it.
        metres_per_unit: metres of one unit of the file; results are written back in that unit.
        notes: what was found and mended, a sentence each.
        watertight: whether the surface is closed.
    """

    mesh: trimesh.Trimesh
    name: str
    metres_per_unit: float = 1.0
    notes: tuple[str, ...] = ()
    watertight: bool = True

    @property
    def solid(self) -> trimesh.Trimesh:
        """The closed surface."""
        return self.mesh


def load_mesh(path: str | Path, unit: str = "m", max_faces: int = MAX_FACES) -> ObjectMesh:
    """The object in a mesh file of any format that trimesh reads."""
    path = Path(path)
    if not path.exists():
        raise HopriorError(f"{path}: no such file: give the path of a mesh (.ply, .obj, .stl, .glb, ...).")
    mesh = trimesh.load_mesh(path)
    mesh.apply_scale(METRES_PER_UNIT[unit])
    return prepare_mesh(mesh, path.stem, METRES_PER_UNIT[unit], max_faces)


def prepare_mesh(
    mesh: trimesh.Trimesh, name: str = "mesh", metres_per_unit: float = 1.0, max_faces: int = MAX_FACES
) -> ObjectMesh:
    """A mesh in metres, checked and mended."""
    clean = trimesh.Trimesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), process=True)
    if not len(clean.faces):
        raise HopriorError(f"{name}: the mesh has no faces: give a surface, not points.")
    trimesh.repair.fix_normals(clean)
    return ObjectMesh(clean, name, metres_per_unit, (), bool(clean.is_watertight))
