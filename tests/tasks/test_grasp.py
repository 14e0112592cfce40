"""The grasp task, small: a prior of the test's own, few hands, few steps; its laws, and what it refuses."""

import inspect
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import hoprior
from hoprior.cli.arguments import parse_priors
from hoprior.cli.entry import main
from hoprior.cli.run_grasp import RENAMED, run_grasp
from hoprior.common.pages import is_current
from hoprior.errors import HopriorError
from hoprior.geometry import repair
from hoprior.geometry.mesh import load_mesh, mirrored, prepare_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, transform_points
from hoprior.hand.placement import LocalSearchConfig
from hoprior.language.phrases import sentence_for
from hoprior.physics.mouths import VesselMouths
from hoprior.priors.base import Prior, WeightedPrior, weighted_sum
from hoprior.priors.protocols import PriorInfo
from hoprior.results.grasps import GraspResults
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig, GraspBatch
from hoprior.tasks.grasp.faults import FAULTS, FaultWeights, GraspFaults
from hoprior.tasks.grasp.search import GraspSearch, spare_hands
from hoprior.tasks.grasp.terms import ScoreNormalizer, along, slopes_at

STILL = FaultWeights(simulate=False)
SMALL = GraspConfig(
    pool=64,
    local_search=LocalSearchConfig(1),
    spare=0.0,
    guiding=DescentConfig(3),
    refining=DescentConfig(6),
    faults=STILL,
)


class FromAbove(Prior):
    """Likes palms that look down, and says so as an energy."""

    def energy(self, state: HandObjectState, cond: object = None) -> torch.Tensor:
        return 10 * state.T_object_hand[:, 2, 2] + 0 * state.joints_hand.sum(dim=(1, 2))


@pytest.fixture(scope="module")
def can() -> trimesh.Trimesh:
    return trimesh.creation.cylinder(radius=0.03, height=0.1, sections=24)


def small(mesh: trimesh.Trimesh | str | Path, num: int = 3, **options: object) -> GraspResults:
    settings = {"priors": [(1.0, FromAbove())], "config": SMALL, **options}
    return hoprior.grasp(mesh, num=num, **settings)  # type: ignore[arg-type]


def search_of(mesh: trimesh.Trimesh, prior: WeightedPrior | None, **options: object) -> GraspSearch:
    return GraspSearch(prepare_mesh(mesh), hoprior.load_hand(), prior, **({"config": SMALL} | options))  # type: ignore[arg-type]


def test_grasps_come_ranked_and_consistent(can: trimesh.Trimesh) -> None:
    results = small(can, 4)
    scores = [g.score for g in results]
    assert len(results) == 4 and scores == sorted(scores, reverse=True)
    for g in results:
        assert np.allclose(g.T_object_hand[:3, :3] @ g.T_object_hand[:3, :3].T, np.eye(3), atol=1e-4)
        assert np.allclose(g.joints_object[0], g.T_object_hand[:3, 3], atol=1e-5)
        assert np.linalg.norm(g.verts_object.mean(0)) < 0.3


def test_the_prior_decides_the_side(can: trimesh.Trimesh) -> None:
    palms = np.array([g.T_object_hand[2, 2] for g in small(can, 6)])
    without = np.array([g.T_object_hand[2, 2] for g in small(can, 6, priors=[])])
    assert palms.mean() < -0.5 and palms.mean() < without.mean() - 0.3


def test_the_same_seed_gives_the_same_grasps(can: trimesh.Trimesh) -> None:
    first, again, other = small(can, seed=3), small(can, seed=3), small(can, seed=4)
    assert np.array_equal(first[0].joints_object, again[0].joints_object)
    assert not np.array_equal(first[0].joints_object, other[0].joints_object)


def test_left_hands_are_right_hands_of_the_mirrored_object(can: trimesh.Trimesh) -> None:
    tilted = can.copy()
    tilted.apply_transform(trimesh.transformations.rotation_matrix(0.5, [1, 0.3, 0.2]))
    left = small(tilted, 2, side="left", up="any")
    right = small(mirrored(tilted), 2, side="right", up="any")
    flip = np.array([1.0, -1.0, 1.0])
    for a, b in zip(left, right, strict=True):
        assert a.side == "left" and np.allclose(a.joints_object, b.joints_object * flip, atol=1e-4)
        assert np.allclose(a.verts_object, b.verts_object * flip, atol=1e-4)


def test_results_come_back_in_the_unit_of_the_file(can: trimesh.Trimesh, tmp_path: Path) -> None:
    path = tmp_path / "can_mm.stl"
    millimetres = can.copy()
    millimetres.apply_scale(1000)
    millimetres.export(path)
    small(path, 2, mesh_unit="mm").save(tmp_path / "out")
    index = json.loads((tmp_path / "out" / "grasps.json").read_text())
    joints = np.array(index["grasps"][0]["joints_object"])
    assert joints.shape == (21, 3) and 20 < np.abs(joints).max() < 500


def test_refinement_leaves_no_deep_penetration(can: trimesh.Trimesh) -> None:
    from hoprior.geometry.sdf import SdfGrid

    results = small(can, 4, config=replace(SMALL, refining=DescentConfig(50)))
    sdf = SdfGrid.from_mesh(can)
    depth = [float((-sdf(torch.tensor(g.verts_object))).max()) for g in results]
    assert np.mean(depth) < 0.006


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num": 0}, "num=0 is too few"),
        ({"side": "both"}, "side='both' is unknown"),
        ({"up": "north"}, "up='north' is not a direction"),
        ({"device": "abacus"}, "device='abacus' cannot be used"),
        ({"hand": "paw"}, "'paw'"),
        ({"priors": [(1.0, "no_such_prior")]}, "no_such_prior"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(can: trimesh.Trimesh, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(HopriorError, match=sentence):
        small(can, **options)  # type: ignore[arg-type]


def test_the_command_refuses_bad_files_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.obj"
    empty.write_text("")
    for path in (tmp_path / "missing.obj", empty):
        assert main(["run", "grasp", "--mesh", str(path), "--prior", "none", "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert path.name in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_simulation_that_cannot_run_is_refused_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hoprior.cli.run_grasp.simulator_missing", lambda: "pybullet is not installed: pip install it")
    (tmp_path / "unread.obj").touch()
    arguments = ["--mesh", str(tmp_path / "unread.obj"), "--simulate", "true", "--out", str(tmp_path / "out")]
    assert main(["run", "grasp", *arguments]) == 2
    assert "pybullet is not installed" in capsys.readouterr().err


def test_sentences_and_priors_are_read() -> None:
    assert sentence_for(None) == sentence_for("  ") == "a hand holding an object"
    assert sentence_for("a mug") == "a hand holding a mug"
    assert sentence_for("a hand drinking from a mug") == "a hand drinking from a mug"
    assert parse_priors("none") == ()
    assert parse_priors("contrastive:1,my/file.safetensors:0.5,grid") == (
        (1.0, "contrastive"),
        (0.5, "my/file.safetensors"),
        (1.0, "grid"),
    )


def test_the_command_asks_the_priors_that_the_call_asks() -> None:
    told, called = (inspect.signature(task).parameters for task in (run_grasp, hoprior.grasp))
    assert parse_priors(told["prior"].default) == tuple(called["priors"].default)


class Told(Prior):
    """A prior of words: has an opinion where something is said, and shifts the joints that others propose."""

    text_encoder_name = "minilm"
    info = PriorInfo(requires_text=True, min_score_std=1.0)

    def __init__(self) -> None:
        self.heard: list[torch.Tensor | None] = []

    def energy(self, state: HandObjectState, cond: torch.Tensor | None = None) -> torch.Tensor:
        self.heard.append(cond)
        return 0.01 * state.T_object_hand[:, 0, 3]

    def propose_joints(
        self, state: HandObjectState, cond: torch.Tensor | None = None, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        return state.joints_hand + 0.002


def test_a_prior_of_words_is_asked_only_where_something_is_said(can: trimesh.Trimesh) -> None:
    told = Told()
    small(can, 2, priors=[(1.0, FromAbove()), (1.0, told)])
    assert not told.heard
    small(can, 2, text="  ", priors=[(1.0, FromAbove()), (1.0, told)])
    assert not told.heard
    with pytest.raises(HopriorError, match="text=None says nothing"):
        small(can, 2, priors=[(1.0, told)])
    small(can, 2, text="a can by the lid", priors=[(1.0, FromAbove()), (1.0, told)])
    assert told.heard and all(cond is not None for cond in told.heard)


def test_each_energy_is_given_what_those_before_it_propose(can: trimesh.Trimesh) -> None:
    search = search_of(can, weighted_sum([(1.0, Told()), (1.0, Told())]), config=SMALL)
    state = search.state(search.shortlist(2))
    joints, tips_only = search.proposed_joints(state)
    assert torch.allclose(joints, state.joints_hand + 0.004) and not tips_only


def test_no_opinion_is_not_blown_up() -> None:
    column = torch.tensor([0.0, 0.1, -0.1])
    told, above = [(1.0, Told())], [(1.0, FromAbove())]
    assert torch.allclose(ScoreNormalizer.of(told, [column])([column]), column)
    assert ScoreNormalizer.of(above, [column])([column]).std().item() == pytest.approx(1.0)
    assert torch.allclose(
        ScoreNormalizer.of(above, [column])([column + 0.1]), ScoreNormalizer.of(above, [column])([column]) + 1.0
    )


def test_the_shortlist_climbs_to_higher_scores(can: trimesh.Trimesh) -> None:
    prior = weighted_sum([(1.0, FromAbove())])
    heights = []
    for climbs in (0, 1, 4):
        search = search_of(can, prior, config=replace(SMALL, local_search=LocalSearchConfig(climbs)))
        hands = search.shortlist(6)
        score = search.score_placements(search.energies, hands)[0][0]
        assert (score.diff() <= 1e-4).all(), "best first"
        heights.append(score.mean().item())
    assert heights[0] < heights[1] < heights[2]


def test_a_held_gradient_is_the_guides(can: trimesh.Trimesh) -> None:
    search = search_of(can, weighted_sum([(1.0, FromAbove())]))
    state = search.state(search.shortlist(3))
    ((_, _, guide),) = search.guides()
    slopes = slopes_at(guide, state, None)
    placed = state.T_object_hand.clone().requires_grad_()
    (slope,) = torch.autograd.grad(along(slopes, replace(state, T_object_hand=placed)).sum(), placed)
    expected = torch.zeros(3, 4, 4)
    expected[:, 2, 2] = 10
    assert torch.allclose(slope, expected)


class OfTheObject:
    """A prior by protocol alone, without a base class; what it says has nothing to do with the hands."""

    def energy(self, state: HandObjectState, cond: object, /) -> torch.Tensor:
        return state.sdf(torch.zeros(1, 1, 3))[0].expand(len(state))


class Low:
    """Likes hands that are low along an axis of the object."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def energy(self, state: HandObjectState, cond: object, /) -> torch.Tensor:
        return 10 * state.T_object_hand[:, self.axis, 3]


class Proposes(Low):
    """Proposes to hold the object from one height, of which it can tell its proposals afterwards."""

    def __init__(self, height: float) -> None:
        super().__init__(2)
        self.height = height

    def propose_placements(
        self, surface: torch.Tensor, normals: torch.Tensor, cond: object, generator: torch.Generator, /
    ) -> torch.Tensor:
        T = torch.eye(4).repeat(len(surface), 1, 1)
        T[:, 2, 3] = self.height
        return T


def test_priors_that_propose_placements_share_half_of_the_pool(can: trimesh.Trimesh) -> None:
    for heights in ([5.0], [5.0, 6.0], [5.0, 6.0, 7.0]):
        prior = weighted_sum([(1.0, Proposes(height)) for height in heights])
        search = search_of(can, prior)
        found = search.placements(64, torch.Generator().manual_seed(0))[:, 2, 3]
        assert len(found) == 64
        assert [int((found == height).sum()) for height in heights] == [32 // len(heights)] * len(heights)


def test_a_prior_that_does_not_look_at_hands_moves_none(can: trimesh.Trimesh) -> None:
    search = search_of(can, weighted_sum([(1.0, OfTheObject())]))
    state = search.state(search.shortlist(3))
    ((_, _, guide),) = search.guides()
    assert slopes_at(guide, state, None) == {}
    assert len(small(can, 2, text="a can", priors=[(1.0, OfTheObject())])) == 2


def test_priors_of_one_class_have_scores_of_their_own(can: trimesh.Trimesh) -> None:
    both = small(can, 3, priors=[(1.0, Low(0)), (1.0, Low(2))])
    for grasp in both:
        at = grasp.T_object_hand[:3, 3]
        assert grasp.scores["Low"] == pytest.approx(-10 * at[0], abs=1e-4)
        assert grasp.scores["Low 2"] == pytest.approx(-10 * at[2], abs=1e-4)


def test_scores_have_the_names_that_priors_were_asked_for_by(can: trimesh.Trimesh) -> None:
    names = ["grid", "faults", "my/grid.safetensors", "grid", "grid 2", "grid"]
    prior = weighted_sum([(1.0, Low(k % 3)) for k in range(6)])
    search = search_of(can, prior, config=SMALL, names=names)
    assert search.names == ["grid", "faults 2", "my/grid.safetensors", "grid 2", "grid 2 2", "grid 3"]
    _, _, scores = search.run(1)
    assert (
        set(scores)
        == {*search.names, "depth", "bone_penetration", "unsupported_weight", "back_contact", "faults"}
        <= {*search.names, *FAULTS}
    )
    assert "contrastive" in small(can, 1, priors=[(1.0, "contrastive")])[0].scores


def test_the_command_refuses_a_prior_that_looks_at_no_hand(
    can: trimesh.Trimesh, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    can.export(tmp_path / "can.obj")
    few = "--config.pool 32 --config.guiding.steps 2 --config.refining.steps 1 --config.faults.simulate false"
    given = ["--mesh", str(tmp_path / "can.obj"), "--text", "a can", "--num", "1", "--prior", "shape_completion"]
    assert main(["run", "grasp", *given, "--out", str(tmp_path / "out"), *few.split()]) == 2
    assert "'shape_completion' (ShapeCompletionPrior) cannot serve grasp" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_fingers_never_step_through_a_wall() -> None:
    """A pipe stood over the fingers; the bones stay on the side from which they came, whatever pulls."""
    pipe = trimesh.creation.annulus(0.036, 0.038, 0.1)
    search = search_of(pipe, weighted_sum([(1.0, FromAbove())]), config=replace(SMALL, spare=4.0))
    assert search.guarded
    hands = search.with_fingers_outside(search.shortlist(24), 16)
    clear = search.collisions.clear(hands.angles, hands.T_object_hand)
    for finished in (search.refine(hands, lambda share: None), search.guide(hands, lambda share: None)):
        still = search.collisions.clear(finished.angles, finished.T_object_hand)
        assert not (clear & ~still).any()
        assert not torch.equal(finished.T_object_hand, hands.T_object_hand)


def test_what_the_back_of_the_hand_touches_ranks_below_what_the_palm_does() -> None:
    slab = trimesh.creation.box((0.3, 0.3, 0.02))
    search = search_of(slab, None)
    hand = hoprior.load_hand()
    flat = hand(hand.angles_to_pose(torch.zeros(1, 15, 3))).verts[0]
    over, under = torch.eye(4), torch.eye(4)  # the palm looks along +z: a hand beneath the slab, and one upon it
    over[:3, 3] = torch.tensor([-0.08, 0.0, -0.01 - float(flat[:, 2].max())])
    under[:3, 3] = torch.tensor([-0.08, 0.0, 0.01 - float(flat[:, 2].min())])
    faults = search.faults(torch.zeros(2, 15, 3), torch.stack([over, under]))["back_contact"]
    assert faults[0] == 0 and faults[1] > 1


class IntoTheMouth(Prior):
    """Likes fingertips at the bottom of a cup that stands on z = 0."""

    def energy(self, state: HandObjectState, cond: object = None) -> torch.Tensor:
        tips = transform_points(state.T_object_hand, state.joints_hand[:, [8, 12, 16]])
        return 40 * tips.norm(dim=-1).mean(dim=1)


def test_fingers_keep_out_of_a_cup_unless_they_are_told_otherwise() -> None:
    inner = trimesh.creation.cylinder(0.037, 0.1)
    inner.apply_translation([0, 0, 0.003])
    cup = trimesh.boolean.difference([trimesh.creation.cylinder(0.04, 0.1), inner])
    cup.apply_translation([0, 0, 0.05])
    config = replace(SMALL, pool=256, spare=2.0)
    options = {"priors": [(1.0, IntoTheMouth())], "config": config}
    out, told = small(cup, 4, **options), small(cup, 4, text="with the fingers inside the cup", **options)
    mouths = VesselMouths(SdfGrid.from_mesh(cup))
    inside = [
        mouths.fingers_inside(torch.from_numpy(np.stack([g.joints_object for g in each])).float()).sum().item()
        for each in (out, told)
    ]
    assert inside[0] == 0 and inside[1] >= 1
    assert all("fingers_in_mouth" in g.scores for g in out) and "fingers_in_mouth" not in told[0].scores
    assert out.config["config"]["keep_out"] and not told.config["config"]["keep_out"]


class AtTheFarEnd(Prior):
    """Finds every part that is spoken of at x > 5 cm."""

    text_encoder_name = "minilm"

    def energy(self, state: HandObjectState, cond: object = None) -> torch.Tensor:
        return 0 * state.joints_hand.sum(dim=(1, 2))

    def bones_at(self, state: HandObjectState, cond: object) -> torch.Tensor:
        joints = transform_points(state.T_object_hand, state.joints_hand)
        return torch.sigmoid((joints[..., 0] - 0.05) / 0.01).sum(dim=1)


def test_hands_keep_off_a_blade_unless_it_is_named() -> None:
    bar = trimesh.creation.box((0.26, 0.03, 0.02))
    options = {"priors": [(1.0, AtTheFarEnd())], "config": replace(SMALL, pool=1024)}
    kept, named = (small(bar, 4, text=text, **options) for text in ("a knife", "a knife by its blade"))
    ends = [np.stack([g.joints_object for g in each])[..., 0].max(axis=1).mean() for each in (kept, named)]
    assert ends[0] < 0.05 < ends[1]
    assert all("kept_off" in g.scores for g in kept) and "kept_off" not in named[0].scores


def test_a_tool_that_no_prior_has_learnt_is_held_where_its_shape_has_a_handle() -> None:
    grip = trimesh.creation.box((0.14, 0.03, 0.025))
    blade = trimesh.creation.box((0.16, 0.16, 0.006)).apply_translation([0.14, 0.02, 0.0])
    bat = trimesh.boolean.union([grip, blade]).apply_translation([0.3, 0.1, 0.0])

    def middle(text: str, side: str) -> float:
        options = {"priors": [(3.0, AtTheFarEnd())], "config": replace(SMALL, pool=256), "side": side}
        return float(np.mean([g.joints_object[1:, 0].mean() for g in small(bat, 2, text=text, **options)])) - 0.3

    for side in ("right", "left"):
        assert middle("a tennis racket", side) < 0.06 < middle("a gizmo", side)


def test_what_falls_is_ranked_below_what_holds(can: trimesh.Trimesh, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pybullet")
    pytest.importorskip("coacd")
    pytest.importorskip("mujoco")
    sdf = search_of(can, None).sdf
    away = torch.eye(4)
    away[0, 3] = 1.0
    hand = hoprior.load_hand()
    judge = GraspFaults(prepare_mesh(can), hoprior.load_hand(), sdf, FaultWeights())
    faults = judge(hand.relaxed_angles[None], away[None])
    assert faults["unsupported_weight"].item() == pytest.approx(6.0)
    assert faults["depth"].item() == faults["bone_penetration"].item() == 0

    def simulated(judge: GraspFaults) -> dict[str, float]:
        simulations = judge.simulations(hand.relaxed_angles[None], away[None])
        return {name: fault_of(0) for name, fault_of in simulations.items()}

    assert simulated(judge) == {"falls": 6.0, "displacement": pytest.approx(1.5 * 10.0)}
    without = "hoprior.tasks.grasp.faults.simulator_missing"
    monkeypatch.setattr(without, lambda survival=False: "mujoco is not installed" if survival else None)
    assert list(simulated(GraspFaults(prepare_mesh(can), hoprior.load_hand(), sdf, FaultWeights()))) == ["displacement"]
    monkeypatch.setattr(without, lambda survival=False: "pybullet is not installed")
    assert not simulated(GraspFaults(prepare_mesh(can), hoprior.load_hand(), sdf, FaultWeights()))
    with pytest.raises(HopriorError, match="pybullet is not installed"):
        GraspFaults(prepare_mesh(can), hoprior.load_hand(), sdf, FaultWeights(simulate=True))


def test_only_the_better_hands_are_simulated(can: trimesh.Trimesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those go to the simulator that the rest of the ranking prefers; there the last of them becomes the first."""
    search = search_of(can, None, config=replace(SMALL, simulated=0.5))
    hands = search.shortlist(60)
    names = {"unsupported_weight": torch.arange(60.0)}
    slipping = 100 - 2 * torch.arange(60.0)
    monkeypatch.setattr(GraspFaults, "__call__", lambda self, angles, T: dict(names))
    asked = _simulating(monkeypatch, hands, slipping)
    found, ranking, scores = search.rank(hands, 10)
    most = 10 + spare_hands(10, 0.5)
    assert len(found) == 10 and sorted(asked) == list(range(most))
    assert torch.equal(found.T_object_hand[0], hands.T_object_hand[most - 1])
    assert torch.equal(scores["faults"], -ranking) and torch.equal(
        scores["unsupported_weight"], torch.arange(most - 1.0, most - 11.0, -1)
    )
    assert isinstance(found, GraspBatch) and (ranking.diff() <= 0).all()


@pytest.mark.parametrize("num", [1, 3, 10])
def test_no_hand_is_simulated_that_could_not_come_among_the_best(
    can: trimesh.Trimesh, monkeypatch: pytest.MonkeyPatch, num: int
) -> None:
    """The same hands with the same scores as when all are simulated."""
    search, generator = search_of(can, None), torch.Generator().manual_seed(num)
    hands = search.shortlist(40)
    rest, slipping = 5 * torch.rand(40, generator=generator), torch.rand(40, generator=generator)
    monkeypatch.setattr(GraspFaults, "__call__", lambda self, angles, T: {"unsupported_weight": rest})
    asked = _simulating(monkeypatch, hands, slipping)
    found, ranking, scores = search.rank(hands, num)
    judged = rest.argsort(stable=True)[: num + spare_hands(num, search.config.simulated)]
    total = -(rest + slipping)[judged]
    best = judged[total.argsort(descending=True, stable=True)[:num]]
    assert torch.equal(found.T_object_hand, hands.T_object_hand[best])
    assert torch.allclose(ranking, -(rest + slipping)[best]) and torch.equal(scores["displacement"], slipping[best])
    assert num <= len(asked) < len(judged) and len(set(asked)) == len(asked)


def test_a_hand_is_dropped_at_its_first_fault(can: trimesh.Trimesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second hand falls: how far things slip from it nobody needs to know, and of the others of three alone."""
    search = search_of(can, None)
    hands = search.shortlist(40)
    rest, slipped = 0.1 * torch.arange(40.0), []
    monkeypatch.setattr(GraspFaults, "__call__", lambda self, angles, T: {"unsupported_weight": rest})

    def simulations(self: GraspFaults, angles: torch.Tensor, T: torch.Tensor) -> dict[str, Callable[[int], float]]:
        which = _which(hands, T)

        def slips(hand: int) -> float:
            slipped.append(which[hand])
            return 0.05

        return {"falls": lambda hand: 6.0 * (which[hand] % 2 == 0), "displacement": slips}

    monkeypatch.setattr(GraspFaults, "simulations", simulations)
    found, _, scores = search.rank(hands, 3)
    assert _which(hands, found.T_object_hand) == [1, 3, 5] and sorted(slipped) == [1, 3, 5]
    assert scores["falls"].tolist() == [0.0] * 3 and scores["faults"] == pytest.approx([0.15, 0.35, 0.55])


def _simulating(monkeypatch: pytest.MonkeyPatch, hands: GraspBatch, slipping: torch.Tensor) -> list[int]:
    """A simulation that finds so much wrong with each hand; which hands it was asked of."""
    asked: list[int] = []

    def simulations(self: GraspFaults, angles: torch.Tensor, T: torch.Tensor) -> dict[str, Callable[[int], float]]:
        which = _which(hands, T)

        def slips(hand: int) -> float:
            asked.append(which[hand])
            return float(slipping[which[hand]])

        return {"displacement": slips}

    monkeypatch.setattr(GraspFaults, "simulations", simulations)
    return asked


def _which(hands: GraspBatch, T: torch.Tensor) -> list[int]:
    """Which of the hands are at these places."""
    return [int((hands.T_object_hand == place).all(dim=2).all(dim=1).nonzero()[0]) for place in T]


@pytest.mark.parametrize("repeats", [True, False])
def test_several_threads_ask_only_priors_that_depend_on_their_arguments_alone(
    can: trimesh.Trimesh, repeats: bool, torch_threads: Callable[[int], None]
) -> None:
    class Low:
        info = PriorInfo(repeats=repeats)

        def __init__(self) -> None:
            self.asked_by: set[int] = set()

        def energy(self, state: HandObjectState, cond: torch.Tensor | None = None) -> torch.Tensor:
            self.asked_by.add(threading.get_ident())
            return state.T_object_hand[:, 2, 3]

    low = Low()
    search = search_of(can, WeightedPrior([(1.0, low)]))
    pool = search.placements(512, torch.Generator().manual_seed(0))
    hands = GraspBatch(search._relaxed(len(pool)), pool)
    torch_threads(2)
    (scores,), _ = search.score_placements(search.energies, hands)
    assert torch.get_num_threads() == 2
    assert torch.equal(scores, -pool[:, 2, 3])
    assert (threading.get_ident() in low.asked_by) != repeats


@pytest.mark.parametrize(
    ("installed", "asked", "made"),
    [
        ((), None, {"statics": True, "bullet": False, "mujoco": False}),
        (("pybullet",), None, {"statics": True, "bullet": True, "mujoco": False}),
        (("mujoco",), None, {"statics": True, "bullet": False, "mujoco": True}),
        (("mujoco",), True, {"statics": True, "bullet": False, "mujoco": True}),
        (("pybullet", "mujoco"), None, {"statics": True, "bullet": True, "mujoco": True}),
        (("pybullet", "mujoco"), False, {"statics": True, "bullet": False, "mujoco": False}),
    ],
)
def test_results_say_which_checks_were_made(
    can: trimesh.Trimesh,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    installed: tuple[str, ...],
    asked: bool | None,
    made: dict[str, bool],
) -> None:
    def missing(survival: bool = False) -> str | None:
        return None if ("mujoco" if survival else "pybullet") in installed else "it is not installed"

    monkeypatch.setattr("hoprior.tasks.grasp.faults.simulator_missing", missing)
    monkeypatch.setattr(GraspFaults, "simulations", lambda *hands: {})
    results = small(can, 1, config=replace(SMALL, faults=FaultWeights(simulate=asked)))
    assert results.config["checks"] == made
    results.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "grasps.json").read_text())["config"]["checks"] == made


def test_a_surface_is_prepared_once_and_its_file_is_remembered(
    can: trimesh.Trimesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mending a scan takes seconds: whoever comes after the loader is given what it made."""
    can.export(tmp_path / "can.obj")
    prepared = []

    def counted(mesh: trimesh.Trimesh) -> tuple[trimesh.Trimesh, float]:
        prepared.append(mesh)
        return oriented(mesh)

    oriented = repair.orient_outwards
    monkeypatch.setattr(repair, "orient_outwards", counted)
    results = small(tmp_path / "can.obj", 1, side="left")
    assert len(prepared) == 1 and results.source == str(tmp_path / "can.obj")
    again = small(load_mesh(tmp_path / "can.obj"), 1, side="left")
    assert len(prepared) == 2 and again.source == results.source
    assert np.array_equal(again[0].joints_object, results[0].joints_object)
    assert small(can, 1).source is None


@pytest.mark.parametrize("former", sorted(RENAMED))
def test_former_names_of_settings_lead_to_settings_that_exist(former: str) -> None:
    setting: object = {"config": GraspConfig()}
    for name in RENAMED[former].split("."):
        setting = setting[name] if isinstance(setting, dict) else getattr(setting, name)
    assert not hasattr(GraspConfig(), former.partition(".")[2]), "the former name is free"


def test_the_command_takes_former_names_of_settings(
    can: trimesh.Trimesh, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    can.export(tmp_path / "can.obj")
    few = "--search.pool 32 --search.climbs 0 --search.guiding.steps 2 --search.refining.steps 1"
    other = "--search.contact.near 0.02 --search.flesh.cut 5 --search.faults.pierced 2 --search.faults.simulate false"
    given = ["--mesh", str(tmp_path / "can.obj"), "--num", "1", "--prior", "none", "--out", str(tmp_path / "out")]
    assert main(["run", "grasp", *given, *few.split(), *other.split()]) == 0
    said = capsys.readouterr().err
    assert "--search.contact.near is --config.contact.hand-reach now" in said and "--search is --config now" in said
    settings = GraspResults.load(tmp_path / "out").config["config"]
    assert settings["pool"] == 32 and settings["local_search"]["iterations"] == 0
    assert settings["contact"]["hand_reach"] == 0.02 and settings["contact"]["hand_weight"] == 8.0
    assert is_current(tmp_path / "out" / "report.html")
    assert settings["flesh"]["sphere_weight"] == 5 and settings["faults"]["bone_penetration"] == 2
