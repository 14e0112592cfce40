"""Hands sampled from text: their laws, files and refusals, with a small prior that was never trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import hoprior
from hoprior.cli.entry import main
from hoprior.errors import HopriorError
from hoprior.hand import load_hand
from hoprior.models.pose_prior import PosePrior
from hoprior.tasks.generate import GenerateConfig, generate_poses
from hoprior.tasks.generate.poses import aperture

STEPS = 10
TEXT = "a right hand holding a large ball with a power sphere grasp"


@pytest.fixture(scope="module")
def prior() -> PosePrior:
    """It was never trained, but its layers say something; it listens to MiniLM."""
    torch.manual_seed(0)
    prior = PosePrior(width=32, layers=1, mlp_blocks=1)
    with torch.no_grad():
        for parameter in prior.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
        prior.pose_std.fill_(0.3)
    return prior.eval()


@pytest.fixture(scope="module")
def prior_file(prior: PosePrior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prior") / "small.safetensors"
    prior.save_safetensors(path)
    return path


def test_hands_follow_from_the_seed_and_not_from_their_number(prior: PosePrior) -> None:
    few = generate_poses(TEXT, 2, priors=[(1.0, prior)], config=GenerateConfig(steps=STEPS), seed=3)
    more = generate_poses(TEXT, 5, priors=[(1.0, prior)], config=GenerateConfig(steps=STEPS), seed=3)
    for one, other in zip(few, more[:2], strict=True):
        np.testing.assert_allclose(one.hand_pose, other.hand_pose, atol=1e-4)
    assert not np.allclose(more[0].hand_pose, more[1].hand_pose, atol=1e-2)
    assert not np.allclose(
        generate_poses(TEXT, 1, priors=[(1.0, prior)], config=GenerateConfig(steps=STEPS), seed=4)[0].hand_pose,
        few[0].hand_pose,
    )


def test_hands_are_within_limits_and_measured(prior: PosePrior) -> None:
    hand = load_hand()
    for sample in generate_poses(TEXT, 4, priors=[(1.0, prior)], config=GenerateConfig(steps=STEPS)):
        angles = hand.pose_to_angles(torch.tensor(sample.hand_pose))
        assert (angles <= hand.angle_high + 1e-5).all() and (angles >= hand.angle_low - 1e-5).all()
        joints = hand.joints_only(torch.tensor(sample.hand_pose)[None])
        np.testing.assert_allclose(sample.joints_hand, joints[0].numpy(), atol=1e-6)
        assert sample.measures["aperture_cm"] == pytest.approx(100 * float(aperture(joints)[0]), abs=1e-4)
        assert sample.measures["beyond_limits_deg"] >= 0


def test_what_is_within_limits_stays() -> None:
    hand = load_hand()
    pose = hand.angles_to_pose(hand.relaxed_angles[None])
    kept, beyond = hand.within_limits(pose)
    torch.testing.assert_close(kept, pose)
    assert float(beyond) < 1e-6
    bent = hand.angles_to_pose((hand.angle_high + 0.2)[None])
    brought_back, beyond = hand.within_limits(bent)
    torch.testing.assert_close(brought_back, hand.angles_to_pose(hand.angle_high[None]), rtol=0, atol=1e-5)
    assert float(beyond) == pytest.approx(0.2, abs=1e-4)


def test_a_left_hand_is_the_mirror_of_the_right_one(prior: PosePrior) -> None:
    right = generate_poses(TEXT, 1, priors=[(1.0, prior)], config=GenerateConfig(steps=STEPS))[0]
    left = generate_poses(TEXT, 1, priors=[(1.0, prior)], config=GenerateConfig(steps=STEPS), side="left")[0]
    np.testing.assert_allclose(left.verts_hand * [1, -1, 1], right.verts_hand, atol=1e-6)
    posed = load_hand("open", "left")(torch.tensor(left.hand_pose)[None])
    np.testing.assert_allclose(posed.verts[0].numpy(), left.verts_hand, atol=1e-5)


def test_the_command_writes_parameters_meshes_and_a_sheet(prior_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--text", "a mug", "--num", "2", "--prior", str(prior_file), "--steps", str(STEPS), "--out", str(out)]
    assert main(["run", "generate", *arguments]) == 0
    names = {"pose_000.glb", "pose_001.glb", "poses.json", "poses.png", "config.yaml", "report.html"}
    assert {path.name for path in out.iterdir()} == names
    index = json.loads((out / "poses.json").read_text())
    assert index["sentence"] == "a hand holding a mug" and index["config"]["priors"] == [[1.0, str(prior_file)]]
    again = load_hand()(torch.tensor(index["poses"][1]["hand_pose"])[None])
    mesh = trimesh.load_scene(out / "pose_001.glb", process=False).geometry["hand"]
    np.testing.assert_allclose(np.asarray(mesh.vertices), again.verts[0].numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", " "], "--text ' ' is empty"),
        (["--text", "a mug", "--num", "0"], "--num 0 is too few"),
        (["--text", "a mug", "--side", "middle"], "--side middle is unknown"),
        (["--text", "a mug", "--steps", "7"], "7 steps do not divide"),
    ],
)
def test_the_command_refuses_in_one_sentence(
    arguments: list[str], message: str, prior_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", "generate", *arguments, "--prior", str(prior_file), "--out", str(out)]) == 2
    assert message in capsys.readouterr().err and not out.exists()


def test_each_function_refuses_the_others_priors(prior: PosePrior) -> None:
    with pytest.raises(HopriorError, match="draws hands alone: use generate_poses"):
        hoprior.generate("a mug", priors=[(1.0, prior)])  # type: ignore[arg-type]
    with pytest.raises(HopriorError, match="'contrastive' is a ContrastivePrior, which judges but cannot be sampled"):
        hoprior.generate_poses("a mug", priors=[(1.0, "contrastive")])
