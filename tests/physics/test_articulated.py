"""The hand of rigid bodies: it bends as the hand model does, its capsules are its skin, its mass is its flesh's."""

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from mug_grasp import mug_grasp

from hoprior.hand import load_hand
from hoprior.physics.articulated.chain import hinge_bodies
from hoprior.physics.articulated.hand import ArticulatedHand, articulated
from hoprior.physics.articulated.hinges import hinges_of, pose_of
from hoprior.physics.articulated.scene import opened, place_links, pressed, presses, standing
from hoprior.physics.articulated.tissue import DENSITY
from hoprior.results.simulators import scene_of

SIDES = ["right", "left"]


@pytest.fixture(scope="module", params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def hand(side: str) -> ArticulatedHand:
    return articulated(load_hand("open", side))


def random_angles(seed: int, side: str = "right") -> torch.Tensor:
    """Angles all over a hand's limits."""
    model = load_hand("open", side)
    share = torch.rand(15, 3, generator=torch.Generator().manual_seed(seed))
    return model.angle_low + share * (model.angle_high - model.angle_low)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_hinges_are_another_way_to_write_a_pose(seed: int) -> None:
    for side in SIDES:
        axes = load_hand("open", side).axes
        pose = load_hand("open", side).angles_to_pose(random_angles(seed, side))
        torch.testing.assert_close(pose_of(hinges_of(pose, axes), axes), pose, atol=2e-5, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_joint_that_turns_about_one_axis_turns_one_hinge(axis: int) -> None:
    model = load_hand()
    angles = torch.zeros(15, 3)
    angles[:, axis] = model.angle_high[:, axis]
    hinge = {1: 0, 2: 1, 0: 2}[axis]
    found = hinges_of(model.angles_to_pose(angles), model.axes)
    torch.testing.assert_close(found[:, hinge], angles[:, axis], atol=1e-5, rtol=0)
    assert float(found.abs().sum() - found[:, hinge].abs().sum()) < 1e-4


def test_every_pose_within_limits_is_within_the_hinges_ranges(hand: ArticulatedHand, side: str) -> None:
    model = load_hand("open", side)
    for seed in range(50):
        found = hinges_of(model.angles_to_pose(random_angles(seed, side)), model.axes).numpy()
        assert (found > hand.low - 0.01).all() and (found < hand.high + 0.01).all()


def test_ranges_are_hardly_wider_than_the_limits(hand: ArticulatedHand) -> None:
    model = load_hand()
    order = [1, 2, 0]
    assert np.degrees(hand.high - model.angle_high[:, order].numpy()).max() < 18
    assert np.degrees(model.angle_low[:, order].numpy() - hand.low).max() < 13


def test_joints_are_the_models(hand: ArticulatedHand, side: str) -> None:
    """All 21 of them, in random poses, to 0.1 mm."""
    model = load_hand("open", side)
    for seed in range(10):
        pose = model.angles_to_pose(random_angles(seed, side))
        placed = place_links(hand, hinges_of(pose, model.axes).double().numpy())
        tips = np.array([placed.points(link, place[None])[0] for link, place in hand.tips])
        expected = model.joints_only(pose[None])[0].numpy()
        assert np.abs(np.concatenate([placed.origins, tips]) - expected).max() < 1e-4


def test_capsules_are_the_skin_in_any_pose(hand: ArticulatedHand, side: str) -> None:
    model = load_hand("open", side)
    for seed in range(3):
        pose = model.angles_to_pose(0.7 * random_angles(seed, side))
        placed = place_links(hand, hinges_of(pose, model.axes).double().numpy())
        skin = model(pose[None]).verts[0].double().numpy()
        gaps = []
        for k, link in enumerate(hand.links):
            local = (skin - placed.origins[k]) @ placed.rotations[k]
            gaps += [capsule.distance(local) for capsule in link.capsules]
        gap = np.min(gaps, axis=0)
        assert np.abs(np.median(gap)) < 0.0007 and np.sqrt((gap**2).mean()) < 0.0025


def test_the_hand_weighs_what_its_volume_does(hand: ArticulatedHand) -> None:
    volume = trimesh.Trimesh(hand.skin, hand.faces).volume
    assert hand.mass == pytest.approx(DENSITY * volume, rel=1e-6)
    assert sum(body.mass.mass for body in hinge_bodies(hand)) == pytest.approx(hand.mass, rel=1e-6)
    for body in hinge_bodies(hand):
        moments = np.linalg.eigvalsh(body.mass.inertia)
        assert moments[0] > 0 and moments[2] <= moments[0] + moments[1]


def test_the_parts_inertia_is_the_wholes(hand: ArticulatedHand) -> None:
    """By the parallel axis theorem, against the exact integral over the surface."""
    whole = trimesh.Trimesh(hand.skin, hand.faces)
    whole.density = DENSITY
    at = np.zeros((16, 3))
    for k, link in enumerate(hand.links):
        at[k] = link.offset + (at[link.parent] if k else 0)
    center = sum(link.mass.mass * (at[k] + link.mass.center) for k, link in enumerate(hand.links)) / hand.mass
    assert np.linalg.norm(center - whole.center_mass) < 5e-4
    total = np.zeros((3, 3))
    for k, link in enumerate(hand.links):
        off = at[k] + link.mass.center - center
        total += link.mass.inertia + link.mass.mass * (off @ off * np.eye(3) - np.outer(off, off))
    assert np.abs(total - whole.moment_inertia).max() < 0.02 * np.abs(whole.moment_inertia).max()


def test_a_left_hand_is_the_mirror_image() -> None:
    right, left = (articulated(load_hand("open", side)) for side in SIDES)
    for one, other in zip(right.links, left.links, strict=True):
        assert other.mass.mass == pytest.approx(one.mass.mass, rel=0.05)
        assert np.allclose(one.mass.center * [1, -1, 1], other.mass.center, atol=1e-3)
        assert np.allclose(one.low, other.low, atol=0.01) and np.allclose(one.high, other.high, atol=0.01)


def test_a_larger_hand_is_larger_and_heavier() -> None:
    model = load_hand()
    average, large = articulated(model), articulated(model, np.array([1.5] + [0.0] * 9))
    expected = model.joints_only(torch.zeros(1, 15, 3), torch.tensor([[1.5] + [0.0] * 9]))[0].numpy()
    placed = place_links(large, np.zeros((15, 3)))
    assert np.abs(placed.origins - expected[:16]).max() < 1e-6
    assert large.mass > 1.1 * average.mass


def test_an_object_stands_on_the_plane() -> None:
    pencil = trimesh.creation.box((0.01, 0.2, 0.01))
    for up, height in (("auto", 0.01), ("y", 0.2), ("any", 0.01)):
        T_world_object = standing(pencil, up)
        points = trimesh.transform_points(pencil.vertices, T_world_object)
        assert points[:, 2].min() == pytest.approx(0, abs=1e-6) and points[:, 2].max() == pytest.approx(height)
        assert np.allclose(points[:, :2].min(axis=0), -points[:, :2].max(axis=0))


def ball(points: torch.Tensor) -> torch.Tensor:
    """Of 3 cm, before the palm."""
    return (points - torch.tensor([0.1, 0.0, 0.05])).norm(dim=-1) - 0.03


def test_fingers_open_as_little_as_frees_them(hand: ArticulatedHand, side: str) -> None:
    model = load_hand("open", side)
    closed = hinges_of(model.angles_to_pose(0.6 * model.angle_high), model.axes).double().numpy()
    free = opened(hand, closed, np.eye(4), ball)
    placed = place_links(hand, free)
    for k in range(1, 16):
        capsule = hand.links[k].capsules[0]
        along = capsule.start + np.linspace(0, 1, 8)[:, None] * (capsule.end - capsule.start)
        gap = ball(torch.tensor(placed.points(k, along), dtype=torch.float32)).min() - capsule.radius
        assert gap > 0
    far = np.eye(4)
    far[2, 3] = -1.0
    np.testing.assert_array_equal(opened(hand, closed, far, ball), closed)


def test_pressing_bends_the_fingers_that_touch_and_no_others(hand: ArticulatedHand, side: str) -> None:
    pytest.importorskip("coacd", reason="needs the extra `sim`")
    scene = scene_of(mug_grasp(side))
    frame = scene.keyframes[0]
    assert np.degrees(np.abs(frame.targets - frame.hinges)).max() < 60
    assert (frame.targets != frame.hinges).any(axis=1).reshape(5, 3).any(axis=1).sum() >= 3
    away = np.eye(4)
    away[0, 3] = 1.0
    zero = np.zeros((15, 3))
    np.testing.assert_array_equal(pressed(hand, zero, away, ball, np.zeros(3)), zero)
    assert presses(hand, place_links(hand, zero), away, ball) == []


def test_forces_of_a_press_balance() -> None:
    """Two fingers on a ball, across from each other, are both told to press; one alone would push it away."""
    hand = articulated(load_hand())
    zero = np.zeros((15, 3))
    placed = place_links(hand, zero)
    tip = placed.points(3, hand.tips[1][1][None])[0]

    middle = tip + np.array([0.032, 0.0, 0.0])

    def at_one_tip(points: torch.Tensor) -> torch.Tensor:
        return (points - torch.tensor(middle, dtype=torch.float32)).norm(dim=-1) - 0.03

    targets = pressed(hand, zero, np.eye(4), at_one_tip, middle)
    assert np.abs(targets).max() < 0.05
