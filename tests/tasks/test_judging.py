"""Priors that are asked for less: quick looks at many placements, who has the last word, who guides when."""

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
from hoprior.tasks.grasp.judging import PlacementJudge, quick_looks
from hoprior.tasks.grasp.search import GraspSearch
from hoprior.tasks.grasp.terms import slopes_at

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


@pytest.fixture(scope="module")
def can() -> trimesh.Trimesh:
    return trimesh.creation.cylinder(radius=0.03, height=0.1, sections=24)


def search_with(can: trimesh.Trimesh, prior: High, config: GraspConfig = POOL) -> GraspSearch:
    return GraspSearch(prepare_mesh(can), hoprior.load_hand(), weighted_sum([(1.0, prior)]), config=config)


class Thorough(High):
    """Has a quick look beside it, which is a little wrong."""

    def __init__(self, side: float = 0.05) -> None:
        super().__init__()
        self.quick = Askew(side)

    def quick_look(self) -> Askew:
        return self.quick


def test_the_quick_look_sees_all_and_the_prior_those_that_are_left(can: trimesh.Trimesh) -> None:
    prior = Thorough()
    search = search_with(can, prior)
    hands = search.shortlist(3)
    climbed = 3 * search.config.local_search.iterations * search.config.local_search.proposals
    assert len(prior.quick.seen) == 400 + climbed and len(prior.seen) == 3
    alone = High()
    without = search_with(can, alone).shortlist(3)
    assert len(alone.seen) == 400 + climbed
    heights = [hands.T_object_hand[:, 2, 3].mean() for hands in (hands, without)]
    assert heights[0] > heights[1] - 0.01, "nearly as good as if the prior had seen all"


def test_of_many_that_are_asked_for_no_fewer_are_seen(can: trimesh.Trimesh) -> None:
    assert len(search_with(can, Thorough()).shortlist(150)) == 150
    assert len(search_with(can, High()).shortlist(150)) == 150


def test_the_prior_has_the_last_word(can: trimesh.Trimesh) -> None:
    """Best first by the prior itself, however its quick look orders them."""
    search = search_with(can, Thorough(side=0.5))
    heights = search.shortlist(6).T_object_hand[:, 2, 3]
    assert (heights.diff() <= 1e-6).all()


def test_a_quick_look_that_is_the_prior_changes_nothing(can: trimesh.Trimesh) -> None:
    class Itself(High):
        def quick_look(self) -> "Itself":
            return self

    prior = Itself()
    hands, alone = search_with(can, prior).shortlist(4), search_with(can, High()).shortlist(4)
    assert torch.equal(hands.T_object_hand, alone.T_object_hand)
    assert len(prior.seen) == 400 + 4 * POOL.local_search.iterations * POOL.local_search.proposals, "none is seen twice"


def test_the_quick_look_guides(can: trimesh.Trimesh) -> None:
    prior = Thorough(side=0.2)
    search = search_with(can, prior)
    hands = GraspBatch(search.hand.relaxed_angles.expand(2, -1, -1), torch.eye(4).repeat(2, 1, 1))
    (guide,) = search.guides()
    slope = slopes_at(guide.guidance, search.state(hands), None)["T_object_hand"]
    assert len(prior.quick.seen) == 2 and not prior.seen
    assert slope is not None and (slope[:, 2, 3] < 0).all()
    assert torch.allclose(slope[:, 0, 3], 0.2 * slope[:, 2, 3])


def test_the_first_hands_set_the_scale_of_all() -> None:
    def hands_at(*heights: float) -> GraspBatch:
        T = torch.eye(4).repeat(len(heights), 1, 1)
        T[:, 2, 3] = torch.tensor(heights)
        return GraspBatch(torch.zeros(len(heights), 15, 3), T)

    def judged(hands: GraspBatch) -> tuple[list[Tensor], Tensor]:
        return [hands.T_object_hand[:, 2, 3]], (hands.T_object_hand[:, 2, 3] > 3).float()

    judge = PlacementJudge([(1.0, High())], judged, out_of_place=0.5)
    first = judge(hands_at(-1.0, 0.0, 1.0))
    assert first.tolist() == [-1.0, 0.0, 1.0]
    assert judge(hands_at(2.0, 4.0)).tolist() == [2.0, 3.5]
    assert judge(hands_at(2.0), lambda hands: ([torch.tensor([7.0])], torch.zeros(1))).tolist() == [7.0]
    assert PlacementJudge([], judged, 0.5)(hands_at(2.0, 4.0)).tolist() == [0.0, -0.5]


def test_only_priors_that_have_a_quick_look_are_replaced() -> None:
    thorough, high = Thorough(), High()
    assert quick_looks([(2.0, thorough), (1.0, high)]) == [(2.0, thorough.quick), (1.0, high)]
