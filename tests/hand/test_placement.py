"""Random placements, and the diverse best of them."""

import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from hoprior.geometry.state import transform_points
from hoprior.hand import load_hand
from hoprior.hand.placement import (
    SPACING_JOINTS,
    LocalSearchConfig,
    diverse_best,
    hill_climb,
    random_placements,
)

BALL = trimesh.creation.icosphere(radius=0.04)
HAND = load_hand()


def placements(num: int, seed: int = 0) -> torch.Tensor:
    return random_placements(BALL, num, torch.Generator().manual_seed(seed))


def test_placements_are_rigid_and_palms_are_near_the_object() -> None:
    T = placements(500)
    rotation = T[:, :3, :3]
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3).expand(500, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(500), atol=1e-5)
    palm = transform_points(T, torch.tensor([[0.085, 0.0, 0.045]]).expand(500, 1, 3))[:, 0]
    assert (palm.norm(dim=1) < 0.04 + 0.08).all()


def test_the_same_seed_gives_the_same_placements() -> None:
    assert torch.equal(placements(64, 3), placements(64, 3))
    assert not torch.equal(placements(64, 3), placements(64, 4))


@settings(max_examples=20, deadline=None)
@given(num=st.integers(1, 40), spacing=st.floats(0.0, 0.08), seed=st.integers(0, 100))
def test_diverse_best_gives_distinct_hands_best_first(num: int, spacing: float, seed: int) -> None:
    T = placements(32, seed)
    score = torch.randn(32, generator=torch.Generator().manual_seed(seed))
    joints = HAND.joints_only(HAND.angles_to_pose(HAND.relaxed_angles[None])).expand(32, -1, -1)
    chosen = diverse_best(score, T, joints, num, spacing)
    assert len(chosen) == min(num, 32) == len(set(chosen.tolist()))
    assert chosen[0] == score.argmax()


def test_hands_are_kept_apart_while_there_is_room() -> None:
    T = placements(400)
    joints = HAND.joints_only(HAND.angles_to_pose(HAND.relaxed_angles[None])).expand(400, -1, -1)
    chosen = diverse_best(torch.arange(400.0), T, joints, 10, 0.04)
    at = transform_points(T, joints)[chosen][:, SPACING_JOINTS]
    apart = (at[:, None] - at[None]).norm(dim=-1).mean(dim=-1) + torch.eye(10)
    assert apart.min() >= 0.04


def test_climbing_goes_to_better_placements_near() -> None:
    T = placements(20)

    def judge(T: torch.Tensor) -> torch.Tensor:
        return -(T[:, :3, 3] - torch.tensor([0.0, 0.0, 0.3])).norm(dim=1)

    generator = torch.Generator().manual_seed(0)
    moved, score = hill_climb(T, judge(T), judge, LocalSearchConfig(iterations=3), generator)
    assert torch.allclose(judge(moved), score) and (score > judge(T)).float().mean() > 0.9
    assert (score >= judge(T)).all() and (moved[:, :3, 3] - T[:, :3, 3]).norm(dim=1).max() < 0.2
    assert torch.allclose(moved[:, :3, :3] @ moved[:, :3, :3].mT, torch.eye(3).expand(20, 3, 3), atol=1e-5)
