"""Joint orders: conversions are bijections that move names, not only numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hoprior.errors import HopriorError
from hoprior.hand import JOINT_NAMES, load_hand, reorder_joints
from hoprior.hand.joint_order import JOINT_ORDERS, PARENTS, joint_permutation

orders = st.sampled_from(sorted(JOINT_ORDERS))


def test_every_order_lists_every_joint_once():
    for name, order in JOINT_ORDERS.items():
        assert sorted(order) == sorted(JOINT_NAMES), name


@given(source=orders, target=orders)
def test_there_and_back_is_the_identity(source, target):
    joints = torch.randn(2, 21, 3)
    assert torch.equal(reorder_joints(reorder_joints(joints, source, target), target, source), joints)


@given(first=orders, second=orders, third=orders)
def test_a_detour_changes_nothing(first, second, third):
    joints = torch.randn(21, 4)
    detour = reorder_joints(reorder_joints(joints, first, second), second, third)
    assert torch.equal(detour, reorder_joints(joints, first, third))


@given(source=orders, target=orders)
def test_a_joint_keeps_its_name(source, target):
    moved = [JOINT_ORDERS[source][k] for k in joint_permutation(source, target)]
    assert moved == list(JOINT_ORDERS[target])


def test_standard_order_is_the_one_that_ho3d_documents():
    documented = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
    assert joint_permutation("mano", "openpose") == documented


def test_fingers_grow_outwards_on_a_real_hand():
    """In finger-by-finger order, each of a flat hand's fingers gets farther from the wrist joint by joint."""
    hand = load_hand("open")
    joints = reorder_joints(hand(torch.zeros(1, 15, 3)).joints[0], "mano", "mediapipe")
    distance = joints[1:].norm(dim=-1).reshape(5, 4)
    assert (distance.diff(dim=1) > 0).all()
    thumb_to_pinky = joints[1:].reshape(5, 4, 3)[:, 1, 1]
    assert (thumb_to_pinky.diff() > 0).all()


def test_parents_come_before_their_children():
    assert all(parent < child for child, parent in enumerate(PARENTS))
    assert [JOINT_NAMES[k][:-1] == JOINT_NAMES[PARENTS[k]][:-1] for k in (2, 3, 5, 6, 8, 9, 11, 12, 14, 15)]


def test_unknown_order_is_named():
    with pytest.raises(HopriorError, match=r"'openpos' is unknown: use one of .*openpose"):
        reorder_joints(torch.zeros(21, 3), "openpos")
