"""Priors of how fingers are bent, in the grasp task: they see the bend, and have no say in where hands are."""

from dataclasses import replace

import pytest
import torch
import trimesh

import hoprior
from hoprior.geometry.mesh import prepare_mesh
from hoprior.geometry.state import HandObjectState, transform_points
from hoprior.hand.placement import LocalSearchConfig
from hoprior.priors.base import weighted_sum
from hoprior.priors.protocols import PriorInfo
from hoprior.priors.registry import load_prior
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig, GraspBatch
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.grasp.search import GraspSearch
from hoprior.tasks.grasp.terms import HeldGuidance, along, slopes_at

SMALL = GraspConfig(
    pool=64,
    local_search=LocalSearchConfig(1),
    spare=0.0,
    guiding=DescentConfig(8),
    refining=DescentConfig(4),
    faults=FaultWeights(simulate=False),
)


class Low:
    """Likes hands that are low along the object's z axis, and notes what it was shown of their bend."""

    def __init__(self) -> None:
        self.bends: list[torch.Tensor | None] = []

    def energy(self, state: HandObjectState, cond: object, /) -> torch.Tensor:
        self.bends.append(state.hand_pose)
        return 10 * state.T_object_hand[:, 2, 3]


class Flat:
    """A denoiser by protocol alone that takes every hand for a flat one, and notes at which noise it was asked."""

    info = PriorInfo(reads=frozenset({"hand_pose"}))

    def __init__(self) -> None:
        self.alphas_cumprod = torch.linspace(0.999, 0.01, 100)
        self.asked: list[torch.Tensor] = []

    def encode(self, state: HandObjectState, /) -> torch.Tensor:
        assert state.hand_pose is not None
        return state.hand_pose

    def predict_noise(self, x_t: torch.Tensor, t: torch.Tensor, cond: object, /) -> torch.Tensor:
        self.asked.append(t)
        return x_t / (1 - self.alphas_cumprod[t]).sqrt()[:, None, None]


class FlatAtHighNoise(Flat):
    info = PriorInfo(reads=frozenset({"hand_pose"}), noise_range=(0.7, 0.9))


@pytest.fixture(scope="module")
def can() -> trimesh.Trimesh:
    return trimesh.creation.cylinder(radius=0.03, height=0.1, sections=24)


def search_with(can: trimesh.Trimesh, *priors: object, config: GraspConfig = SMALL) -> GraspSearch:
    return GraspSearch(
        prepare_mesh(can), hoprior.load_hand(), weighted_sum([(1.0, prior) for prior in priors]), config=config
    )


def still(share: float) -> None:
    """Nobody is told how far a descent is."""


def test_the_bend_is_shown_only_where_a_prior_reads_it(can: trimesh.Trimesh) -> None:
    hands = GraspBatch(torch.zeros(2, 15, 3), torch.eye(4).expand(2, 4, 4))
    assert search_with(can, Low()).state(hands).hand_pose is None
    search = search_with(can, Low(), Flat())
    state = search.state(hands)
    assert torch.equal(search.hand.joints_only(state.hand_pose), state.joints_hand)


def test_priors_of_fingers_have_no_say_in_where_hands_are(can: trimesh.Trimesh) -> None:
    alone, beside, flat = search_with(can, Low()), search_with(can, Low(), Flat()), search_with(can, Flat())
    with_it, without = beside.shortlist(4), alone.shortlist(4)
    assert torch.equal(with_it.T_object_hand, without.T_object_hand)
    nobody = GraspSearch(prepare_mesh(can), hoprior.load_hand(), None, config=SMALL)
    assert torch.equal(flat.shortlist(4).T_object_hand, nobody.shortlist(4).T_object_hand)
    assert not flat.terms[0][1].asked


def test_a_held_gradient_is_that_in_the_bend_too(can: trimesh.Trimesh) -> None:
    search = search_with(can, Flat())
    hands = GraspBatch(search.hand.relaxed_angles[None], torch.eye(4)[None])
    (guide,) = search.guides()
    slopes = slopes_at(guide.guidance, search.state(hands), None)
    angles = hands.angles.clone().requires_grad_()
    (slope,) = torch.autograd.grad(along(slopes, search.state(GraspBatch(angles, hands.T_object_hand))).sum(), angles)
    # A flat hand is the clean one, so that the way down is straight towards it.
    assert torch.cosine_similarity(slope.flatten(), hands.angles.flatten(), dim=0).item() == pytest.approx(1.0)


def test_fingers_follow_the_prior_while_contact_closes_them(can: trimesh.Trimesh) -> None:
    bends = []
    for weight in (0.0, 30.0):
        config = replace(SMALL, pose_weight=weight, guiding=DescentConfig(20))
        search = search_with(can, Flat(), config=config)
        hands = search.guide(search.shortlist(3), still)
        bends.append(hands.angles.norm().item())
    assert bends[1] < 0.9 * bends[0]


def test_fingers_are_held_in_refinement_where_that_is_asked_for(can: trimesh.Trimesh) -> None:
    bends, asked = [], []
    for hold in (0.0, 300.0):
        search = search_with(can, Flat(), config=replace(SMALL, pose_hold=hold, refining=DescentConfig(20)))
        hands = search.refine(search.shortlist(3), still)
        bends.append(hands.angles.norm().item())
        asked.append(len(search.terms[0][1].asked))
    assert asked == [0, 20 // SMALL.pose_every] and bends[1] < 0.9 * bends[0]


def test_a_denoiser_is_asked_at_the_noise_at_which_it_judges_well(can: trimesh.Trimesh) -> None:
    for prior, (low, high) in ((Flat(), SMALL.pose_range), (FlatAtHighNoise(), (0.7, 0.9))):
        search_with(can, prior).run(2)
        t = torch.cat(prior.asked)
        assert 100 * low <= t.min() and t.max() < 100 * high


def test_guides_are_asked_in_turn_and_held_between(can: trimesh.Trimesh) -> None:
    flat = Flat()
    search = search_with(can, flat)
    guide = HeldGuidance(search.guides())
    state = search.state(GraspBatch(search.hand.relaxed_angles[None], torch.eye(4)[None]))
    asked = []
    for _ in range(2 * SMALL.pose_every):
        guide.slopes(state, None)
        asked.append(len(flat.asked))
    assert asked == [1] * SMALL.pose_every + [2] * SMALL.pose_every


def test_energies_without_the_bend_are_shown_no_wrong_one(can: trimesh.Trimesh) -> None:
    """Joints that one prior would have at a placement are shown to the next without the bend that they do not have."""

    class Judges(Low):
        def placement_energy(self, state: HandObjectState, cond: object = None, /) -> tuple[torch.Tensor, torch.Tensor]:
            return self.energy(state, cond), state.joints_hand + 0.01

    low = Low()
    search = search_with(can, Judges(), low, Flat())
    search.score_placements(search.energies, GraspBatch(search.hand.relaxed_angles[None], torch.eye(4)[None]))
    assert low.bends == [None]


def test_the_shipped_prior_of_poses_ranks_and_guides(can: trimesh.Trimesh) -> None:
    results = hoprior.grasp(can, "a can", 2, priors=[(1.0, Low()), (1.0, "pose")], config=SMALL)
    assert all("pose" in grasp.scores for grasp in results)
    without = hoprior.grasp(can, "a can", 2, priors=[(1.0, Low())], config=SMALL)
    assert not torch.equal(torch.tensor(results[0].hand_pose), torch.tensor(without[0].hand_pose))


class Tilted(Low):
    """Proposes hands whose palm is tilted against their fingertips, as those of retargeted motion are."""

    def __init__(self, tips_only: bool) -> None:
        super().__init__()
        self.info = PriorInfo(fingertips_only=tips_only)

    def propose_joints(
        self, state: HandObjectState, cond: torch.Tensor | None = None, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        joints = state.joints_hand.clone()
        joints[:, 16:, 2] += 0.02
        return joints


def test_only_fingertips_are_followed_of_priors_that_know_no_more(can: trimesh.Trimesh) -> None:
    moved, missed = {}, {}
    for tips_only in (False, True):
        search = search_with(can, Tilted(tips_only))
        hands = search.shortlist(4)
        wanted, told = search.proposed_joints(search.state(hands))
        assert told is tips_only
        fitted = search.with_proposed_fingers(hands)
        off = transform_points(fitted.T_object_hand, search.joints(fitted))
        off = off - transform_points(hands.T_object_hand, wanted)
        missed[tips_only] = off[:, 16:].norm(dim=-1).mean()
        moved[tips_only] = (fitted.T_object_hand - hands.T_object_hand)[:, :3].abs().max()
    assert moved[False] == 0.0 and moved[True] > 0.002
    assert missed[True] < 0.008 and missed[True] < 0.5 * missed[False]


def test_fingers_that_no_prior_bends_are_not_held(can: trimesh.Trimesh) -> None:
    assert search_with(can, Low())._kept(DescentConfig(1, hold_angles=5.0)).hold_angles == 0.0
    assert search_with(can, Low(), Tilted(False))._kept(DescentConfig(1, hold_angles=5.0)).hold_angles == 5.0


def test_shipped_priors_bend_fingers_as_people_do(can: trimesh.Trimesh) -> None:
    """People's middle joints bend more than knuckles and last ones, as these do not whose motion was retargeted."""
    prior = weighted_sum([(1.0, load_prior("contrastive"))])
    search = GraspSearch(prepare_mesh(can), hoprior.load_hand(), prior, config=replace(SMALL, pool=512))
    hands = search.with_proposed_fingers(search.shortlist(16))
    knuckles, middle, last = torch.rad2deg(hands.angles[:, :12, 1]).unflatten(1, (4, 3)).mean(dim=(0, 1))
    assert knuckles + 10 < middle and last + 10 < middle
