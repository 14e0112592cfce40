"""`hoprior eval refine`: its error, its benchmark and its report."""

import json
from pathlib import Path

import pytest
import roma
import torch
import trimesh
from rich.console import Console

from hoprior.cli.entry import main
from hoprior.cli.eval_refine import show
from hoprior.datasets.benchmarks.occluded_hands import (
    LEVELS,
    EstimateNoise,
    HeldOutGrasps,
    OccludedHands,
    make_benchmark,
)
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.datasets.samples.skin import posed_set
from hoprior.errors import HopriorError
from hoprior.evaluation.refinement import FIRST, NO_TEXT, _by_level, benchmark_views, evaluate, save
from hoprior.geometry.state import rigid
from hoprior.hand import load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.language.schema import Affordance
from hoprior.metrics.pose import pa_mpjpe_mm
from hoprior.models.pose_prior import PosePrior
from hoprior.tasks.refine.sampling import RefineConfig


def held(name: str, radius: float) -> HeldOutGrasps:
    """A ball in a half-closed hand."""
    hand = load_hand()
    info = ObjectInfo(name, name, "test", "CC0", "", f"a hand holding a {name}")
    angles = hand.relaxed_angles + 0.4 * (hand.angle_high - hand.relaxed_angles) * torch.rand(
        6, 15, 3, generator=torch.Generator().manual_seed(0)
    )
    T_object_hand = rigid(torch.eye(3).expand(6, 3, 3), torch.tensor([-0.09, 0.0, -0.04]).expand(6, 3))
    grasps = posed_set(info, hand, angles, T_object_hand, recorded=True)
    return HeldOutGrasps(
        grasps,
        trimesh.creation.icosphere(subdivisions=2, radius=radius),
        (Affordance(name, interaction="holding"),) * 6,
    )


@pytest.fixture(scope="module")
def bench() -> OccludedHands:
    return make_benchmark([held("ball", 0.04), held("orange", 0.05)], load_hand(), 9, seed=1)


def test_the_error_ignores_similarities_and_is_in_millimetres() -> None:
    joints = torch.randn(4, 21, 3) * 0.05
    turned = 1.3 * joints @ roma.random_rotmat(4).mT + torch.randn(4, 1, 3)
    assert (pa_mpjpe_mm(turned, joints) < 1e-3).all()
    off = joints.clone()
    off[:, 5, 0] += 0.021
    assert ((pa_mpjpe_mm(off, joints) > 0.5) & (pa_mpjpe_mm(off, joints) < 2.5)).all()


def test_the_benchmark_is_balanced_reproducible_and_hides_what_it_says(bench: OccludedHands) -> None:
    again = make_benchmark([held("ball", 0.04), held("orange", 0.05)], load_hand(), 9, seed=1)
    assert torch.equal(bench.first.hand_pose, again.first.hand_pose)
    assert {name: bench.levels.count(name) for name in LEVELS} == dict.fromkeys(LEVELS, 3)
    for count, name in zip(bench.occluded.sum(dim=1).tolist(), bench.levels, strict=True):
        assert LEVELS[name][0] <= count <= LEVELS[name][1]
    assert all(wrong != right for wrong, right in zip(bench.wrong_texts, bench.texts, strict=True))


def test_estimates_err_most_where_nothing_is_seen() -> None:
    hand = load_hand()
    angles = hand.relaxed_angles.expand(64, -1, -1) + 0.2
    occluded = torch.zeros(64, 21, dtype=torch.bool)
    occluded[:, [*range(1, 10), 17, 18, 20]] = True
    estimated = EstimateNoise()(hand, angles, occluded, torch.Generator().manual_seed(0))
    error = (estimated - angles)[..., 1].abs().mean(dim=0)
    assert error[:2].mean() > 2 * error[9:].mean()
    assert bool((estimated >= hand.angle_low).all() and (estimated <= hand.angle_high).all())


def test_the_report_has_every_method_and_level(bench: OccludedHands, tmp_path: Path) -> None:
    prior = PosePrior(width=16, layers=1, mlp_blocks=1)
    found = evaluate(prior, bench, load_hand(), RefineConfig(steps=2, samples=1))
    assert len(found.errors) == 4 and found.counts == {"all": 9, "low": 3, "medium": 3, "high": 3}
    assert found.errors[FIRST]["high"] > found.errors[FIRST]["low"]
    low, high = found.intervals[NO_TEXT]["all"]
    assert low <= found.errors[NO_TEXT]["all"] <= high
    save(found, tmp_path / "e.json", {"num": 9})
    assert json.loads((tmp_path / "e.json").read_text())["errors"] == found.errors
    assert len((tmp_path / "e.csv").read_text().splitlines()) == 1 + 4 * 4
    console = Console(record=True, width=140)
    show(found, console)
    assert "prior, wrong text" in console.export_text()


def test_only_estimates_go_into_refinement(bench: OccludedHands) -> None:
    views = benchmark_views(bench, load_hand())
    assert torch.equal(views.pose.hand_pose, bench.first.hand_pose)
    assert not torch.equal(views.pose.hand_pose, bench.truth.hand_pose)


def test_levels_share_out_all_values() -> None:
    shared = _by_level(torch.arange(3.0), ("low", "high", "low"))
    assert shared["low"].tolist() == [0.0, 2.0] and len(shared["medium"]) == 0 and len(shared["all"]) == 3


def test_too_little_occlusion_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoprior.datasets.benchmarks.occluded_hands.MAX_ROUNDS", 0)
    with pytest.raises(HopriorError, match="1 of level high"):
        make_benchmark([held("ball", 0.04)], load_hand(), 3, seed=0)


def test_estimates_put_visible_joints_where_they_are_seen() -> None:
    """Beyond hidden joints as well: the tip is hardly farther off than if nothing were hidden."""
    hand = load_hand()
    angles = (hand.relaxed_angles + 0.2).expand(64, -1, -1)
    occluded = torch.zeros(64, 21, dtype=torch.bool)
    tip = JOINT_NAMES.index("index_tip")
    truth = hand.joints_only(hand.angles_to_pose(angles))
    missed = []
    for hidden in (("index2", "index3"), ()):
        occluded[:, [JOINT_NAMES.index(name) for name in ("middle2", "middle3", "middle_tip", *hidden)]] = True
        estimated = EstimateNoise()(hand, angles, occluded, torch.Generator().manual_seed(0))
        joints = hand.joints_only(hand.angles_to_pose(estimated))
        missed.append((joints - truth)[:, tip].norm(dim=-1).mean())
        occluded[:] = False
    assert missed[0] < 1.2 * missed[1]


def test_options_that_do_not_go_together_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["eval", "refine", "--root", str(tmp_path), "--myodm", str(tmp_path)]) == 2
    assert "leave --myodm" in capsys.readouterr().err
    assert main(["eval", "refine", "--root", str(tmp_path)]) == 2
    assert "HOGraspNet" in capsys.readouterr().err
    assert main(["eval", "refine", "--estimates", str(tmp_path)]) == 2
    assert "--root" in capsys.readouterr().err
