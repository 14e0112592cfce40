"""glTF files of one mesh, written by hand; and a reader of animated ones that knows nothing of the writer."""

import json
import struct
from typing import Any

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

TYPES = {5126: "<f4", 5125: "<u4", 5123: "<u2"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


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


class AnimatedGlb:
    """A GLB's arrays, and where its nodes are in each frame of its animation."""

    def __init__(self, data: bytes) -> None:
        magic, version, size = struct.unpack("<4sII", data[:12])
        assert magic == b"glTF" and version == 2 and size == len(data)
        length, kind = struct.unpack("<II", data[12:20])
        assert kind == 0x4E4F534A
        self.json: dict[str, Any] = json.loads(data[20 : 20 + length])
        self.data = data[28 + length :]
        self.names = [node["name"] for node in self.json["nodes"]]

    def array(self, number: int) -> np.ndarray:
        accessor = self.json["accessors"][number]
        view = self.json["bufferViews"][accessor["bufferView"]]
        width = WIDTHS[accessor["type"]]
        kind = TYPES[accessor["componentType"]]
        found = np.frombuffer(self.data, kind, accessor["count"] * width, view["byteOffset"])
        return found.reshape(accessor["count"], width)

    def placed(self, frame: int) -> dict[int, np.ndarray]:
        """Of each node the matrix (4, 4) to the scene's frame, in one frame of the animation."""
        nodes: list[dict[str, Any]] = [dict(node) for node in self.json["nodes"]]
        animation = self.json["animations"][0]
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            nodes[channel["target"]["node"]][channel["target"]["path"]] = self.array(sampler["output"])[frame]
        at: dict[int, np.ndarray] = {}

        def place(number: int, parent: np.ndarray) -> None:
            T = np.eye(4)
            T[:3, :3] = Rotation.from_quat(nodes[number].get("rotation", [0, 0, 0, 1])).as_matrix()
            T[:3, 3] = nodes[number].get("translation", [0, 0, 0])
            at[number] = parent @ T
            for child in nodes[number].get("children", []):
                place(child, at[number])

        for root in self.json["scenes"][0]["nodes"]:
            place(root, np.eye(4))
        return at
