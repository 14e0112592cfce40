"""The points that shipped priors are fed with are those that they were trained with."""

import torch

from hoprior.hand.bones import (
    BONE_ENDS,
    BONE_STARTS,
    FINGER_CHAINS,
    KNUCKLES,
    NUM_BONE_POINTS,
    PALM_SHARES,
    bone_points,
)
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.priors.registry import load_prior


def test_bone_points_are_those_that_the_shipped_weights_know() -> None:
    """Joint j at (j, 2 j, 100 - j): every number below follows from which joints are named, and from the shares."""
    j = torch.arange(21.0)
    points = bone_points(torch.stack([j, 2 * j, 100 - j], dim=1)[None])[0]
    middles = [1.5, 2.5, 10, 4.5, 5.5, 12, 7.5, 8.5, 14.5, 10.5, 11.5, 15.5, 13.5, 14.5, 15.5]
    palm = [share * knuckle for share in (0.35, 0.6, 0.85) for knuckle in (1, 4, 7, 10)]
    first = torch.tensor([*range(1, 21), *middles, *palm])
    assert points.shape == (47, 3) and NUM_BONE_POINTS == 47
    assert torch.allclose(points[:, 0], first)
    assert torch.allclose(points[:, 1], 2 * first)
    assert torch.allclose(points[35:, 2], torch.tensor([s * (100 - k) for s in PALM_SHARES for k in KNUCKLES]))


def test_shipped_examples_have_as_many_points() -> None:
    assert load_prior("grasp_type").example_places.shape[-1] == NUM_BONE_POINTS  # type: ignore[attr-defined]


def test_chains_go_along_each_finger_to_its_tip() -> None:
    for chain in FINGER_CHAINS:
        finger = JOINT_NAMES[chain[0]][:-1]
        assert [JOINT_NAMES[joint] for joint in chain] == [f"{finger}{k}" for k in ("1", "2", "3", "_tip")]
    assert len(BONE_STARTS) == len(BONE_ENDS) == 15
    assert [JOINT_NAMES[joint] for joint in KNUCKLES] == ["index1", "middle1", "pinky1", "ring1"]
