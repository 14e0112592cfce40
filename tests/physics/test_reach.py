"""Ways to grasps: of bodies for which it is known which ways are free."""

import numpy as np
import pytest
import roma
import torch
import trimesh
from mug_grasp import mug_grasp
from torch import Tensor

from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.hand import load_hand
from hoprior.physics.bone_samples import BoneSamples
from hoprior.physics.reach import DISTANCE, LIFT, Reach, reach

HAND = load_hand()
BENT = HAND.angles_to_pose(0.5 * HAND.angle_high)


def ball(points: Tensor) -> Tensor:
    """Of 3 cm, before the palm."""
    return (points - torch.tensor([0.09, 0.0, 0.05])).norm(dim=-1) - 0.03


def worst(way: Reach, sdf: object, side: str = "right") -> tuple[float, float]:
    """The deepest skin and the nearest bone on the way, before the lift, m."""
    hand, moving = load_hand("open", side), [k for k, phase in enumerate(way.phase) if phase != "lift"]
    output = hand(torch.tensor(way.hand_pose[moving], dtype=torch.float32))
    T = torch.tensor(way.T_object_hand[moving], dtype=torch.float32)
    skin, bones = output.verts, BoneSamples.of(output.joints).points
    return tuple(float(sdf(transform_points(T, points)).min()) for points in (skin, bones))  # type: ignore[operator, return-value]


@pytest.fixture(scope="module")
def way() -> Reach:
    return reach(HAND, ball, BENT, torch.eye(4))


def test_a_way_ends_in_the_grasp_and_lifts_it(way: Reach) -> None:
    last = way.phase.index("lift") - 1
    np.testing.assert_allclose(way.hand_pose[last], BENT, atol=1e-5)
    np.testing.assert_allclose(way.T_object_hand[last], np.eye(4), atol=1e-6)
    np.testing.assert_allclose(way.object_shift[-1], [0, 0, LIFT], atol=1e-6)
    np.testing.assert_allclose(way.T_object_hand[-1, :3, 3], [0, 0, LIFT], atol=1e-6)
    assert (way.object_shift[: last + 1] == 0).all() and (np.diff(way.time) > 0).all()


def test_phases_follow_each_other(way: Reach) -> None:
    order = [way.phase[0], *(b for a, b in zip(way.phase, way.phase[1:], strict=False) if a != b)]
    assert order == ["approach", "close", "lift"]
    assert len(way.time) == len(way.phase) == len(way.T_object_hand) == len(way.hand_pose) == len(way.object_shift)


def test_the_hand_comes_from_where_it_is_free_and_opens_before(way: Reach) -> None:
    skin, bones = worst(way, ball)
    least_skin, least_bone = worst(still(), ball)
    assert way.free and skin > min(least_skin, -0.002) - 0.0011 and bones > min(least_bone, 0.004) - 0.0011
    assert np.linalg.norm(way.T_object_hand[0, :3, 3]) > 0.5 * DISTANCE
    angles = HAND.pose_to_angles(torch.tensor(way.hand_pose[[0, 40]], dtype=torch.float32))
    assert angles[0, :12, 1].mean() < 0.5 * angles[1, :12, 1].mean()


def still() -> Reach:
    return Reach(np.zeros(1), ("close",), np.eye(4)[None], BENT.numpy()[None], np.zeros((1, 3)), np.zeros(3), 0.0, True)


def test_a_hand_that_is_shut_in_has_no_free_way() -> None:
    """Inside a shell that it does not touch."""

    def shell(points: Tensor) -> Tensor:
        return ((points - torch.tensor([0.09, 0.0, 0.0])).norm(dim=-1) - 0.14).abs() - 0.01

    found = reach(HAND, shell, BENT, torch.eye(4))
    assert not found.free and found.depth > 0.01


def test_a_hand_does_not_come_from_below_if_it_need_not() -> None:
    for up in torch.eye(3)[:2]:
        assert np.dot(reach(HAND, ball, BENT, torch.eye(4), up).direction, up) < 0.35


def test_the_same_seed_gives_the_same_way_and_a_turned_scene_a_free_one() -> None:
    one, again = (reach(HAND, ball, BENT, torch.eye(4)) for _ in range(2))
    np.testing.assert_array_equal(one.T_object_hand, again.T_object_hand)
    T = torch.eye(4)
    T[:3, :3], T[:3, 3] = roma.rotvec_to_rotmat(torch.tensor([0.5, -1.0, 0.3])), torch.tensor([0.1, 0.2, -0.3])

    def turned(points: Tensor) -> Tensor:
        return ball((points - T[:3, 3]) @ T[:3, :3])

    assert reach(HAND, turned, BENT, T).free


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_way_to_the_mug_is_free(side: str) -> None:
    results = mug_grasp(side)
    grasp = results.with_reach()[0]
    assert grasp.reach is not None and grasp.reach.free
    sdf = SdfGrid.from_mesh(prepare_mesh(results.object_mesh))
    skin, _ = worst(grasp.reach, sdf, side)
    depth = float(sdf(torch.tensor(grasp.verts_object, dtype=torch.float32)).min())
    assert skin > min(depth, -0.002) - 0.0011


def test_thin_walls_are_not_stepped_over() -> None:
    """A plate lies between the palm and the fingers' tips: no way goes through it, though it hides no vertex."""
    plate = trimesh.creation.box((0.5, 0.5, 0.002)).apply_translation([0.1, 0, 0.06])
    sdf = SdfGrid.from_mesh(plate, 96)
    found = reach(HAND, sdf, torch.zeros(15, 3), torch.eye(4), torch.tensor([0.0, 0.0, -1.0]))
    assert found.free and found.direction[2] > -0.2
