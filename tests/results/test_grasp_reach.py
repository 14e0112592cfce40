"""Grasps that are carried out, in their folder: numbers, and an animated hand that is read back and posed."""

import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from mug_grasp import mug_grasp
from scipy.spatial.transform import Rotation

from hoprior.hand import load_hand
from hoprior.results.grasps import GraspResults

TYPES = {5126: "<f4", 5125: "<u4", 5123: "<u2"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@pytest.fixture(scope="module", params=["right", "left"])
def results(request: pytest.FixtureRequest) -> GraspResults:
    return replace(mug_grasp(request.param).with_reach(), metres_per_unit=0.001)


@pytest.fixture(scope="module")
def saved(results: GraspResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results.save(tmp_path_factory.mktemp("reach") / "out")


class Glb:
    """A reader of glTF that knows nothing of the writer."""

    def __init__(self, data: bytes) -> None:
        magic, version, size = struct.unpack("<4sII", data[:12])
        assert magic == b"glTF" and version == 2 and size == len(data)
        length, kind = struct.unpack("<II", data[12:20])
        assert kind == 0x4E4F534A
        self.json = json.loads(data[20 : 20 + length])
        self.data = data[28 + length :]

    def array(self, number: int) -> np.ndarray:
        accessor = self.json["accessors"][number]
        view = self.json["bufferViews"][accessor["bufferView"]]
        width = WIDTHS[accessor["type"]]
        kind = TYPES[accessor["componentType"]]
        found = np.frombuffer(self.data, kind, accessor["count"] * width, view["byteOffset"])
        return found.reshape(accessor["count"], width)

    def posed(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The hand's and the object's vertices in one frame of the animation, as glTF says to pose them."""
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
        skin = self.json["skins"][0]
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        bones = np.stack([at[joint] @ matrix for joint, matrix in zip(skin["joints"], inverse, strict=True)])
        hand, item = (mesh["primitives"][0]["attributes"] for mesh in self.json["meshes"])
        joints, weights = self.array(hand["JOINTS_0"]), self.array(hand["WEIGHTS_0"])
        assert np.allclose(weights.sum(axis=1), 1, atol=1e-6)
        blended = np.einsum("vk,vkij->vij", weights, bones[joints])
        verts = np.c_[self.array(hand["POSITION"]), np.ones(len(weights))]
        held = next(number for number, node in enumerate(nodes) if node["name"] == "object")
        points = self.array(item["POSITION"])
        return np.einsum("vij,vj->vi", blended, verts)[:, :3], points @ at[held][:3, :3].T + at[held][:3, 3]


def test_the_animated_hand_is_the_hand_in_every_frame(results: GraspResults, saved: Path) -> None:
    glb, way = Glb((saved / "grasp_000_reach.glb").read_bytes()), results[0].reach
    assert way is not None
    hand = load_hand("open", results[0].side)
    for frame in (0, 20, 40, 48):
        verts, item = glb.posed(frame)
        T = way.T_object_hand[frame]
        expected = hand(torch.tensor(way.hand_pose[frame][None], dtype=torch.float32)).verts[0].numpy()
        off = np.linalg.norm(verts - (expected @ T[:3, :3].T + T[:3, 3]), axis=1)
        # Vertices that more than four joints move are moved by the four that move them most.
        assert off.max() < 2e-3 and np.sqrt((off**2).mean()) < 1e-4
        np.testing.assert_allclose(item, results.object_mesh.vertices + way.object_shift[frame], atol=1e-6)


def test_other_programs_read_it(saved: Path) -> None:
    data = (saved / "grasp_000_reach.glb").read_bytes()
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb")
    assert len(scene.geometry) == 2
    pygltflib = pytest.importorskip("pygltflib", reason="not installed")
    read = pygltflib.GLTF2.load_from_bytes(data)
    assert len(read.skins[0].joints) == 16 and len(read.animations[0].channels) == 18


def test_numbers_come_back(results: GraspResults, saved: Path) -> None:
    way, read = results[0].reach, GraspResults.load(saved)[0].reach
    assert way is not None and read is not None and read.phase == way.phase and read.free == way.free
    for name in ("time", "T_object_hand", "hand_pose", "object_shift", "direction"):
        np.testing.assert_allclose(getattr(read, name), getattr(way, name), atol=1e-9)
    entry = json.loads((saved / "grasps.json").read_text())["grasps"][0]["reach"]
    np.testing.assert_allclose(np.array(entry["pregrasp"]["T_object_hand"])[:3, 3], 1000 * way.T_object_hand[0, :3, 3])
    assert entry["free"] is way.free


def test_a_result_without_ways_takes_the_animations_place(results: GraspResults, tmp_path: Path) -> None:
    folder = results.save(tmp_path / "out")
    assert (folder / "grasp_000_reach.glb").is_file()
    mug_grasp().save(folder)
    assert not (folder / "grasp_000_reach.glb").exists() and GraspResults.load(folder)[0].reach is None


def test_no_array_of_mano_is_in_what_is_animated(results: GraspResults, tmp_path: Path) -> None:
    of_mano = replace(results, grasps=(replace(results[0], hand="mano"),))
    assert not list(of_mano.save(tmp_path / "out").glob("*_reach.glb"))
