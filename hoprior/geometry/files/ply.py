"""PLY where trimesh's reader does not go by the format: strips, and faces of several numbers of corners."""

import io
import re

import numpy as np
import trimesh

from hoprior.common.reading import reason_of
from hoprior.geometry.files.contents import broken
from hoprior.geometry.files.plain import checked

PLY_TYPES = {
    **{name: "i1" for name in ("char", "int8")},
    **{name: "u1" for name in ("uchar", "uint8")},
    **{name: "i2" for name in ("short", "int16")},
    **{name: "u2" for name in ("ushort", "uint16")},
    **{name: "i4" for name in ("int", "int32")},
    **{name: "u4" for name in ("uint", "uint32")},
    **{name: "f4" for name in ("float", "float32")},
    **{name: "f8" for name in ("double", "float64")},
}


Element = tuple[str, int, list[list[str]]]
"""A name, how many there are, and the words of each property."""

Lists = list[np.ndarray] | np.ndarray
"""Numbers of corners, a row each; one array where all rows are as long."""


def is_read_here(data: bytes) -> bool:
    """Whether a PLY has strips, as Stanford's scans do, or faces in binary or with several lists.

    The reader of trimesh takes all faces of a binary PLY to have as many corners as the first. Blender writes triangles
    and quads side by side, scanners write coordinates of pictures as a second list.
    """
    header = data[: data.find(b"end_header") + 1]
    if b"element tristrips" in header:
        return True
    faces = re.search(rb"^element face +[1-9]\d*\s+((?:property.*\s+|comment.*\s+)*)", header, flags=re.MULTILINE)
    return faces is not None and (b"format binary" in header or faces[1].count(b"property list") > 1)


def read_ply(data: bytes, name: str) -> trimesh.Trimesh:
    """The surface of a PLY: faces, each cut into a fan, and strips, which -1 ends.

    Every second triangle of a strip is turned.

    Raises:
        HopriorError: it ends early, or its header is none.
    """
    end = data.find(b"end_header")
    start = data.find(b"\n", end) + 1
    lines = [line.split() for line in data[:end].decode("latin-1").replace("\r", "\n").splitlines() if line.strip()]
    order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
    try:
        form = next(line[1] for line in lines if line[0] == "format")
        values = data[start:].split() if form == "ascii" else None
        source = _Words(values) if values is not None else _Bytes(io.BytesIO(data[start:]), order[form])
        verts, faces = np.zeros((0, 3)), [np.zeros((0, 3), np.int64)]
        for element, count, properties in _elements(lines):
            if element == "vertex":
                columns = [p[-1] for p in properties]
                rows = source.rows(count, [PLY_TYPES[p[0]] for p in properties])
                verts = rows[:, [columns.index(axis) for axis in "xyz"]]
                continue
            lists = _lists(source, count, properties)
            if element == "face":
                faces += _fans(lists)
            elif element == "tristrips":
                faces += [_of_strip(run) for strip in lists for run in np.split(strip, np.flatnonzero(strip < 0))]
    except (EOFError, StopIteration) as error:
        raise broken(name, "is cut short: it ends before its last face") from error
    except (IndexError, KeyError, ValueError) as error:
        raise broken(name, f"cannot be read as a .ply mesh ({reason_of(error)})") from error
    return checked(verts, np.concatenate(faces), name)


def _elements(lines: list[list[str]]) -> list[Element]:
    elements: list[Element] = []
    for line in lines:
        if line[0] == "element":
            elements.append((line[1], int(line[2]), []))
        elif line[0] == "property":
            elements[-1][2].append(line[1:])
    if any(count < 0 for _, count, _ in elements):
        raise ValueError("a count below zero")
    return [(name, count, properties) for name, count, properties in elements if count and properties]


def _lists(source: "_Words | _Bytes", count: int, properties: list[list[str]]) -> Lists:
    """The corners of each of an element's rows."""
    own = next((k for k, p in enumerate(properties) if p[0] == "list" and p[-1].startswith("vertex_ind")), None)
    kinds = [tuple(PLY_TYPES[kind] for kind in (p[1:3] if p[0] == "list" else p[:1])) for p in properties]
    if isinstance(source, _Bytes) and own is not None and (alike := source.alike(count, kinds, own)) is not None:
        return alike
    found = []
    for _ in range(count):
        for k, (kind, *corners) in enumerate(kinds):
            value = source.take(1, kind)
            if corners:
                values = source.take(int(value[0]), corners[0])
                if k == own:
                    found.append(values.astype(np.int64))
    return found


def _fans(polygons: Lists) -> list[np.ndarray]:
    """Triangles of polygons, all of so many corners at once."""
    if isinstance(polygons, np.ndarray):
        return [polygons[:, [0, k, k + 1]] for k in range(1, polygons.shape[1] - 1)]
    found = []
    for count in sorted({len(polygon) for polygon in polygons}):
        found += _fans(np.stack([polygon for polygon in polygons if len(polygon) == count]))
    return found


def _of_strip(run: np.ndarray) -> np.ndarray:
    run = run[run >= 0]
    if len(run) < 3:
        return np.zeros((0, 3), np.int64)
    faces = np.stack([run[:-2], run[1:-1], run[2:]], axis=1)
    faces[1::2] = faces[1::2, [1, 0, 2]]
    return faces


class _Words:
    """Numbers of a text PLY."""

    def __init__(self, words: list[bytes]) -> None:
        self.words, self.at = words, 0

    def take(self, count: int, kind: str) -> np.ndarray:
        found = self.words[self.at : self.at + count]
        if len(found) < count or count < 0:
            raise EOFError
        self.at += count
        return np.array(found, dtype=np.float64)

    def rows(self, count: int, kinds: list[str]) -> np.ndarray:
        return self.take(count * len(kinds), "f8").reshape(count, len(kinds))


class _Bytes:
    """Numbers of a binary PLY."""

    def __init__(self, file: io.BytesIO, order: str) -> None:
        self.file, self.order = file, order

    def take(self, count: int, kind: str) -> np.ndarray:
        dtype = np.dtype(self.order + kind)
        found = self.file.read(max(0, count) * dtype.itemsize)
        if count < 0 or len(found) < count * dtype.itemsize:
            raise EOFError
        return np.frombuffer(found, dtype)

    def alike(self, count: int, kinds: list[tuple[str, ...]], own: int) -> np.ndarray | None:
        """The lists of one property, where all rows have lists as long as the first; else nothing is read."""
        start = self.file.tell()
        fields: list[tuple[str, str] | tuple[str, str, int]] = []
        for k, (kind, *corners) in enumerate(kinds):
            value = self.take(1, kind)
            fields.append((f"n{k}", self.order + kind))
            if corners:
                fields.append((f"list{k}", self.order + corners[0], len(self.take(int(value[0]), corners[0]))))
        self.file.seek(start)
        dtype = np.dtype(fields)
        data = self.file.read(count * dtype.itemsize)
        rows = np.frombuffer(data, dtype) if len(data) == count * dtype.itemsize else None
        sizes = [(f"n{k}", f"list{k}") for k, kind in enumerate(kinds) if len(kind) == 2]
        if rows is None or any((rows[n] != rows[lists].shape[1]).any() for n, lists in sizes):
            self.file.seek(start)
            return None
        return rows[f"list{own}"].astype(np.int64)

    def rows(self, count: int, kinds: list[str]) -> np.ndarray:
        dtype = np.dtype([(str(k), self.order + kind) for k, kind in enumerate(kinds)])
        found = self.file.read(count * dtype.itemsize)
        if len(found) < count * dtype.itemsize:
            raise EOFError
        rows = np.frombuffer(found, dtype)
        return np.stack([rows[str(k)].astype(np.float64) for k in range(len(kinds))], axis=1)
