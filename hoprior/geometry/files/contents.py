"""What a mesh file holds, and the two sentences about one that is not read: it is broken, or this reader cannot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
import trimesh

from hoprior.errors import HopriorError


@dataclass(frozen=True)
class MeshFile:
    """The surfaces in a file, in its unit and frame.

    Attributes:
        parts: each surface by its name, placed as the file places it.
        points: (n, 3), points and corners of lines that are of no surface.
        metres_per_unit: as the file or its format says; None where nothing is said.
        up: "x", "y" or "z" where the file or its format says which axis is up.
        up_reason: who says so, for a note: "glTF", "the file".
        notes: what was left out or guessed, a sentence each.
    """

    parts: Mapping[str, trimesh.Trimesh]
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    metres_per_unit: float | None = None
    up: str | None = None
    up_reason: str = ""
    notes: tuple[str, ...] = field(default=())


def broken(name: str, reason: str) -> HopriorError:
    """The error for a file that no program could read.

    Example:
        >>> str(broken("mug.ply", "is cut short"))
        'mug.ply: is cut short: the file is broken, download it or export it again'
    """
    return HopriorError(f"{name}: {reason}: the file is broken, download it or export it again")


def unsupported(
    name: str, reason: str, remedy: str = "open it in Blender or MeshLab and export it as .glb or .ply"
) -> HopriorError:
    """The error for a file that may well be whole, but that this reader cannot read.

    Example:
        >>> str(unsupported("mug.fbx", "is FBX"))
        'mug.fbx: is FBX, which this reader cannot read: open it in Blender or MeshLab and export it as .glb or .ply'
    """
    return HopriorError(f"{name}: {reason}, which this reader cannot read: {remedy}")


def need(name: str, module: str, package: str, what: str, extra: str = "formats") -> None:
    """Sees that a module is installed.

    Raises:
        HopriorError: it is not; the sentence says how to install it.
    """
    if find_spec(module) is None:
        raise HopriorError(
            f"{name}: {what} is read with the package {package}, which is not installed: "
            f"pip install {package}, or pip install 'hoprior[{extra}]'"
        )


def unique(name: str, taken: Mapping[str, object]) -> str:
    """A name that is not taken yet.

    Example:
        >>> unique("box", {"box": 1, "box_1": 2})
        'box_2'
    """
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def placed(mesh: trimesh.Trimesh, matrix: np.ndarray) -> trimesh.Trimesh:
    """A copy of a mesh, moved by a 4x4 matrix in double precision; mirrored ones are turned inside out again."""
    verts = np.asarray(mesh.vertices, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    faces = np.asarray(mesh.faces, dtype=np.int64)
    if np.linalg.det(matrix[:3, :3]) < 0:
        faces = faces[:, ::-1]
    return trimesh.Trimesh(verts, faces, process=False)
