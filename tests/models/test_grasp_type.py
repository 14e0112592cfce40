"""The prior of kinds: what it hears and recognises, the examples it proposes, and that both are learnt from a set."""

import warnings
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import trimesh
from resumed_training import EPOCH, assert_resumes

import hoprior
from hoprior.datasets.synthetic.build import SynthesisConfig, synthesize_all
from hoprior.datasets.synthetic.make import MakeConfig
from hoprior.datasets.synthetic.objects import Catalogue
from hoprior.datasets.training import grasp_type_postures as kind_postures
from hoprior.datasets.training.grasp_type_postures import (
    KindPosturesModule,
    KnownGrasps,
    known_grasps,
    purity,
    sentences_of_kinds,
    typical,
)
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid, SdfGridBatch
from hoprior.geometry.state import HandObjectState, rigid, transform_points
from hoprior.hand import load_hand
from hoprior.hand.bones import NUM_BONE_POINTS, bone_points
from hoprior.hand.placement import LocalSearchConfig, surface_points
from hoprior.language.phrases import sentence_for
from hoprior.language.taxonomy import TAXONOMY
from hoprior.models.grasp_type import FITTED_AT_ONCE, KINDS, PLACE_OF, GraspTypePrior
from hoprior.models.training.lightning import trainable
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights

HAND = load_hand()
BALL = trimesh.creation.icosphere(3, radius=0.03)
SAID = KINDS + 1
"""Features of a sentence in these tests: one for each kind, one for none."""


def hands(num: int, seed: int = 0) -> torch.Tensor:
    """Joints of hands bent at random."""
    bend = 0.5 * torch.rand(num, 15, 1, generator=torch.Generator().manual_seed(seed))
    angles = HAND.relaxed_angles + bend * torch.tensor([0.0, 1.0, 0.0])
    return HAND.joints_only(HAND.angles_to_pose(angles))


def told(kind: int, num: int = 1) -> torch.Tensor:
    """The features of a sentence that names a kind, or none (`KINDS`)."""
    return torch.nn.functional.one_hot(torch.tensor([[kind]]), SAID).float().expand(num, -1, -1)


def attentive(examples: int = 2) -> GraspTypePrior:
    """A prior that hears what it is told, with examples of postures around the ball."""
    torch.manual_seed(0)
    prior = GraspTypePrior(examples, width=SAID, text_dim=SAID, dropout=0.0).eval()
    first, last = prior.net.hears[1], prior.net.hears[-1]
    assert isinstance(first, torch.nn.Linear) and isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        for layer, gain in ((first, 10.0), (last, 3.0)):
            layer.weight.copy_(gain * torch.eye(SAID))
            layer.bias.zero_()
        joints = hands(KINDS * examples).view(KINDS, examples, 21, 3)
        T = placement().expand(KINDS * examples, -1, -1)
        points = transform_points(T, bone_points(joints.flatten(0, 1)))
        prior.example_joints.copy_(joints)
        prior.example_places.copy_(SdfGrid.from_mesh(BALL)(points).view(KINDS, examples, NUM_BONE_POINTS))
        prior.example_anchors.copy_(torch.tensor([0.09, 0.0, 0.02, 0.0, 0.0, -1.0]))
    return prior


def placement() -> torch.Tensor:
    """A palm over the ball."""
    return rigid(torch.eye(3)[None], torch.tensor([[-0.09, 0.0, -0.05]]))


def state(joints: torch.Tensor, T: torch.Tensor | None = None) -> HandObjectState:
    T = placement() if T is None else T
    return HandObjectState(SdfGrid.from_mesh(BALL), T.expand(len(joints), -1, -1), joints)


def test_where_no_kind_is_named_it_says_nothing() -> None:
    prior, hand = attentive(), state(hands(3))
    assert torch.equal(prior.energy(hand), torch.zeros(3))
    assert prior.energy(hand, told(KINDS, 3)).abs().max() < 0.05
    for cond in (None, told(KINDS, 3)):
        energy, joints = prior.placement_energy(hand, cond)
        assert torch.equal(energy, torch.zeros(3)) and torch.equal(joints, hand.joints_hand)
    surface, normals = surface_points(BALL, 4, torch.Generator().manual_seed(0))
    assert prior.propose_placements(surface, normals, told(KINDS), torch.Generator()) is None


def test_hands_like_the_examples_of_the_named_kind_are_better() -> None:
    prior = attentive()
    like, unlike = prior.example_joints[5, :1], prior.example_joints[5, :1] + 0.02
    sees = prior.net.sees[-1]
    assert isinstance(sees, torch.nn.Linear)
    with torch.no_grad():  # of the recogniser nothing, so that only nearness counts
        sees.weight.zero_()
        sees.bias.zero_()
    assert prior.energy(state(like), told(5)).item() < prior.energy(state(unlike), told(5)).item() - 1
    with torch.no_grad():  # of the examples nothing: the recogniser takes every hand for the fifth kind
        sees.bias[5] = 5.0
        prior.posture_scale = 1e3
    ratios = [prior.energy(state(like), told(kind)).item() for kind in (5, 6)]
    assert ratios[0] < -3 and ratios[1] > 1


def test_energy_is_differentiable_in_joints() -> None:
    joints = hands(2).requires_grad_()
    attentive().energy(state(joints), told(3, 2)).sum().backward()
    assert joints.grad is not None and joints.grad[:, 5:].abs().sum() > 0


def test_the_example_that_fits_a_placement_is_proposed() -> None:
    prior = attentive()
    there, elsewhere = placement(), placement() + torch.tensor([[0, 0, 0, 0.02], [0] * 4, [0] * 4, [0] * 4])
    hand = state(hands(1, seed=9), there)
    misfit, joints = prior.placement_energy(hand, told(7))
    assert misfit.item() < 1e-4
    assert any(torch.equal(joints[0], example) for example in prior.example_joints[7])
    assert torch.equal(prior.propose_joints(hand, told(7)), joints)
    assert prior.placement_energy(state(hands(1), elsewhere), told(7))[0].item() > 0.5


def test_rows_are_told_of_kinds_each_for_itself() -> None:
    """One of a kind, one of none, one of another kind: as each alone."""
    prior, hand = attentive(), state(hands(3))
    cond = torch.cat([told(7), told(KINDS), told(5)])
    energy, (misfit, joints) = prior.energy(hand, cond), prior.placement_energy(hand, cond)
    for i in range(3):
        alone = prior.placement_energy(hand[[i]], cond[[i]])
        torch.testing.assert_close(energy[[i]], prior.energy(hand[[i]], cond[[i]]))
        torch.testing.assert_close(misfit[[i]], alone[0])
        torch.testing.assert_close(joints[[i]], alone[1])
    assert misfit[1] == 0 and torch.equal(joints[1], hand.joints_hand[1])


def test_more_objects_than_are_tried_at_once() -> None:
    prior, many = attentive(), FITTED_AT_ONCE + 6
    one = state(hands(many))
    each = HandObjectState(SdfGridBatch.stack([SdfGrid.from_mesh(BALL)] * many), one.T_object_hand, one.joints_hand)
    misfit, _ = prior.placement_energy(each, told(7, many))
    torch.testing.assert_close(misfit, prior.placement_energy(one, told(7, many))[0], atol=1e-4, rtol=1e-3)


def test_proposed_placements_touch_the_object_as_the_examples_do() -> None:
    prior, generator = attentive(), torch.Generator().manual_seed(0)
    surface, normals = surface_points(BALL, 50, generator)
    T = prior.propose_placements(surface, normals, told(2), generator)
    assert T is not None
    at, facing = prior.example_anchors[2, 0].split(3)
    assert torch.allclose(transform_points(T, at.expand(50, 1, 3))[:, 0], surface, atol=1e-5)
    assert torch.allclose(T[:, :3, :3] @ facing, normals, atol=1e-4)
    assert torch.allclose(torch.linalg.det(T[:, :3, :3]), torch.ones(50), atol=1e-4)
    assert (T[0, :3, :3] - T[1, :3, :3]).norm() > 0.1


def known(each: int = 12) -> KnownGrasps:
    """Grasps of every kind, each kind bent in its own way, at three objects."""
    kind = torch.arange(KINDS).repeat_interleave(each)
    own = hands(KINDS, seed=3)[kind] + 0.03 * torch.nn.functional.one_hot(kind % 21, 21)[..., None]
    joints = own + 0.001 * torch.randn(own.shape, generator=torch.Generator().manual_seed(0))
    n = len(kind)
    keys, owner = ("a-1", "a-2", "b-1"), torch.arange(n) % 3
    return KnownGrasps(
        joints,
        torch.rand(n, NUM_BONE_POINTS),
        torch.rand(n, 6),
        torch.zeros(n),
        kind,
        owner,
        keys,
        ("mug", "mug", "cup"),
        ("rim",),
    )


class Words:
    """Stands in for a text encoder: which kinds' names are in a text."""

    name, dim = "minilm", SAID

    def encode(self, texts: list[str]) -> torch.Tensor:
        named = [[f" {row.name}" in f" {text}" for row in TAXONOMY] for text in texts]
        features = torch.tensor([[*row, not any(row)] for row in named]).float()
        return features[:, None]


def test_examples_are_of_their_kind_and_unmistakable() -> None:
    grasps = known()
    assert purity(grasps).min() > 0.5
    odd = int((grasps.kind == 4).nonzero()[0])  # bent as another kind is, but called the fourth
    grasps.joints[odd] = grasps.joints[int((grasps.kind == 9).nonzero()[1])]
    assert purity(grasps)[odd] < 0.2
    chosen = typical(grasps, 4, seed=0)
    assert chosen.shape == (KINDS, 4) and odd not in chosen
    assert (grasps.kind[chosen] == torch.arange(KINDS)[:, None]).all()
    assert torch.equal(chosen, typical(grasps, 4, seed=0))
    with pytest.raises(HopriorError, match="no grasp of the kind"):
        typical(grasps.of(["nothing"]), 4, seed=0)


def test_sentences_name_one_kind_or_none() -> None:
    said = sentences_of_kinds(["mug", "bowl"], ["rim"])
    assert len({text for text, _ in said}) == len(said)
    names = [row.name for row in TAXONOMY]
    assert all(names[kind] in text for text, kind in said if kind < KINDS)
    assert not any(f" {name} gr" in text for name in names for text, kind in said if kind == KINDS)
    assert sum(kind == KINDS for _, kind in said) > 20 and {kind for _, kind in said} == set(range(KINDS + 1))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KindPosturesModule:
    monkeypatch.setattr("hoprior.datasets.samples.text_features.load_text_encoder", lambda name: Words())
    monkeypatch.setattr(kind_postures, "known_grasps", lambda folder, kept: known())
    return KindPosturesModule(tmp_path, tmp_path, examples=3, batch_size=84, val_fraction=0.34)


def test_it_learns_to_hear_and_to_see(module: KindPosturesModule) -> None:
    module.setup()
    assert module.train_batches is not None and module.val_batches_of is not None
    prior = trainable(GraspTypePrior)(3, width=64, text_dim=SAID, learning_rate=1e-2)
    adam = torch.optim.Adam(prior.parameters(), 1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logging without a trainer
        for k in range(60):
            adam.zero_grad()
            prior.training_step(module.train_batches[k], k).backward()
            adam.step()
    prior.eval()
    batch = module.val_batches_of[0]
    assert (prior.kind_of(batch["joints"]).argmax(dim=1) == batch["kind"]).float().mean() > 0.9
    assert (prior.named(batch["texts"][:, None]).argmax(dim=1) == batch["told"]).float().mean() > 0.9
    joints, place, anchor = module.typical()
    assert (
        joints.shape == (KINDS, 3, 21, 3)
        and place.shape == (KINDS, 3, NUM_BONE_POINTS)
        and anchor.shape == (KINDS, 3, 6)
    )


def test_batches_are_seeded_and_kinds_are_even(module: KindPosturesModule) -> None:
    module.setup()
    assert module.train_batches is not None
    first, again, other = (module.train_batches[k] for k in (2, 2, 3))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["joints"], other["joints"])
    assert torch.bincount(torch.cat([module.train_batches[k]["kind"] for k in range(20)])).min() > 20


@pytest.fixture(scope="module")
def synthetic_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few unchecked grasps of one ball."""
    out = tmp_path_factory.mktemp("set") / "ball"
    make = MakeConfig(tries=10, steps=40, shapes=2, sdf_resolution=32, simulate=False, depth=0.01, unheld=1.0)
    threads = torch.get_num_threads()
    synthesize_all(SynthesisConfig(Catalogue.of(["ball"], [], 0), 1, make), out)
    torch.set_num_threads(threads)
    return out


def test_a_made_set_is_measured_once(synthetic_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kinds" / "grasps.safetensors"
    grasps = known_grasps(synthetic_set, kept)
    assert len(grasps.kind) > 0 and grasps.place.shape == (len(grasps.kind), NUM_BONE_POINTS)
    # A bone is near the object, and its anchor is as far from it as the distance says.
    nearest, which = grasps.place.min(dim=1)
    bones = bone_points(grasps.joints)[torch.arange(len(which)), which]
    assert torch.allclose((bones - grasps.anchor[:, :3]).norm(dim=1), nearest.abs(), atol=1e-3)
    assert torch.allclose(grasps.anchor[:, 3:].norm(dim=1), torch.ones(len(which)), atol=1e-4)
    monkeypatch.setattr(kind_postures, "_measured", lambda folder: pytest.fail("measured twice"))
    again = known_grasps(synthetic_set, kept)
    assert torch.equal(again.joints, grasps.joints) and again.keys == grasps.keys


@pytest.mark.parametrize("text", ["a mug with {}", "{}", "a hand holding a spoon with {}"])
def test_the_shipped_prior_hears_every_kind(text: str) -> None:
    prior: Any = load_prior("grasp_type")
    sentences = [sentence_for(text.format(f"a {row.name} grasp")) for row in TAXONOMY]
    named = torch.cat([prior.named(encode_texts(prior, [sentence])) for sentence in sentences])
    assert (named.argmax(dim=1) == torch.arange(KINDS)).float().mean() > 0.95


def test_the_shipped_prior_hears_no_kind_where_none_is_said() -> None:
    prior: Any = load_prior("grasp_type")
    objects = ("a mug", "a ring", "a trombone", "a chess piece", "an old brass candlestick", "a stick", "my keys")
    for text in (*objects, "a hammer by the handle", "a hand drinking from a cup", "to hand it over", "a gentle grip"):
        assert prior.named(encode_texts(prior, [sentence_for(text)]))[0, -1] > 0.9, text


@pytest.mark.parametrize(("text", "share"), [("a rod with a tripod grasp", 1.0), ("a rod", 0.5)])
def test_grasps_become_of_the_kind_that_is_named(text: str, share: float) -> None:
    """Told of a tripod all four hands make one; told of nothing, at most half of them do."""
    prior: Any = load_prior("grasp_type")
    rod = trimesh.creation.cylinder(radius=0.012, height=0.15)
    quick = GraspConfig(
        pool=256,
        local_search=LocalSearchConfig(1),
        guiding=DescentConfig(20),
        refining=DescentConfig(15),
        faults=FaultWeights(simulate=False),
    )
    results = hoprior.grasp(rod, text, 4, priors=[(1.0, "contrastive"), (4.0, prior)], config=quick)
    angles = HAND.pose_to_angles(torch.stack([torch.from_numpy(grasp.hand_pose) for grasp in results]))
    kinds = prior.kind_of(HAND.joints_only(HAND.angles_to_pose(angles))).argmax(dim=1)
    tripods = (kinds == PLACE_OF[14]).float().mean()
    assert tripods == share if share == 1.0 else tripods <= share


def test_a_resumed_training_has_the_batches_of_an_uninterrupted_one(module: KindPosturesModule, tmp_path: Path) -> None:
    def make() -> KindPosturesModule:
        data = copy(module)
        data.batches_per_epoch, data.batch_size = EPOCH, 2
        return data

    assert_resumes(make, tmp_path / "out")


def test_a_validation_on_training_objects_says_so(module: KindPosturesModule, caplog: pytest.LogCaptureFixture) -> None:
    module.val_fraction = 0.01
    module.setup()
    assert "no object is held out at a val_fraction of 0.01" in caplog.text
