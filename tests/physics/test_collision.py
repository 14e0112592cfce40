"""Fingers that close from open, and those that went through what they hold."""

import torch
from torch import Tensor

from hoprior.geometry.state import SignedDistance
from hoprior.hand import load_hand
from hoprior.physics.collision import CollisionGuard

HAND = load_hand()
HERE = torch.eye(4)[None]
LONG_FINGERS = slice(0, 4)
"""Of the chains, of which the thumb's is the last."""


def bent(share: float) -> Tensor:
    """A hand whose long fingers are bent by a share of what they can be; the thumb rests."""
    angles = HAND.relaxed_angles.clone()[None]
    angles[:, :12] = 0.0
    angles[:, :12, 1] = share * HAND.angle_high[:12, 1]
    return angles


def bar(angles: Tensor, radius: float = 0.008) -> SignedDistance:
    """A bar across the hand, through the middle bones of the middle and the ring finger of this hand."""
    joints = HAND.joints_only(HAND.angles_to_pose(angles))[0]
    across = (joints[[5, 6, 11, 12]]).mean(dim=0)

    def distance(points: Tensor) -> Tensor:
        return (points - across)[..., [0, 2]].norm(dim=-1) - radius

    return distance


def test_a_bar_on_the_way_of_the_fingers_was_gone_through_and_one_before_them_was_not() -> None:
    closed = bent(0.9)
    passed = CollisionGuard(HAND, bar(bent(0.45))).passed_through(closed, HERE)
    assert passed[0, LONG_FINGERS].any()
    for elsewhere in (lambda points: points.norm(dim=-1) + 1.0, bar(bent(0.9))):
        assert not CollisionGuard(HAND, elsewhere).passed_through(closed, HERE).any()


def test_fingers_that_went_through_are_brought_back_before_the_bar_and_others_stay() -> None:
    guard, closed = CollisionGuard(HAND, bar(bent(0.45))), bent(0.9)
    passed = guard.passed_through(closed, HERE)[0]
    before = guard.with_fingers_before(closed, HERE)
    assert not guard.passed_through(before, HERE).any()
    assert guard.clear(before, HERE, clearance=0.0)[0, :5][passed].all()
    by_finger = (before != closed).any(dim=2)[0].unflatten(0, (5, 3)).any(dim=1)
    assert torch.equal(by_finger, passed)
