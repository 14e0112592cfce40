"""glTF files of one mesh, written by hand."""

import json
import struct
from typing import Any

import numpy as np
import trimesh


def tree_of(mesh: trimesh.Trimesh, **more: Any) -> tuple[dict[str, Any], bytes]:
    """A glTF of one mesh, and its buffer: positions, then indices."""
    verts, faces = np.asarray(mesh.vertices, "<f4"), np.asarray(mesh.faces, "<u2")
    data = verts.tobytes() + faces.tobytes()
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "Thing"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(verts), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": faces.size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": verts.nbytes},
            {"buffer": 0, "byteOffset": verts.nbytes, "byteLength": faces.nbytes},
        ],
        "buffers": [{"byteLength": len(data)}],
    }
    return {**tree, **more}, data


def glb(tree: dict[str, Any], data: bytes, version: int = 2) -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    data += bytes(-len(data) % 4)
    head = struct.pack("<4sIIII", b"glTF", version, 28 + len(text) + len(data), len(text), 0x4E4F534A)
    return head + text + struct.pack("<II", len(data), 0x004E4942) + data
