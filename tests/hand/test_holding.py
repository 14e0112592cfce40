"""Hands from fingertips: they are where they should be, and the rest bends as a hand that holds something does."""

import pytest
import torch
from torch import Tensor

from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import HandModel, load_hand
from hoprior.hand.holding import HoldingFit
from hoprior.hand.joint_order import TIPS

FLEXION = 1


@pytest.fixture(params=["right", "left"])
def hand(request: pytest.FixtureRequest) -> HandModel:
    return load_hand("open", request.param)


def bent(hand: HandModel, num: int) -> Tensor:
    """Angles of hands that hold something, each in its own way."""
    draw = torch.Generator().manual_seed(0)
    angles = hand.holding_angles.repeat(num, 1, 1)
    angles[:, :12, FLEXION] += 0.2 * torch.randn(num, 12, generator=draw)
    return angles.clamp(hand.angle_low, hand.angle_high)


def placed(num: int) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return rigid(rotvec_to_rotmat(torch.randn(num, 3, generator=draw)), torch.randn(num, 3, generator=draw))


def test_hands_that_hold_something_stay_as_they_are(hand: HandModel) -> None:
    angles, T = bent(hand, 8), placed(8)
    joints = transform_points(T, hand.joints_only(hand.angles_to_pose(angles)))
    found, T_found = HoldingFit()(hand, joints)
    fitted = transform_points(T_found, hand.joints_only(hand.angles_to_pose(found)))
    assert (fitted - joints)[:, TIPS].norm(dim=-1).mean() < 0.004
    assert (found - angles).abs().mean() < 0.1


def test_a_palm_that_was_tilted_comes_back_and_fingertips_stay(hand: HandModel) -> None:
    """As in retargeted motion: the same fingertips, but a palm tilted by 15 degrees, so that knuckles bend more."""
    joints = hand.joints_only(hand.angles_to_pose(bent(hand, 8)))
    tilt = rotvec_to_rotmat(torch.tensor([0.0, torch.pi / 12, 0.0]))
    palm = [0, 1, 4, 7, 10]
    tilted = joints.clone()
    tilted[:, palm] = (joints[:, palm] - joints[:, [4]]) @ tilt.T + joints[:, [4]] + torch.tensor([0.0, 0.0, 0.01])
    angles, T = HoldingFit()(hand, tilted)
    fitted = transform_points(T, hand.joints_only(hand.angles_to_pose(angles)))
    misses = {name: (fitted - joints)[:, which].norm(dim=-1).mean() for name, which in (("tips", TIPS), ("palm", palm))}
    assert misses["tips"] < 0.004
    assert misses["palm"] < 0.5 * (tilted - joints)[:, palm].norm(dim=-1).mean()


def test_how_closely_joints_are_followed_is_a_choice() -> None:
    hand = load_hand()
    joints = hand.joints_only(
        hand.angles_to_pose((2 * hand.holding_angles).clamp(hand.angle_low, hand.angle_high)[None])
    )
    loose, close = (HoldingFit(angle_prior=prior)(hand, joints)[0] for prior in (0.1, 0.001))
    assert (loose - hand.holding_angles).norm() < (close - hand.holding_angles).norm()
