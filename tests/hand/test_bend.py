"""Rotations bent so that joints come where they are wanted (hand/bend.py)."""

import torch

from hoprior.hand import HandPose, load_hand
from hoprior.hand.bend import bent_towards
from hoprior.hand.joint_order import JOINT_NAMES

INDEX_TIP = JOINT_NAMES.index("index_tip")


def some_hands(count: int = 8) -> tuple[HandPose, torch.Tensor]:
    """Hands, and the same with other angles of the index finger."""
    hand, generator = load_hand(), torch.Generator().manual_seed(0)
    angles = hand.relaxed_angles + 0.1 * torch.randn(count, 15, 3, generator=generator)
    other = angles.clone()
    other[:, :3, 1] += 0.5 * torch.rand(count, 3, generator=generator)
    place = torch.tensor([[0.1, -0.2, 0.6]]).expand(count, 3)
    pose = HandPose(hand.angles_to_pose(angles), torch.zeros(count, 10), torch.randn(count, 3), place)
    return pose, hand.angles_to_pose(other)


def test_joints_with_weight_come_to_their_targets_and_locked_rotations_stay() -> None:
    hand = load_hand()
    pose, other = some_hands()
    targets = hand.joints_only(other, pose.betas, pose.global_orient, pose.transl)
    weights = torch.zeros(len(pose), 21)
    weights[:, INDEX_TIP] = 1.0
    free = torch.zeros(len(pose), 15, dtype=torch.bool)
    free[:, :3] = True
    bent = bent_towards(hand, pose, free, targets, weights)
    joints = hand.joints_only(bent, pose.betas, pose.global_orient, pose.transl)
    assert (joints - targets)[:, INDEX_TIP].norm(dim=-1).max() < 0.003
    assert torch.equal(bent[:, 3:], pose.hand_pose[:, 3:])


def test_nothing_wanted_changes_nothing() -> None:
    hand = load_hand()
    pose, _ = some_hands(2)
    free = torch.ones(2, 15, dtype=torch.bool)
    bent = bent_towards(hand, pose, free, torch.zeros(2, 21, 3), torch.zeros(2, 21))
    assert torch.allclose(bent, pose.hand_pose, atol=1e-6)


def test_a_hand_depends_on_no_other() -> None:
    hand = load_hand()
    pose, other = some_hands(3)
    targets = hand.joints_only(other, pose.betas, pose.global_orient, pose.transl)
    free, weights = torch.ones(3, 15, dtype=torch.bool), torch.ones(3, 21)
    all_three = bent_towards(hand, pose, free, targets, weights)
    one = bent_towards(hand, pose[1:2], free[1:2], targets[1:2], weights[1:2])
    assert torch.allclose(all_three[1], one[0], atol=1e-5)
