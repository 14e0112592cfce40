"""Placements judged in two rounds: who sees how many, who has the last word, and what is without screens."""

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
from hoprior.tasks.grasp.judging import screens_of
from hoprior.tasks.grasp.search import GraspSearch

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


class HighWithScreen(High):
    """The same, with a screen that is a little wrong, and likes hands at the side as well."""

    def __init__(self) -> None:
        super().__init__()
        self.quick = Askew()

    def screen(self) -> "Askew":
        return self.quick


class Askew(High):
    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        return super().energy(state) - 0.2 * state.T_object_hand[:, 0, 3]


@pytest.fixture(scope="module")
def can() -> trimesh.Trimesh:
    return trimesh.creation.cylinder(radius=0.03, height=0.1, sections=24)


def search_with(can: trimesh.Trimesh, prior: High, config: GraspConfig = POOL) -> GraspSearch:
    return GraspSearch(prepare_mesh(can), hoprior.load_hand(), weighted_sum([(1.0, prior)]), config=config)


def test_the_screen_sees_all_and_the_prior_the_best_quarter(can: trimesh.Trimesh) -> None:
    prior = HighWithScreen()
    search = search_with(can, prior)
    hands = search.shortlist(3)
    config = search.config
    climbed = 3 * config.local_search.iterations * config.local_search.proposals
    assert len(prior.quick.seen) == 400 + climbed
    assert len(prior.seen) == 100 + climbed // 4
    assert min(prior.seen[:100]) > sorted(prior.quick.seen[:400])[200], "the better ones of the pool"
    alone = High()
    without = search_with(can, alone).shortlist(3)
    assert len(alone.seen) == 400 + climbed
    heights = [hands.T_object_hand[:, 2, 3].mean() for hands in (hands, without)]
    assert heights[0] > heights[1] - 0.01, "nearly as good as if the prior had seen all"


def test_of_many_that_are_asked_for_no_fewer_are_seen(can: trimesh.Trimesh) -> None:
    prior = HighWithScreen()
    assert len(search_with(can, prior).shortlist(150)) == 150
    assert len(search_with(can, High()).shortlist(150)) == 150


def test_the_prior_has_the_last_word(can: trimesh.Trimesh) -> None:
    """Best first by the prior itself, however the screen orders them."""
    search = search_with(can, HighWithScreen())
    heights = search.shortlist(6).T_object_hand[:, 2, 3]
    assert (heights.diff() <= 1e-6).all()


def test_a_share_of_one_is_the_search_without_a_screen(can: trimesh.Trimesh) -> None:
    everything = search_with(can, HighWithScreen(), replace(POOL, screened=1.0)).shortlist(4)
    alone = search_with(can, High()).shortlist(4)
    assert torch.allclose(everything.T_object_hand, alone.T_object_hand, atol=2e-3)


def test_a_screen_that_is_the_prior_itself_is_none() -> None:
    class Whole(High):
        def screen(self) -> "Whole":
            return self

    assert screens_of([(1.0, Whole())]) is None
    assert screens_of([(1.0, High())]) is None
    prior = HighWithScreen()
    found = screens_of([(2.0, prior), (1.0, High())])
    assert found is not None and found[0] == (2.0, prior.quick)


def test_screened_out_choices_are_never_taken(can: trimesh.Trimesh) -> None:
    from hoprior.tasks.grasp.judging import PlacementJudge

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
