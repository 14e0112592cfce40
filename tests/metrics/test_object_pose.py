"""Errors of known objects' poses, and of motions whatever frame the object was given."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoprior.metrics.intervals import mean_and_interval
from hoprior.metrics.object_pose import mesh_middle, object_pose_errors, symmetries
from hoprior.metrics.reconstruction import motion_errors

BRICK = trimesh.creation.box((0.1, 0.06, 0.03))


def pose(degrees: float, axis: tuple[float, float, float], shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).as_matrix()
    T[:3, 3] = shift
    return T


def wedge() -> trimesh.Trimesh:
    """A solid that no turn leaves as it is."""
    points = np.array([[0, 0, 0], [0.12, 0, 0], [0, 0.07, 0], [0, 0, 0.04]])
    return trimesh.convex.convex_hull(points)


@pytest.mark.parametrize(
    ("mesh", "count"),
    [(BRICK, 4), (wedge(), 1), (trimesh.creation.cylinder(0.03, 0.12), 72)],
)
def test_turns_that_change_nothing_are_as_many_as_geometry_says(mesh: trimesh.Trimesh, count: int) -> None:
    """A brick has half a turn about each axis; a cylinder 36 steps about its own, each with and without an end up."""
    found = symmetries(mesh)
    assert len(found) == count
    assert np.allclose(found[0], np.eye(3))
    assert np.allclose(found @ found.transpose(0, 2, 1), np.eye(3)) and np.allclose(np.linalg.det(found), 1)


def test_where_the_mesh_lies_does_not_matter() -> None:
    away = BRICK.copy().apply_translation((0.5, -0.3, 0.2))
    assert np.abs(mesh_middle(away) - (0.5, -0.3, 0.2)).max() < 0.002 and len(symmetries(away)) == 4
    truth = np.stack([pose(40, (0, 0, 1), (0.1, 0, 0.4))] * 2)
    half_turn = np.stack([T @ _about(pose(180, (0, 1, 0)), mesh_middle(away)) for T in truth])
    turn, shift = object_pose_errors(away, half_turn, truth)
    assert turn < 2 and shift < 1e-3  # the axes are those of points on it


def _about(T: np.ndarray, place: np.ndarray) -> np.ndarray:
    there, back = np.eye(4), np.eye(4)
    there[:3, 3], back[:3, 3] = place, -place
    return there @ T @ back


def test_errors_are_the_means_of_those_that_were_made() -> None:
    truth = np.stack([pose(20, (1, 0, 0), (0.1, 0.2, 0.5)), pose(70, (0, 1, 0))])
    made = np.stack([T @ pose(turn, (0, 0, 1)) for T, turn in zip(truth, (5, 15), strict=True)])
    made[0, :3, 3] += (0.03, 0, 0)
    made[1, :3, 3] += (0, 0, 0.01)
    found = object_pose_errors(wedge().apply_translation(-mesh_middle(wedge())), made, truth)
    assert found.object_turn_deg == pytest.approx(10, abs=0.01) and found.object_shift_cm == pytest.approx(2, abs=0.01)


def test_one_symmetry_holds_for_all_frames() -> None:
    """An object that flips between frames has moved."""
    truth = np.stack([np.eye(4)] * 2)
    flipped = np.stack([np.eye(4), pose(180, (1, 0, 0))])
    assert object_pose_errors(BRICK, flipped, truth).object_turn_deg == pytest.approx(90, abs=0.01)


def test_motions_are_compared_whatever_frame_the_object_has() -> None:
    rng = np.random.default_rng(0)
    truth = np.stack([pose(a, (0.6, 0, 0.8), tuple(rng.normal(0, 0.1, 3))) for a in (0, 30, 80, 120)])
    frame = pose(77, (0, 1, 0), (0.3, -0.2, 0.1))
    middle = np.array([0.02, 0.01, -0.03])
    assert motion_errors(truth @ frame, truth, middle) == pytest.approx((0, 0), abs=1e-6)


def test_a_turn_of_one_frame_in_two_is_shared_by_both() -> None:
    """The frame that is taken is in the middle: each is off by half."""
    truth = np.stack([np.eye(4)] * 2)
    turned = np.stack([np.eye(4), pose(20, (0, 0, 1))])
    found = motion_errors(turned, truth, np.zeros(3))
    assert found[0] == pytest.approx(10, abs=1e-6) and found[1] == pytest.approx(0, abs=1e-9)
    slid = truth.copy()
    slid[1, :3, 3] = 0, 0.04, 0
    assert motion_errors(slid, truth, np.array([0.1, 0, 0])) == pytest.approx((0, 2), abs=1e-6)


def test_a_mean_is_as_sure_as_the_textbook_says() -> None:
    mean, half = mean_and_interval(np.array([1.0, 3.0]))
    assert mean == 2 and half == pytest.approx(1.96 * np.sqrt(2) / np.sqrt(2))
    values = np.random.default_rng(0).normal(5, 2, 10_000)
    assert mean_and_interval(values)[1] == pytest.approx(1.96 * 2 / 100, rel=0.05)
