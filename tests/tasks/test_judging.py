"""Ensembles that are asked for less: who sees how many placements, who has the last word, who guides when."""

from dataclasses import replace

import pytest
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

import hoprior
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.state import HandObjectState
from hoprior.priors.base import weighted_sum
from hoprior.priors.protocols import PriorInfo
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.judging import PlacementJudge, in_turn, screens_of
from hoprior.tasks.grasp.search import GraspSearch
from hoprior.tasks.grasp.terms import FrozenGradient

POOL = GraspConfig(pool=400, keep_out=False)


class High:
    """Likes hands that are high up; counts what it sees."""

    text_encoder_name, info = None, PriorInfo(reads=frozenset({"T_object_hand"}))

    def __init__(self) -> None:
        self.seen: list[float] = []

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        height = state.T_object_hand[:, 2, 3]
        self.seen += height.tolist()
        return -height


class Askew(High):
    """A little wrong: likes hands at one side as well."""

    def __init__(self, side: float) -> None:
        super().__init__()
        self.side = side

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        return super().energy(state) - self.side * state.T_object_hand[:, 0, 3]


class Together(High):
    """The mean of two that are wrong to either side, which is right."""

    def __init__(self) -> None:
        super().__init__()
        self.alone = [Askew(0.2), Askew(-0.2)]

    def members_alone(self) -> list[Askew]:
        return self.alone


@pytest.fixture(scope="module")
def can() -> trimesh.Trimesh:
    return trimesh.creation.cylinder(radius=0.03, height=0.1, sections=24)


def search_with(can: trimesh.Trimesh, prior: High, config: GraspConfig = POOL) -> GraspSearch:
    return GraspSearch(prepare_mesh(can), hoprior.load_hand(), weighted_sum([(1.0, prior)]), config=config)


def test_one_member_sees_all_and_the_prior_the_best_quarter(can: trimesh.Trimesh) -> None:
    prior = Together()
    search = search_with(can, prior)
    hands = search.shortlist(3)
    config = search.config
    climbed = 3 * config.local_search.iterations * config.local_search.proposals
    assert len(prior.alone[0].seen) == 400 + climbed
    assert len(prior.seen) == 100 + climbed // 4
    assert min(prior.seen[:100]) > sorted(prior.alone[0].seen[:400])[200], "the better ones of the pool"
    alone = High()
    without = search_with(can, alone).shortlist(3)
    assert len(alone.seen) == 400 + climbed
    heights = [hands.T_object_hand[:, 2, 3].mean() for hands in (hands, without)]
    assert heights[0] > heights[1] - 0.01, "nearly as good as if the prior had seen all"


def test_of_many_that_are_asked_for_no_fewer_are_seen(can: trimesh.Trimesh) -> None:
    prior = Together()
    assert len(search_with(can, prior).shortlist(150)) == 150
    assert len(search_with(can, High()).shortlist(150)) == 150


def test_the_prior_has_the_last_word(can: trimesh.Trimesh) -> None:
    """Best first by the prior itself, however its member orders them."""
    search = search_with(can, Together())
    heights = search.shortlist(6).T_object_hand[:, 2, 3]
    assert (heights.diff() <= 1e-6).all()


def test_a_share_of_one_is_the_search_without_an_ensemble(can: trimesh.Trimesh) -> None:
    everything = search_with(can, Together(), replace(POOL, screened=1.0)).shortlist(4)
    alone = search_with(can, High()).shortlist(4)
    assert torch.allclose(everything.T_object_hand, alone.T_object_hand, atol=2e-3)


def test_one_alone_is_no_ensemble() -> None:
    class Alone(High):
        def members_alone(self) -> "list[Alone]":
            return [self]

    alone, together, high = Alone(), Together(), High()
    assert screens_of([(1.0, alone)]) is None and screens_of([(1.0, high)]) is None
    assert screens_of([(2.0, together), (1.0, high)]) == [(2.0, together.alone[0]), (1.0, high)]
    assert in_turn([(1.0, alone), (1.0, high)]) == [(1.0, alone), (1.0, high)]


def test_guidance_asks_members_in_turn_and_no_one_else(can: trimesh.Trimesh) -> None:
    prior = Together()
    search = search_with(can, prior)
    hands = GraspBatch(search.hand.relaxed_angles.expand(2, -1, -1), torch.eye(4).repeat(2, 1, 1))
    (guide,) = search.guides()
    slopes = [FrozenGradient(guide.guidance, search.state(hands), None).slopes["T_object_hand"] for _ in range(4)]
    assert [len(one.seen) for one in prior.alone] == [4, 4] and not prior.seen
    across = torch.stack([slope[:, 0, 3] for slope in slopes if slope is not None])
    up = torch.stack([slope[:, 2, 3] for slope in slopes if slope is not None])
    assert torch.equal(across[:2], across[2:]) and (across[0] * across[1] < 0).all()
    assert torch.allclose(across[0] + across[1], torch.zeros(2), atol=1e-6) and (up < 0).all()


def test_screened_out_choices_are_never_taken(can: trimesh.Trimesh) -> None:
    T = torch.eye(4).repeat(8, 1, 1)
    T[:, 2, 3] = torch.arange(8.0)
    hands = GraspBatch(torch.zeros(8, 15, 3), T)

    def judged(hands: GraspBatch) -> tuple[list[Tensor], Tensor]:
        return [hands.T_object_hand[:, 2, 3]], torch.zeros(len(hands))

    def screened(hands: GraspBatch) -> tuple[list[Tensor], Tensor]:
        return [-hands.T_object_hand[:, 2, 3]], torch.zeros(len(hands))

    judge = PlacementJudge([(1.0, High())], judged, screened, 0.5, 0.0)
    kept, score = judge.best(hands, least=1)
    assert kept.T_object_hand[:, 2, 3].tolist() == [0.0, 1.0, 2.0, 3.0] and (score.diff() > 0).all()
    each = judge.of_each(hands, 4)
    assert each.isinf().tolist() == [False, False, True, True] * 2
    assert each[5] > each[1]
