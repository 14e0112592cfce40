"""The lift test: what is held between fingers comes along, what is not touched stays; hands are led as far as told."""

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from hoprior.evaluation import lifts
from hoprior.geometry.mesh import mirrored
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand
from hoprior.hand.pose import mirror_points
from hoprior.physics.articulated.closing import MOST_MOVED, MOST_TURNED, Surface, brought_together, pad_of
from hoprior.physics.articulated.forces import planned_forces
from hoprior.physics.articulated.hand import articulated
from hoprior.physics.articulated.hinges import hinges_of
from hoprior.physics.articulated.scene import place_links
from hoprior.physics.articulated.table_lift import LiftTest

MODEL = load_hand()
HAND = articulated(MODEL)
BENT = hinges_of(MODEL.angles_to_pose(0.45 * MODEL.angle_high), MODEL.axes).double().numpy()


def pinch(away: float = 0.0) -> tuple[trimesh.Trimesh, np.ndarray]:
    """A box between the pads of thumb and middle finger, and the hand's place (m) beside it, so far from there."""
    placed = place_links(HAND, BENT)
    thumb, middle = (placed.points(link, pad[None])[0] for link, pad in (pad_of(HAND, 4), pad_of(HAND, 1)))
    line = middle - thumb
    width = float(np.linalg.norm(line)) - sum(HAND.links[pad_of(HAND, f)[0]].capsules[0].radius for f in (1, 4))
    T_hand_box = np.eye(4)
    T_hand_box[:3, :3] = Rotation.align_vectors([line], [[1.0, 0.0, 0.0]])[0].as_matrix()
    T_hand_box[:3, 3] = (thumb + middle) / 2
    T_box_hand = np.linalg.inv(T_hand_box)
    T_box_hand[2, 3] += away
    return trimesh.creation.box((width, 0.06, 0.06)), T_box_hand


def test_a_box_that_is_pinched_comes_along_and_one_that_is_not_stays() -> None:
    pytest.importorskip("mujoco", reason="needs the extra `sim`")
    pytest.importorskip("coacd", reason="needs the extra `sim`")
    box, place = pinch()
    test = LiftTest(box)
    lifted = test(HAND, BENT, place)
    assert lifted.held and 0.45 < lifted.rise < 0.55
    missed = test(HAND, BENT, pinch(away=0.3)[1])
    assert not missed.held and abs(missed.rise) < 0.01


def test_a_mirrored_grasp_of_the_mirrored_object_has_the_same_answer(monkeypatch) -> None:
    """To the last digit of how far it rises: the evaluation of left hands is the right hands' in the mirror."""
    pytest.importorskip("mujoco", reason="needs the extra `sim`")
    pytest.importorskip("coacd", reason="needs the extra `sim`")
    risen = []

    class Told(LiftTest):
        def __call__(self, *args):
            found = super().__call__(*args)
            risen.append(found.rise)
            return found

    monkeypatch.setattr(lifts, "LiftTest", Told)
    box, place = pinch()
    place = torch.tensor(place, dtype=torch.float32)
    joints = MODEL(MODEL.angles_to_pose(0.45 * MODEL.angle_high)[None]).joints[0] @ place[:3, :3].T + place[:3, 3]
    # Nothing about it is the same in the mirror.
    box.apply_translation([0.001, 0.004, -0.002])
    right = lifts.which_lift(joints[None].numpy(), box)
    left = lifts.which_lift(mirror_points(joints)[None].numpy(), mirrored(box), side="left")
    assert right.tolist() == left.tolist() == [True]
    assert risen[0] == risen[1] > 0.45


@pytest.mark.slow
def test_too_heavy_a_box_slips() -> None:
    """Fingers press with what torque there is and no more."""
    pytest.importorskip("mujoco", reason="needs the extra `sim`")
    pytest.importorskip("coacd", reason="needs the extra `sim`")
    box, place = pinch()
    assert not LiftTest(box, mass=20.0)(HAND, BENT, place).held


def test_pads_are_led_to_opposed_points_and_the_wrist_no_farther_than_labels_are_off() -> None:
    box, place = pinch()
    place = place.copy()
    place[:3, 3] += 0.004
    sdf = SdfGrid.from_mesh(box)
    closed = brought_together(HAND, BENT, place, sdf, Surface.of(box))
    assert 4 in closed.goals and len(closed.goals) > 1
    placed = place_links(HAND, closed.hinges)
    gaps = {}
    for finger in closed.goals:
        link, pad = pad_of(HAND, finger)
        point = closed.T_object_hand[:3, :3] @ placed.points(link, pad[None])[0] + closed.T_object_hand[:3, 3]
        gap = float(sdf(torch.tensor(point, dtype=torch.float32)[None, None])) - HAND.links[link].capsules[0].radius
        gaps[finger] = gap
    assert abs(gaps[4]) < 0.005 and min(abs(gap) for finger, gap in gaps.items() if finger != 4) < 0.005
    turn = Rotation.from_matrix(closed.T_object_hand[:3, :3] @ place[:3, :3].T).magnitude()
    middle = np.array([0.09, 0.0, 0.0, 1.0])
    assert turn < MOST_TURNED + 1e-6
    assert np.linalg.norm((closed.T_object_hand - place) @ middle) < MOST_MOVED + 1e-6


def test_a_hand_that_is_far_away_is_led_nowhere() -> None:
    box, place = pinch(away=0.3)
    closed = brought_together(HAND, BENT, place, SdfGrid.from_mesh(box), Surface.of(box))
    assert closed.goals == {}
    np.testing.assert_allclose(closed.hinges, BENT, atol=1e-9)
    np.testing.assert_allclose(closed.T_object_hand, place, atol=1e-9)


def test_planned_forces_carry_a_weight() -> None:
    sides = np.array([[0.03, 0.0, 0.0], [-0.03, 0.0, 0.0]])
    weight = np.array([0.0, 0.0, -2.0])
    forces = planned_forces(sides, sides / 0.03, [1, 5], np.zeros(3), load=weight)
    np.testing.assert_allclose(forces.sum(axis=0), -weight, atol=0.1)
    assert forces[0, 0] < -3 and forces[1, 0] > 3
