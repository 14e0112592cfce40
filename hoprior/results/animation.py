"""A hand with its skeleton that carries a grasp out, as an animated, skinned GLB: Blender, Unity and Unreal pose it."""

import json
import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from hoprior.hand import HandModel
from hoprior.hand.joint_order import JOINT_NAMES, PARENTS
from hoprior.physics.reach import Reach
from hoprior.rendering import OBJECT_GREY, SKIN

INFLUENCES = 4
"""Joints that move a vertex at most: all that every engine reads."""
FLOAT, UNSIGNED_INT, UNSIGNED_SHORT = 5126, 5125, 5123
WIDTHS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
Track: TypeAlias = tuple[int, str, np.ndarray]
"""A node's number, what of it moves ("translation", "rotation"), and its values, one a frame."""


def animated_glb(hand: HandModel, way: Reach, item: trimesh.Trimesh) -> bytes:
    """One grasp carried out, in metres and in the axes of the object's file.

    Nodes `wrist`, `index1` and so on are the skeleton, `hand` is the skin, `object` rises with the hand.

    Example:
        >>> from hoprior.hand import load_hand
        >>> still = np.zeros((2, 3))
        >>> T, bent = np.eye(4)[None].repeat(2, axis=0), np.zeros((2, 15, 3))
        >>> way = Reach(np.arange(2.0), ("lift", "lift"), T, bent, still, still[0], 0.0, True)
        >>> animated_glb(load_hand(), way, trimesh.creation.box((0.1, 0.1, 0.1)))[:4]
        b'glTF'
    """
    hand = hand.cpu()
    file = GlbFile()
    rest = hand.joints_template.double().numpy()
    nodes: list[dict[str, Any]] = []
    for k, parent in enumerate(PARENTS):
        offset = rest[k] - (rest[parent] if parent >= 0 else 0)
        nodes.append({"name": JOINT_NAMES[k], "translation": offset.tolist()})
        if parent >= 0:
            nodes[parent].setdefault("children", []).append(k)
    skin_node, item_node = len(nodes), len(nodes) + 1
    nodes += [{"name": "hand", "mesh": 0, "skin": 0}, {"name": "object", "mesh": 1}]
    joints, weights = _influences(hand.weights.double().numpy())
    inverse = np.tile(np.eye(4), (len(PARENTS), 1, 1))
    inverse[:, :3, 3] = -rest
    skin = {
        "POSITION": file.add(hand.v_template.numpy(), bounds=True),
        "NORMAL": file.add(hand.vertex_normals.numpy()),
        "JOINTS_0": file.add(joints, UNSIGNED_SHORT),
        "WEIGHTS_0": file.add(weights),
    }
    surface = {"POSITION": file.add(item.vertices, bounds=True)}
    content = {
        "asset": {"version": "2.0", "generator": "hoprior"},
        "scene": 0,
        "scenes": [{"nodes": [0, skin_node, item_node]}],
        "nodes": nodes,
        "materials": [material("hand", SKIN), material("object", OBJECT_GREY)],
        "meshes": [
            {
                "name": name,
                "primitives": [
                    {"attributes": attributes, "indices": file.add(faces.reshape(-1), UNSIGNED_INT), "material": number}
                ],
            }
            for number, (name, attributes, faces) in enumerate(
                (("hand", skin, hand.faces.numpy()), ("object", surface, np.asarray(item.faces)))
            )
        ],
        # Matrices of glTF are written column by column.
        "skins": [
            {
                "joints": list(range(len(PARENTS))),
                "skeleton": 0,
                "inverseBindMatrices": file.add(inverse.transpose(0, 2, 1).reshape(-1, 16)),
            }
        ],
        "animations": [animation_of(file, way.time, _tracks(way, item_node))],
    }
    return file.glb(content)


def _tracks(way: Reach, item_node: int) -> list[Track]:
    return [
        (0, "translation", way.T_object_hand[:, :3, 3]),
        (0, "rotation", near_quaternions(Rotation.from_matrix(way.T_object_hand[:, :3, :3]))),
        *(
            (k, "rotation", near_quaternions(Rotation.from_rotvec(way.hand_pose[:, k - 1])))
            for k in range(1, len(PARENTS))
        ),
        (item_node, "translation", way.object_shift),
    ]


def animation_of(file: "GlbFile", seconds: Float[np.ndarray, " k"], tracks: Sequence[Track]) -> dict[str, Any]:
    """The animation of a GLB in which nodes go through `tracks`, frames being at so many seconds."""
    time = file.add(seconds, bounds=True)
    return {
        "name": "grasp",
        "samplers": [{"input": time, "output": file.add(values), "interpolation": "LINEAR"} for _, _, values in tracks],
        "channels": [
            {"sampler": number, "target": {"node": node, "path": path}} for number, (node, path, _) in enumerate(tracks)
        ],
    }


def near_quaternions(rotations: Rotation) -> Float[np.ndarray, "k 4"]:
    """One after the other the near way round: between q and -q an animation would turn through everything."""
    found = rotations.as_quat()
    for k in range(1, len(found)):
        if found[k] @ found[k - 1] < 0:
            found[k] *= -1
    return found


def _influences(weights: Float[np.ndarray, "v 16"]) -> tuple[np.ndarray, Float[np.ndarray, "v 4"]]:
    """The joints that move each vertex most, and their weights, which sum to one."""
    joints = np.argsort(-weights, axis=1)[:, :INFLUENCES]
    found = np.take_along_axis(weights, joints, axis=1)
    joints = np.where(found > 0, joints, 0)
    return joints, found / found.sum(axis=1, keepdims=True)


def material(name: str, colour: tuple[float, ...]) -> dict[str, Any]:
    look = {"baseColorFactor": [*map(float, colour), 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7}
    return {"name": name, "pbrMetallicRoughness": look, "doubleSided": True}


class GlbFile:
    """The arrays of a GLB, one after the other."""

    def __init__(self) -> None:
        self.data, self.views, self.accessors = bytearray(), list[dict[str, Any]](), list[dict[str, Any]]()

    def add(self, values: np.ndarray, kind: int = FLOAT, bounds: bool = False) -> int:
        """An array's number; rows are what an accessor counts."""
        types = {FLOAT: "<f4", UNSIGNED_INT: "<u4", UNSIGNED_SHORT: "<u2"}
        array = np.ascontiguousarray(values, dtype=types[kind])
        rows = array.reshape(len(array), -1)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes})
        accessor = {
            "bufferView": len(self.views) - 1,
            "componentType": kind,
            "count": len(rows),
            "type": WIDTHS[rows.shape[1]],
        }
        if bounds:
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        self.accessors.append(accessor)
        self.data += array.tobytes()
        self.data += b"\0" * (-len(self.data) % 4)
        return len(self.accessors) - 1

    def glb(self, content: dict[str, Any]) -> bytes:
        """The file: a header, the JSON, the arrays."""
        content = content | {
            "buffers": [{"byteLength": len(self.data)}],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }
        text = json.dumps(content).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(self.data)
        return b"".join(
            [
                struct.pack("<4sII", b"glTF", 2, size),
                struct.pack("<II", len(text), JSON_CHUNK),
                text,
                struct.pack("<II", len(self.data), BINARY_CHUNK),
                bytes(self.data),
            ]
        )
