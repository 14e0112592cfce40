"""What must make no difference to whole tasks: where the file's origin is, its unit, the order of its vertices and
faces, how many pixels the same picture has, and which other hands are refined with a hand. docs/conventions.md."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from hand_estimates import estimate
from small_priors import small_pose_prior

import hoprior
from hoprior.hand.placement import LocalSearchConfig
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.refine import RefineConfig

SMALL = GraspConfig(
    pool=64,
    local_search=LocalSearchConfig(1),
    spare=0.0,
    guiding=DescentConfig(2),
    refining=DescentConfig(2),
    faults=FaultWeights(simulate=False),
)
FAR = np.array([6.1e6, -7.3e6, 3.0e6])
"""Metres; 10,000 km away."""


def thing() -> trimesh.Trimesh:
    """A can with a lug, like nothing in a mirror or upside down."""
    can = trimesh.creation.cylinder(radius=0.03, height=0.1, sections=24)
    lug = trimesh.creation.box((0.03, 0.01, 0.02))
    lug.apply_translation([0.035, 0.004, 0.02])
    return trimesh.boolean.union([can, lug], engine="manifold")


def grasps(path: Path, **options: Any) -> GraspResults:
    return hoprior.grasp(path, num=2, priors=[], config=SMALL, seed=3, device="cpu", **options)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> GraspResults:
    path = tmp_path_factory.mktemp("thing") / "thing.off"
    write_off(path, thing().vertices, thing().faces)
    return grasps(path)


def write_off(path: Path, verts: np.ndarray, faces: np.ndarray) -> None:
    """A mesh in decimal numbers of all their digits."""
    rows = [" ".join(repr(float(x)) for x in vert) for vert in verts]
    rows += [f"3 {a} {b} {c}" for a, b, c in faces]
    path.write_text("\n".join([f"OFF\n{len(verts)} {len(faces)} 0", *rows]) + "\n")


def same(found: GraspResults, plain: GraspResults, origin: np.ndarray, scale: float = 1.0) -> None:
    assert len(found) == len(plain)
    for one, other in zip(found, plain, strict=True):
        T = np.asarray(one.T_object_hand, dtype=np.float64)
        np.testing.assert_allclose(one.hand_pose, other.hand_pose, atol=2e-3)
        np.testing.assert_allclose(T[:3, :3], other.T_object_hand[:3, :3], atol=2e-3)
        np.testing.assert_allclose((T[:3, 3] - origin) / scale, other.T_object_hand[:3, 3], atol=2e-4)


def test_an_object_10_000_km_away_is_grasped_as_at_the_origin(plain: GraspResults, tmp_path: Path) -> None:
    write_off(tmp_path / "far.off", thing().vertices + FAR, thing().faces)
    same(grasps(tmp_path / "far.off"), plain, FAR)


@pytest.mark.parametrize(("unit", "per_metre"), [("mm", 1000.0), ("in", 1 / 0.0254)])
def test_the_file_s_unit_makes_no_difference(plain: GraspResults, unit: str, per_metre: float, tmp_path: Path) -> None:
    write_off(tmp_path / "other.off", thing().vertices * per_metre, thing().faces)
    same(grasps(tmp_path / "other.off", mesh_unit=unit), plain, np.zeros(3))


def test_the_order_of_vertices_and_faces_makes_no_difference(plain: GraspResults, tmp_path: Path) -> None:
    draw, mesh = np.random.default_rng(0), thing()
    order, turn = draw.permutation(len(mesh.vertices)), draw.integers(3, size=len(mesh.faces))
    faces = np.argsort(order)[mesh.faces]
    faces = np.stack([np.roll(face, k) for face, k in zip(faces, turn, strict=True)])[draw.permutation(len(faces))]
    write_off(tmp_path / "mixed.off", mesh.vertices[order], faces)
    same(grasps(tmp_path / "mixed.off"), plain, np.zeros(3))


def test_the_same_call_gives_the_same_numbers(plain: GraspResults, tmp_path: Path) -> None:
    write_off(tmp_path / "again.off", thing().vertices, thing().faces)
    for one, other in zip(grasps(tmp_path / "again.off"), plain, strict=True):
        assert np.array_equal(one.T_object_hand, other.T_object_hand)
        assert np.array_equal(one.hand_pose, other.hand_pose)


QUICK = RefineConfig(samples=2, steps=4)


def refined(*hands: Any) -> list[np.ndarray]:
    torch.manual_seed(0)
    found = hoprior.refine(list(hands), priors=[(1.0, small_pose_prior())], config=QUICK, device="cpu")
    return [np.asarray(hand.joints) for hand in found]


def test_a_picture_of_more_pixels_shows_the_same_hand() -> None:
    hand = estimate("a", hidden=("index_tip", "middle_tip"))
    larger = replace(
        hand,
        K=torch.diag(torch.tensor([2.0, 2.0, 1.0])) @ hand.K,
        size=(2 * hand.size[0], 2 * hand.size[1]),
        keypoints=2 * hand.keypoints,
    )
    np.testing.assert_allclose(refined(larger)[0], refined(hand)[0], atol=2e-4)


def test_a_hand_does_not_depend_on_those_refined_with_it() -> None:
    first, second = (estimate(name, hidden=("index_tip", "thumb_tip"), seed=k) for k, name in enumerate("ab"))
    np.testing.assert_allclose(refined(first, second)[0], refined(first)[0], atol=1e-4)
