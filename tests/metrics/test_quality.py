"""Ferrari and Canny's quality on sets of wrenches whose answer is known, and agreement of contacts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hoprior.metrics.quality import contact_agreement, contact_wrenches, grasp_quality, wrench_quality
from hoprior.physics.contact_map import Contact

AXES = np.concatenate([np.eye(3), -np.eye(3)])


def test_a_cube_of_wrenches_has_its_half_edge_and_its_volume() -> None:
    corners = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 6, indexing="ij"), axis=-1).reshape(-1, 6)
    assert wrench_quality(corners).epsilon == pytest.approx(0.5)
    assert wrench_quality(corners).volume == pytest.approx(1.0)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.1, 10))
def test_twice_the_force_is_twice_the_quality(scale: float) -> None:
    polytope = np.concatenate([np.eye(6), -np.eye(6)])
    found = wrench_quality(scale * polytope)
    assert found.epsilon == pytest.approx(scale / np.sqrt(6), rel=1e-6)
    assert found.volume == pytest.approx(scale**6 * 64 / 720, rel=1e-6)


def test_wrenches_to_one_side_close_nothing() -> None:
    shifted = np.concatenate([np.eye(6), -np.eye(6)]) + 2
    found = wrench_quality(shifted)
    assert found.epsilon == 0 and found.volume == pytest.approx(64 / 720)


def test_flat_and_few_wrenches_close_nothing() -> None:
    flat = np.zeros((20, 6))
    flat[:, :2] = np.random.default_rng(0).normal(size=(20, 2))
    assert wrench_quality(flat) == (0, 0) and wrench_quality(flat[:3]) == (0, 0)


def contacts(points: np.ndarray, normals: np.ndarray) -> list[Contact]:
    return [Contact("index", "index3", p, n, 0.0, 1e-4, 0.5) for p, n in zip(points, normals, strict=True)]


def test_two_fingers_on_a_ball_cannot_resist_a_twist_and_three_can() -> None:
    """Point contacts on one line have no torque about it."""
    pinch = AXES[[0, 3]]
    assert grasp_quality(contacts(0.03 * pinch, pinch), np.zeros(3), 0.03).epsilon < 1e-9
    around = np.stack([[np.cos(a), np.sin(a), 0.0] for a in (0, 2 * np.pi / 3, 4 * np.pi / 3)])
    assert grasp_quality(contacts(0.03 * around, around), np.zeros(3), 0.03).epsilon > 0.05


def test_without_friction_a_ball_is_never_held() -> None:
    assert grasp_quality(contacts(0.03 * AXES, AXES), np.zeros(3), 0.03, friction=0.0).epsilon < 1e-9


def test_more_friction_and_more_contacts_are_never_worse() -> None:
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(8, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    found = [
        grasp_quality(contacts(0.03 * normals, normals), np.zeros(3), 0.03, friction).volume for friction in (0.2, 0.5)
    ]
    assert found[0] < found[1]
    few = wrench_quality(contact_wrenches(0.03 * normals[:5], normals[:5], np.zeros(3), 0.03))
    many = wrench_quality(contact_wrenches(0.03 * normals, normals, np.zeros(3), 0.03))
    assert few.epsilon <= many.epsilon + 1e-12 and few.volume < many.volume


def test_quality_does_not_depend_on_where_the_axes_are() -> None:
    """To how the friction's cones are cut into pyramids."""
    turn = Rotation.from_rotvec([0.3, -0.5, 0.8]).as_matrix()
    one, other = (
        grasp_quality(contacts(0.03 * AXES @ T.T + 1, AXES @ T.T), np.ones(3), 0.03).epsilon for T in (np.eye(3), turn)
    )
    assert one == pytest.approx(other, rel=0.25) and one > 0


def test_agreement_is_one_for_the_same_and_nought_for_others() -> None:
    some = np.array([True, False, True, False])
    assert contact_agreement(some, some) == (1, 1) and contact_agreement(some, ~some) == (0, 0)
    assert np.isnan(contact_agreement(some & ~some, some & ~some)).all()
    assert contact_agreement(np.ones(4, bool), some) == (0.5, pytest.approx(2 / 3))


def test_wrenches_are_a_force_and_its_torque_about_the_centre_contact_by_contact() -> None:
    """Without friction all edges of a cone are the normal, turned inwards; torques by hand."""
    points, normals = np.array([[0.2, 0.1, 0.0], [0.0, 0.1, 0.3]]), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    center, arm = np.array([0.0, 0.05, 0.0]), 0.1
    found = contact_wrenches(points, normals, center, arm, friction=0.0).reshape(2, -1, 6)
    forces = -normals
    torques = np.cross(points - center, forces) / arm
    assert np.allclose(found[..., :3], forces[:, None]) and np.allclose(found[..., 3:], torques[:, None])
    moved = contact_wrenches(points + 0.7, normals, center + 0.7, arm, friction=0.0)
    assert np.allclose(moved.reshape(found.shape), found)


def test_seven_wrenches_may_close_a_grasp_and_no_contacts_do_not() -> None:
    """Seven are the corners of a simplex in six dimensions."""
    corners = np.concatenate([np.eye(6), -np.ones((1, 6))])
    assert wrench_quality(corners).epsilon > 0.1 and wrench_quality(corners[:6]) == (0, 0)
    assert grasp_quality([], np.zeros(3), 0.1) == (0, 0)
