"""Whether joints can be a hand's (hoprior.metrics.hand_validity)."""

import pytest
import torch
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.hand import HandModel, load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.metrics.hand_validity import BONE_PARENTS, bone_lengths, hand_validity, human_bone_lengths

MCP_AND_PIP = [0, 1]
"""Of the index finger, among the 15 finger joints."""


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return load_hand()


def angles_of(hand: HandModel, count: int) -> Tensor:
    share = torch.rand(count, 15, 3, generator=torch.Generator().manual_seed(0))
    return hand.angle_low + (hand.angle_high - hand.angle_low) * share


def test_bones_go_along_the_fingers() -> None:
    bones = {JOINT_NAMES[k + 1]: JOINT_NAMES[parent] for k, parent in enumerate(BONE_PARENTS)}
    assert bones["index1"] == bones["thumb1"] == "wrist"
    assert bones["pinky3"] == "pinky2" and bones["pinky_tip"] == "pinky3" and bones["thumb_tip"] == "thumb3"


def test_the_range_of_bones_holds_hands_of_all_shapes(hand: HandModel) -> None:
    shortest, longest = human_bone_lengths(hand)
    assert (shortest > 0.01).all() and (shortest < longest).all() and (longest < 0.13).all()
    betas = torch.randn(400, 10, generator=torch.Generator().manual_seed(0))
    lengths = bone_lengths(hand.joints_only(torch.zeros(400, 15, 3), betas))
    within = ((lengths >= shortest) & (lengths <= longest)).float().mean(dim=0)
    # 95 % of a normal distribution are within two standard deviations.
    assert ((within > 0.9) & (within < 0.99)).all()


def test_hands_of_the_model_are_human(hand: HandModel) -> None:
    joints = hand.joints_only(hand.angles_to_pose(angles_of(hand, 6)))
    found = hand_validity(joints, hand)
    assert (found.bones_in_range == 1).all()
    assert found.flexion_excess.max() < 0.02 and found.ik_residual.max() < 0.0005
    assert found.verts_hand.shape == (6, len(hand.v_template), 3)


def test_a_finger_bent_back_is_found_and_measured(hand: HandModel) -> None:
    angles = angles_of(hand, 4)
    angles[:, MCP_AND_PIP, 1] = hand.angle_low[MCP_AND_PIP, 1] - torch.tensor([0.5, 0.3])
    found = hand_validity(hand.joints_only(hand.angles_to_pose(angles)), hand)
    torch.testing.assert_close(found.flexion_excess, torch.full((4,), 0.5), rtol=0, atol=0.03)
    assert found.ik_residual.min() > 0.001
    assert (found.bones_in_range == 1).all()


def test_a_long_finger_is_found(hand: HandModel) -> None:
    joints = hand.joints_only(hand.angles_to_pose(angles_of(hand, 2)))
    tip, last = JOINT_NAMES.index("index_tip"), JOINT_NAMES.index("index3")
    joints[:, tip] += joints[:, tip] - joints[:, last]
    found = hand_validity(joints, hand)
    torch.testing.assert_close(found.bones_in_range, torch.full((2,), 19 / 20))
    assert found.ik_residual.min() > 0.0005


def test_joints_that_are_not_held_do_not_count(hand: HandModel) -> None:
    joints = hand.joints_only(hand.angles_to_pose(angles_of(hand, 2)))
    joints[:, 16:] = torch.nan
    found = hand_validity(joints, hand)
    assert (found.bones_in_range == 1).all() and found.ik_residual.max() < 0.0005
    with pytest.raises(HopriorError, match="hand 1 has fewer than three joints"):
        hand_validity(torch.stack([joints[0], joints[1] * torch.nan]), hand)
