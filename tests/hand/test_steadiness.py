"""Hands of single frames as one motion: frames that leap are told, and frames between others are filled."""

import numpy as np
import pytest
import roma
import torch

from hoprior.errors import HopriorError
from hoprior.hand import HandPose
from hoprior.hand.steadiness import filled, follows

FPS = 30.0


def turning(n: int = 12, degrees: float = 4.0) -> HandPose:
    """A hand 40 cm away that turns by some degrees a frame, and bends its fingers."""
    turn = torch.zeros(n, 3)
    turn[:, 1] = torch.deg2rad(degrees * torch.arange(n))
    bend = torch.linspace(0, 1, n)[:, None, None].expand(n, 15, 3).clone()
    return HandPose(bend, torch.zeros(n, 10), turn, torch.tensor([0.0, 0.0, 0.4]).repeat(n, 1))


def seconds(n: int) -> np.ndarray:
    return np.arange(n) / FPS


def test_a_steady_motion_is_kept_whole() -> None:
    assert follows(turning(), seconds(12)).all()


@pytest.mark.parametrize("wrong", [[3], [5, 6, 7], [0, 11]])
def test_frames_that_leap_are_told(wrong: list[int]) -> None:
    pose = turning()
    # The palm is taken for the back of the hand, as single frames have it.
    flipped = roma.rotvec_to_rotmat(pose.global_orient[wrong]) @ roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 2.6]))
    pose.global_orient[wrong] = roma.rotmat_to_rotvec(flipped)
    assert np.flatnonzero(~follows(pose, seconds(12))).tolist() == wrong


def test_a_leap_in_depth_is_told_and_a_frame_without_a_hand_does_not_follow() -> None:
    pose = turning()
    pose.transl[4, 2] = 0.25
    pose.global_orient[8] = torch.nan
    assert np.flatnonzero(~follows(pose, seconds(12))).tolist() == [4, 8]


def test_what_leaps_at_thirty_frames_a_second_is_possible_at_two() -> None:
    pose = turning(6, degrees=60.0)
    assert follows(pose, np.arange(6) / 2.0).all()
    slow = turning(6)
    slow.global_orient[3, 1] += 1.2
    assert follows(slow, np.arange(6) / 2.0).all()
    assert not follows(slow, seconds(6))[3]


def test_nothing_is_left_out_where_no_motion_is_found() -> None:
    pose = turning()
    generator = torch.Generator().manual_seed(0)
    pose.global_orient.copy_(3 * torch.randn(12, 3, generator=generator))
    assert follows(pose, seconds(12)).all()


def test_missing_frames_lie_between_their_neighbours() -> None:
    truth, pose = turning(), turning()
    for part in (pose.hand_pose, pose.global_orient, pose.transl):
        part[[0, 4, 5, 6]] = torch.nan
    found, own = filled(pose)
    assert (~own).nonzero()[:, 0].tolist() == [0, 4, 5, 6]
    torch.testing.assert_close(found.global_orient[1:], truth.global_orient[1:])
    torch.testing.assert_close(found.hand_pose[1:], truth.hand_pose[1:])
    # Before the first the hand rests.
    torch.testing.assert_close(found.global_orient[0], truth.global_orient[1])
    assert torch.equal(found.hand_pose[own], truth.hand_pose[own])


def test_one_estimate_fills_all_frames_and_none_is_an_error() -> None:
    pose = turning(4)
    pose.transl[[0, 1, 3]] = torch.nan
    found, own = filled(pose)
    assert own.sum() == 1
    torch.testing.assert_close(found.global_orient, pose.global_orient[[2, 2, 2, 2]])
    pose.transl[2] = torch.nan
    with pytest.raises(HopriorError, match="NaN in every frame"):
        filled(pose)
