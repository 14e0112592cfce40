"""What readers are given: right files of our own making, and how one of them is spoilt."""

import io
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import trimesh
from fuzz.mutations import Mutation, of_file

BOX = trimesh.creation.box((0.06, 0.05, 0.1))


@dataclass(frozen=True)
class Reader:
    """What is read, and right files of it.

    Attributes:
        file: name of the file that is spoilt; others that it needs are in `beside`. Empty if any of these may be.
        seeds: its right contents.
        mutations: how it is spoilt; one is drawn each time. A folder's file is spoilt by its ending (`of_file`).
        read: given the file, or the folder.
        beside: other files, by their paths in the folder.
        weight: share of the files of the short run; of slow readers it reads fewer.
    """

    file: str
    seeds: tuple[bytes, ...]
    mutations: tuple[Mutation, ...]
    read: Callable[[Path], object]
    beside: tuple[tuple[str, bytes], ...] = ()
    weight: float = 1.0

    def spoilt(self, rng: random.Random) -> tuple[str, bytes]:
        """A file of it and what it has now."""
        if self.file:
            return self.file, rng.choice(self.mutations)(rng, rng.choice(self.seeds))
        name, content = rng.choice(self.beside)
        return name, of_file(name)(rng, content)

    def put(self, folder: Path) -> None:
        """Writes what is beside the file that is spoilt."""
        for name, content in self.beside:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def json_of(content: Any) -> bytes:
    return json.dumps(content).encode()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def meshes(kind: str, **options: Any) -> bytes:
    content = BOX.export(file_type=kind, **options)
    return content if isinstance(content, bytes) else content.encode()


def mixed_ply() -> bytes:
    """The box of a triangle twice and quads, as Blender writes it."""
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    header = "ply\nformat binary_little_endian 1.0\nelement vertex 8\nproperty float x\nproperty float y\n"
    header += f"property float z\nelement face {len(faces)}\nproperty list uchar uint vertex_indices\nend_header\n"
    rows = [struct.pack(f"<B{len(face)}I", len(face), *face) for face in faces]
    return header.encode() + BOX.vertices.astype("<f4").tobytes() + b"".join(rows)


def written(write: Callable[[Path], object], name: str) -> bytes:
    with TemporaryDirectory() as folder:
        write(Path(folder))
        return next(Path(folder).rglob(name)).read_bytes()


def saved(content: Any, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()
