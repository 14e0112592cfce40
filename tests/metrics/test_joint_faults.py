"""What is wrong with joints: each fault is told by its name, and none is told of a right hand in any place."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.units import number_text
from hoprior.hand import load_hand
from hoprior.hand.joint_order import reorder_joints
from hoprior.metrics.joint_faults import ODD_BONES, UNITS, average_bones, order_fault, palm_side, unit_fault

HAND = load_hand()
BONES = average_bones(HAND)
MIRROR = torch.tensor([1.0, -1.0, 1.0])


def hands(num: int = 3, curl: float = 0.3) -> Tensor:
    """Hands that bend by more and more, in metres."""
    angles = HAND.relaxed_angles.repeat(num, 1, 1)
    angles[:, :12, 1] += curl * torch.linspace(0, 1, num)[:, None]
    return HAND.joints_only(HAND.angles_to_pose(angles))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_a_right_hand_anywhere_has_no_fault(numbers: list[float]) -> None:
    turn = rotvec_to_rotmat(torch.tensor(numbers[:3]))
    joints = hands() @ turn.mT + torch.tensor(numbers[3:])
    assert unit_fault(joints, BONES).suspect == "" and unit_fault(joints, BONES).value == pytest.approx(1, abs=0.05)
    assert order_fault(joints, BONES) == (0.0, "")
    assert (palm_side(joints) > 0.05).all() and (palm_side(hands() * MIRROR @ turn.mT) < -0.05).all()


def test_the_bend_is_a_share_of_the_finger_and_no_length() -> None:
    assert torch.allclose(palm_side(hands()), palm_side(1000 * hands()), atol=1e-5)
    assert torch.allclose(palm_side(hands()), -palm_side(hands() * MIRROR), atol=1e-5)
    flat = HAND.joints_only(torch.zeros(1, 15, 3))
    assert palm_side(hands(1)) > palm_side(flat) + 0.2


@pytest.mark.parametrize(("factor", "unit"), UNITS.items())
def test_each_unit_is_told_by_its_name_and_its_contrary_too(factor: float, unit: str) -> None:
    """Tens are told from inches and centimetres by the size that hands have."""
    found = unit_fault(factor * hands(), BONES)
    assert found.suspect.startswith(f"unit: the hand's joints are in {unit}, not metres (hands are ")
    assert found.value == pytest.approx(factor, rel=0.05)
    assert f"were divided by {number_text(factor, 4)} once too often" in unit_fault(hands() / factor, BONES).suspect


@pytest.mark.parametrize(("size", "is_hand"), [(0.65, False), (0.75, True), (1.3, True), (1.5, False), (3.0, False)])
def test_children_and_large_adults_are_in_metres_and_dolls_are_of_no_unit(size: float, is_hand: bool) -> None:
    found = unit_fault(size * hands(), BONES)
    assert (found.suspect == "") == is_hand and "unit" not in found.suspect


def test_joints_that_are_not_known_count_on_neither_side() -> None:
    joints = hands().clone()
    joints[:, 16:] = torch.nan
    assert unit_fault(joints, BONES).value == pytest.approx(float(unit_fault(hands(), BONES).value), abs=0.05)
    assert order_fault(joints, BONES).suspect == ""


@pytest.mark.parametrize("listed", ["openpose", "interhand"])
@pytest.mark.parametrize("said", ["openpose", "interhand", "mano"])
def test_an_order_is_told_by_its_bones(listed: str, said: str) -> None:
    found = order_fault(reorder_joints(hands(), "mano", listed), BONES, said)
    if listed == said:
        assert found == (0.0, "")
    else:
        assert found.value > ODD_BONES and found.suspect.startswith("joint order: the joints are listed as ")
        assert listed in found.suspect and found.suspect.endswith("% of the bones have no human's length)")
        assert f"not as {said} does" in found.suspect
        assert (
            "not as its readme does"
            in order_fault(reorder_joints(hands(), "mano", listed), BONES, said, "its readme").suspect
        )


def test_a_heap_of_points_is_of_no_order() -> None:
    points = torch.rand(4, 21, 3, generator=torch.Generator().manual_seed(0)) ** 4
    found = order_fault(points, BONES)
    assert found.value > ODD_BONES and found.suspect.endswith("% of the bones have no human's length")
    assert f"{found.value:.0%}" in found.suspect
