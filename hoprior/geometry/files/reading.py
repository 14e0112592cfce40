"""A mesh file of any format, read: which reader, and what to do where none can."""

import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh

from hoprior.common.reading import reason_of
from hoprior.errors import HopriorError
from hoprior.geometry.files import plain, ply
from hoprior.geometry.files.clouds import read_cloud
from hoprior.geometry.files.contents import MeshFile, broken, unsupported
from hoprior.geometry.files.robots import read_robot
from hoprior.geometry.files.scenes import PACKAGES, read_scene

FORMATS = ".ply, .obj, .stl, .off, .glb, .gltf, .dae, .3mf, .step, .urdf or MuJoCo's .xml"
"""What is read, for sentences."""

ELSEWHERE = {
    "fbx": "FBX",
    "blend": "a Blender file",
    "usd": "USD",
    "usda": "USD",
    "usdc": "USD",
    "usdz": "USD",
    "max": "a 3ds Max file",
    "ma": "a Maya file",
    "mb": "a Maya file",
    "c4d": "a Cinema 4D file",
    "skp": "a SketchUp file",
    "3ds": "a 3DS file",
    "x3d": "X3D",
    "wrl": "VRML",
    "iges": "IGES",
    "igs": "IGES",
    "f3d": "a Fusion file",
    "sldprt": "a SolidWorks file",
    "sdf": "an SDF description",
    "abc": "Alembic",
    "vtk": "VTK",
    "pcd": "PCD",
    "las": "LAS",
    "gz": "packed with gzip",
    "zip": "an archive",
    "tar": "an archive",
    "tgz": "an archive",
    "bz2": "packed with bzip2",
    "xz": "packed with xz",
    "7z": "an archive",
    "rar": "an archive",
    "splat": "a Gaussian splat",
    "spz": "a Gaussian splat",
}
"""Formats that people have and that are not read, for a sentence that names them."""

ZIPPED = ("3mf", "zae", "3dxml", "usdz", "npz")
"""Formats that are archives."""

DAMAGE = (EOFError, UnicodeDecodeError, json.JSONDecodeError, struct.error, zipfile.BadZipFile, SyntaxError)
"""Errors that readers raise only where the bytes are wrong; those of XML are SyntaxErrors."""

Reader = Callable[[bytes, str, Path], MeshFile]


def read_mesh_file(path: Path) -> MeshFile:
    """The surfaces in a file, in its unit and frame, with what the file says of unit and axis.

    What the file is goes by its first bytes, and by its name where these say nothing.

    Raises:
        HopriorError: the file is broken, or this reader cannot read it; the sentence says which, and what to do.

    Example:
        >>> from importlib.resources import files
        >>> mug = read_mesh_file(Path(str(files("hoprior") / "assets" / "meshes" / "mug.obj")))
        >>> len(mug.parts), mug.metres_per_unit, mug.up
        (1, None, None)
    """
    data = plain.read_bytes(path)
    ending = path.suffix.lower().removeprefix(".")
    kind = plain.content_kind(data) or ending
    # What is zipped or XML says too little of itself, so there the name goes first.
    if ending in ("zae", "stp") or (ending, kind) == ("xml", "xml") or (kind == "zip" and ending in ZIPPED):
        kind = ending
    note = (
        ()
        if kind == ending or ending in ("stp", "xml", "")
        else (f"read as .{kind}, which it is in spite of its name.",)
    )
    found = _read(data, kind, path)
    return MeshFile(found.parts, found.points, found.metres_per_unit, found.up, found.up_reason, (*note, *found.notes))


def _read(data: bytes, kind: str, path: Path) -> MeshFile:
    name = path.name
    if kind == "lfs":
        raise unsupported(name, "is a pointer of Git LFS and not the mesh itself", "fetch it with: git lfs pull")
    if kind == "html":
        raise broken(name, "is a web page and no mesh")
    if kind in ELSEWHERE:
        remedy = "export it as .glb, .obj or .ply from the program that made it, or from Blender where that opens it"
        if "archive" in ELSEWHERE[kind] or "packed" in ELSEWHERE[kind]:
            remedy = "unpack it, and give the mesh in it"
        raise unsupported(name, f"is {ELSEWHERE[kind]}", remedy)
    try:
        return READERS.get(kind, _scene)(data, kind, path)
    except HopriorError:
        raise
    except (MemoryError, RecursionError) as error:
        raise HopriorError(f"{name}: too large to load in this machine's memory: simplify the mesh.") from error
    except ImportError as error:
        raise HopriorError(
            f"{name}: .{kind} is read with the package {error.name or reason_of(error)}, which is not installed: "
            "pip install 'hoprior[formats]'"
        ) from error
    except NotImplementedError as error:
        raise unsupported(name, f"uses something of .{kind} that is not known ({reason_of(error)})") from error
    except DAMAGE as error:
        raise broken(name, f"cannot be read as a .{kind} mesh ({reason_of(error)})") from error
    # Readers raise anything, of files that are broken and of whole ones that they do not know: nobody can tell which.
    except Exception as error:
        raise HopriorError(
            f"{name}: cannot be read as a .{kind} mesh ({reason_of(error)}): open it in Blender or MeshLab and export "
            "it as .ply; if they cannot open it either, the file is broken"
        ) from error


def _scene(data: bytes, kind: str, path: Path) -> MeshFile:
    if kind not in PACKAGES and kind not in trimesh.available_formats():
        what = f"unknown mesh format .{kind}" if kind else "the name has no ending"
        raise HopriorError(f"{path.name}: {what}: use {FORMATS}, or export it so from Blender or MeshLab.")
    return read_scene(data, kind, path)


def _stl(data: bytes, kind: str, path: Path) -> MeshFile:
    return read_scene(plain.stl_content(data, path.name), "stl", path)


def _obj(data: bytes, kind: str, path: Path) -> MeshFile:
    return read_scene(plain.obj_content(data), "obj", path)


def _off(data: bytes, kind: str, path: Path) -> MeshFile:
    return _of_one(plain.read_off(data, path.name))


def _ply(data: bytes, kind: str, path: Path) -> MeshFile:
    if ply.is_read_here(data):
        return _of_one(ply.read_ply(data, path.name))
    if data.startswith(b"ply") and b"end_header" not in data:
        raise broken(path.name, "is cut short: it ends before its header does")
    return read_scene(data, "ply", path)


def _of_one(mesh: trimesh.Trimesh) -> MeshFile:
    """What a file of one mesh holds: a surface, or points where it has no faces."""
    return MeshFile({"mesh": mesh}) if len(mesh.faces) else MeshFile({}, np.asarray(mesh.vertices, dtype=np.float64))


def _robot(data: bytes, kind: str, path: Path) -> MeshFile:
    return read_robot(data, path, _mesh_of_robot)


def _mesh_of_robot(path: Path) -> MeshFile:
    if re.fullmatch(r"\.(urdf|xml|mjcf|xacro)", path.suffix.lower()):
        raise unsupported(path.name, "is a description that another one names as its mesh", "give the mesh itself")
    return read_mesh_file(path)


READERS: dict[str, Reader] = {
    "stl": _stl,
    "obj": _obj,
    "off": _off,
    "ply": _ply,
    "urdf": _robot,
    "mjcf": _robot,
    "xml": _robot,
    "xacro": _robot,
    "npy": read_cloud,
    "npz": read_cloud,
}
"""Readers of formats that trimesh's reader is not asked for as they are."""
