"""Grasps that are carried out, in their folder: numbers, and an animated hand that is read back and posed."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from gltf_files import AnimatedGlb
from mug_grasp import mug_grasp

from hoprior.hand import load_hand
from hoprior.results.grasps import GraspResults


@pytest.fixture(scope="module", params=["right", "left"])
def results(request: pytest.FixtureRequest) -> GraspResults:
    return replace(mug_grasp(request.param).with_reach(), metres_per_unit=0.001)


@pytest.fixture(scope="module")
def saved(results: GraspResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results.save(tmp_path_factory.mktemp("reach") / "out")


class SkinnedGlb(AnimatedGlb):
    """One hand's skin, and the object that it carries."""

    def posed(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The hand's and the object's vertices in one frame of the animation, as glTF says to pose them."""
        at = self.placed(frame)
        skin = self.json["skins"][0]
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        bones = np.stack([at[joint] @ matrix for joint, matrix in zip(skin["joints"], inverse, strict=True)])
        hand, item = (mesh["primitives"][0]["attributes"] for mesh in self.json["meshes"])
        joints, weights = self.array(hand["JOINTS_0"]), self.array(hand["WEIGHTS_0"])
        assert np.allclose(weights.sum(axis=1), 1, atol=1e-6)
        blended = np.einsum("vk,vkij->vij", weights, bones[joints])
        verts = np.c_[self.array(hand["POSITION"]), np.ones(len(weights))]
        held = at[self.names.index("object")]
        points = self.array(item["POSITION"])
        return np.einsum("vij,vj->vi", blended, verts)[:, :3], points @ held[:3, :3].T + held[:3, 3]


def test_the_animated_hand_is_the_hand_in_every_frame(results: GraspResults, saved: Path) -> None:
    glb, way = SkinnedGlb((saved / "grasp_000_reach.glb").read_bytes()), results[0].reach
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
