"""Scenes that trimesh reads, with the unit and the axis that their format or their text says."""

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from hoprior.common.array_files import check_archive
from hoprior.geometry.files.contents import MeshFile, broken, need, placed, unique, unsupported
from hoprior.geometry.files.gltf import plain_glb
from hoprior.geometry.units import unit_said

PACKAGES = {
    "dae": ("collada", "pycollada", "Collada (.dae, .zae)"),
    "zae": ("collada", "pycollada", "Collada (.dae, .zae)"),
    "3mf": ("lxml", "lxml", ".3mf"),
    "3dxml": ("lxml", "lxml", ".3dxml"),
    "xaml": ("lxml", "lxml", ".xaml"),
    "step": ("cascadio", "cascadio", "STEP (.step, .stp)"),
    "stp": ("cascadio", "cascadio", "STEP (.step, .stp)"),
    "ctm": ("openctm", "openctm", ".ctm"),
    "drc": ("DracoPy", "DracoPy", "Draco (.drc)"),
}
"""Formats that need a package: its module, its name, and what it reads."""

XML_MEMBERS = (".dae", ".model", ".xml", ".3dxml", ".rels", ".3drep")
"""Endings of the files in archives that are XML."""

WITHOUT_MATERIALS = ("obj", "glb", "ply")
"""Formats whose reader can leave out materials: a missing or broken texture must not stop a mesh from loading."""

MAX_UNZIPPED = 2**28
"""Bytes that the files in a .3mf or .zae may have together."""


def read_scene(data: bytes, kind: str, path: Path) -> MeshFile:
    """The parts of a file of any format that trimesh reads.

    Raises:
        HopriorError: a package is missing, or what a file of that format must have.
    """
    if kind in PACKAGES:
        need(path.name, *PACKAGES[kind])
    if kind in ("3mf", "zae", "3dxml"):
        _check_zip(data, path.name)
    elif kind in ("dae", "xaml"):
        check_entities(data, path.name)
    if kind in ("glb", "gltf"):
        data, kind = plain_glb(data, path), "glb"
        unit, up, reason = 1.0, "y", "glTF is"
    else:
        unit, up, reason = None, None, ""
    options: dict[str, Any] = {"skip_materials": True} if kind in WITHOUT_MATERIALS else {}
    if kind == "obj":
        options["split_objects"] = True
    scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False, **options)
    if kind in ("dae", "zae"):
        unit, up = _collada(data, kind)
        reason = "the file says"
    elif kind == "3mf":
        unit = unit_said(str(scene.units or "millimeter"))
    elif kind in ("step", "stp"):
        unit = 1.0
    parts: dict[str, trimesh.Trimesh] = {}
    points = [np.zeros((0, 3))]
    for node in scene.graph.nodes_geometry:
        transform, geometry = scene.graph[node]
        mesh = scene.geometry[geometry]
        if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces):
            if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
                raise broken(path.name, "has faces that name vertices that do not exist")
            parts[unique(str(node), parts)] = placed(mesh, transform)
        else:
            verts = np.asarray(getattr(mesh, "vertices", np.zeros((0, 3))), dtype=np.float64)
            if verts.ndim == 2 and verts.shape[1] == 3:
                points.append(verts @ transform[:3, :3].T + transform[:3, 3])
    return MeshFile(parts, np.concatenate(points), unit, up, reason)


def _collada(data: bytes, kind: str) -> tuple[float | None, str | None]:
    """Metres per unit and the axis that is up, as a Collada document says them; by its specification 1 m and y."""
    if kind == "zae":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inner = next((n for n in archive.namelist() if n.lower().endswith(".dae")), None)
            data = archive.read(inner) if inner else b""
    unit = re.search(rb"<unit\b[^>]*?\bmeter\s*=\s*[\"']\s*([0-9.eE+-]+)", data)
    up = re.search(rb"<up_axis>\s*([XYZ])_UP", data)
    try:
        metres = float(unit[1]) if unit else 1.0
    except ValueError:
        metres = 1.0
    return metres if metres > 0 else 1.0, up[1].decode().lower() if up else "y"


def _check_zip(data: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_archive(archive, name, MAX_UNZIPPED)
            for member in archive.namelist():
                if member.lower().endswith(XML_MEMBERS):
                    check_entities(archive.read(member), name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise broken(name, "is no archive of its format, or is cut short") from error


def check_entities(data: bytes, name: str) -> None:
    """Refuses XML that defines parts of its own text: they may stand for more than a machine holds, or for files.

    Raises:
        HopriorError: it does.
    """
    if re.search(rb"<!\s*ENTITY", data.replace(b"\0", b"")):  # also of two bytes a letter
        raise unsupported(name, "defines entities of its own (<!ENTITY>)")
