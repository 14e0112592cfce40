"""PLY where trimesh's reader does not go by the format: triangle strips."""

import io

import numpy as np
import trimesh

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


def has_strips(data: bytes) -> bool:
    """Whether a PLY keeps its triangles in strips, as Stanford's scans do."""
    return b"element tristrips" in data[: data.find(b"end_header") + 1]


def read_strips(data: bytes, name: str) -> trimesh.Trimesh:
    """The surface of a PLY of triangle strips, which -1 ends; every second triangle of a strip is turned.

    Raises:
        HopriorError: it ends early, or its header is none.
    """
    end = data.find(b"end_header")
    start = data.find(b"\n", end) + 1
    lines = [line.split() for line in data[:end].decode("latin-1").replace("\r", "\n").splitlines() if line.strip()]
    order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
    try:
        form = next(line[1] for line in lines if line[0] == "format")
        elements: list[tuple[str, int, list[list[str]]]] = []
        for line in lines:
            if line[0] == "element":
                elements.append((line[1], int(line[2]), []))
            elif line[0] == "property":
                elements[-1][2].append(line[1:])
        values = data[start:].split() if form == "ascii" else None
        source = _Words(values) if values is not None else _Bytes(io.BytesIO(data[start:]), order[form])
        verts, strips = np.zeros((0, 3)), []
        for element, count, properties in elements:
            if element == "vertex":
                columns = [p[-1] for p in properties]
                rows = source.rows(count, [PLY_TYPES[p[0]] for p in properties])
                verts = rows[:, [columns.index(axis) for axis in "xyz"]]
                continue
            for _ in range(count):
                for kind, *rest in properties:
                    if kind == "list":
                        found = source.take(int(source.take(1, PLY_TYPES[rest[0]])[0]), PLY_TYPES[rest[1]])
                        strips += [found.astype(np.int64)] if element == "tristrips" else []
                    else:
                        source.take(1, PLY_TYPES[kind])
    except (EOFError, StopIteration) as error:
        raise broken(name, "is cut short: it ends before its last triangle strip") from error
    except (IndexError, KeyError, ValueError) as error:
        raise broken(name, f"cannot be read as a .ply mesh ({type(error).__name__}: {str(error)[:60]})") from error
    faces = [_of_strip(run) for strip in strips for run in np.split(strip, np.flatnonzero(strip < 0))]
    return checked(verts, np.concatenate([np.zeros((0, 3), np.int64), *faces]), name)


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

    def rows(self, count: int, kinds: list[str]) -> np.ndarray:
        dtype = np.dtype([(str(k), self.order + kind) for k, kind in enumerate(kinds)])
        found = self.file.read(count * dtype.itemsize)
        if len(found) < count * dtype.itemsize:
            raise EOFError
        rows = np.frombuffer(found, dtype)
        return np.stack([rows[str(k)].astype(np.float64) for k in range(len(kinds))], axis=1)
