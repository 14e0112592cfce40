"""STL, OFF and OBJ where trimesh's readers do not go by the format: counts, polygons, line ends."""

import re
from pathlib import Path

import numpy as np
import trimesh

from hoprior.common.reading import reason_of
from hoprior.errors import HopriorError
from hoprior.geometry.files.contents import broken, unsupported

STL_HEADER, STL_FACE = 84, 50
"""Bytes of a binary STL's header, with the number of faces in its last four, and of a face."""


def stl_content(data: bytes, name: str) -> bytes:
    """A binary STL with as many faces as its header says, whatever follows them; a text STL as it is.

    Where the header says none, as of programs that write it before they know, all that follow it count.

    Raises:
        HopriorError: the file has fewer faces than it says.

    Example:
        >>> whole = trimesh.creation.box((1, 1, 1)).export(file_type="stl")
        >>> stl_content(whole + b"trailing", "box.stl") == whole
        True
    """
    named = re.match(rb"\s*solid\b", data, flags=re.IGNORECASE) is not None
    if named and b"facet" in data[:4096].lower():
        return data
    if len(data) < STL_HEADER:
        if named:
            return data
        raise broken(name, f"has {len(data)} bytes, and an STL begins with {STL_HEADER}")
    faces = int.from_bytes(data[STL_HEADER - 4 : STL_HEADER], "little")
    there = (len(data) - STL_HEADER) // STL_FACE
    if faces == 0 and len(data) == STL_HEADER + there * STL_FACE:
        return data[: STL_HEADER - 4] + there.to_bytes(4, "little") + data[STL_HEADER:]
    if faces > there:
        if named or faces > 1000 * (there + 10):
            raise broken(name, "is no STL: it has neither the words of a text STL nor the faces that its header counts")
        raise broken(name, f"is cut short: {there:,} of {faces:,} triangles")
    return data[: STL_HEADER + faces * STL_FACE]


def obj_content(data: bytes) -> bytes:
    """An OBJ whose lines end as the reader expects, also where they end in a carriage return alone."""
    return data.replace(b"\r", b"\n") if b"\r" in data and b"\n" not in data else data


def read_off(data: bytes, name: str) -> trimesh.Trimesh:
    """The surface of an OFF file with faces of any number of corners, each cut into a fan.

    Raises:
        HopriorError: it is no text OFF, or ends early.

    Example:
        >>> text = b"OFF\\n4 2 0\\n0 0 0\\n1 0 0\\n1 1 0\\n0 0 1\\n3 0 1 2\\n3 0 2 3\\n"
        >>> read_off(text, "sheet.off").faces.tolist()
        [[0, 1, 2], [0, 2, 3]]
    """
    text = re.sub(r"#[^\n]*", "", data.decode("utf-8", errors="replace"))
    header = re.match(r"\s*((?:ST)?C?N?4?n?OFF)\b", text)
    head = header[1] if header else ""
    if header and ("BINARY" in text[header.end() : header.end() + 12] or "4" in head or "n" in head):
        raise unsupported(name, "is an OFF of another kind than text with three coordinates")
    body = text[header.end() if header else 0 :].split(maxsplit=3)
    try:
        num_verts, num_faces = int(body[0]), int(body[1])
        lines = [line.split() for line in "".join(body[3:]).splitlines() if line.strip()]
        if len(lines) < num_verts + num_faces:
            raise broken(name, f"is cut short: {max(0, len(lines) - num_verts):,} of {num_faces:,} faces")
        verts = np.array([line[:3] for line in lines[:num_verts]], dtype=np.float64).reshape(-1, 3)
        corners = [[int(i) for i in line[1 : 1 + int(line[0])]] for line in lines[num_verts : num_verts + num_faces]]
    except (IndexError, ValueError) as error:
        raise broken(name, f"cannot be read as an .off mesh ({reason_of(error)})") from error
    fans = [[face[0], face[k], face[k + 1]] for face in corners for k in range(1, len(face) - 1)]
    return checked(verts, np.array(fans, dtype=np.int64).reshape(-1, 3), name)


def checked(verts: np.ndarray, faces: np.ndarray, name: str) -> trimesh.Trimesh:
    """A mesh whose faces name vertices that exist."""
    if len(faces) and (faces.min() < 0 or faces.max() >= len(verts)):
        raise broken(name, "has faces that name vertices that do not exist")
    return trimesh.Trimesh(verts, faces, process=False)


def content_kind(data: bytes) -> str | None:
    """What a file's first bytes say that it is: an ending without its dot, or None.

    Example:
        >>> content_kind(b"ply\\nformat ascii 1.0\\n"), content_kind(b"glTF\\x02"), content_kind(b"v 0 0 0\\n")
        ('ply', 'glb', None)
    """
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    for start, kind in SIGNS.items():
        if head.startswith(start):
            return kind
    lower = head.lower()
    if lower.startswith((b"<!doctype html", b"<html")):
        return "html"
    if head.startswith(b"<"):
        for tag, kind in ((b"<COLLADA", "dae"), (b"<robot", "urdf"), (b"<mujoco", "mjcf"), (b"<sdf", "sdf")):
            if tag in head:
                return kind
    if head.startswith(b"{") and b'"asset"' in data[:100_000]:
        return "gltf"
    if re.match(rb"(ST)?C?N?OFF\b", head):
        return "off"
    return None


SIGNS = {
    b"ply\n": "ply",
    b"ply\r": "ply",
    b"glTF": "glb",
    b"ISO-10303-21": "step",
    b"version https://git-lfs": "lfs",
    b"Kaydara FBX Binary": "fbx",
    b"BLENDER": "blend",
    b"DRACO": "drc",
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gz",
    b"PXR-USDC": "usd",
    b"#usda": "usd",
    b"#VRML": "wrl",
}


def read_bytes(path: Path) -> bytes:
    """The whole file.

    Raises:
        HopriorError: it does not exist, is a folder, is empty, or may not be read.
    """
    if not path.exists():
        raise HopriorError(f"{path}: no such file: give the path of a mesh, such as mug.obj.")
    if path.is_dir():
        raise HopriorError(f"{path}: is a folder: give one mesh file in it.")
    try:
        with path.open("rb") as file:
            data = file.read()
    except OSError as error:
        raise HopriorError(f"{path}: cannot be read ({error.strerror}): check its permissions.") from error
    if not data:
        raise HopriorError(f"{path.name}: the file is empty: export or download it again.")
    return data
