"""Refinement by anybody's denoiser of hand poses, and judges that say which draws fit the object that is held."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roma
import torch
import trimesh
from hand_estimates import estimate
from torch import Tensor

import hoprior
from hoprior.errors import HopriorError
from hoprior.geometry.state import HandObjectState
from hoprior.hand import HandPose, load_hand
from hoprior.priors.diffusion import NoiseSchedule, add_noise
from hoprior.tasks.generate import GenerateConfig
from hoprior.tasks.refine import HeldObject, RefineConfig
from hoprior.tasks.refine.judging import JudgeConfig, Judging
from hoprior.tasks.refine.sampling import DeviceProxy
from hoprior.tasks.shared import NamedPrior

CPU = torch.device("cpu")
INDEX = ("index2", "index3", "index_tip")
QUICK = RefineConfig(steps=10, samples=2)


class GaussianPoses:
    """The perfect denoiser of hand poses that scatter around one; it has no base class, and hears one number."""

    text_encoder_name = None
    pose_shape = (15, 3)

    def __init__(self, mean: Tensor, std: float = 0.05) -> None:
        self.mean, self.std = mean, std
        self.alphas_cumprod = NoiseSchedule().alphas_cumprod

    def encode(self, state: Any) -> Tensor:
        return state.hand_pose

    def decode(self, x0: Tensor) -> HandPose:
        return HandPose.of(x0)

    def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        abar = self.alphas_cumprod[t][:, None, None]
        mean = self.mean if cond is None else self.mean + cond[:, :1, :1]
        variance = abar * self.std**2 + 1 - abar
        return (1 - abar).sqrt() * (x_t - abar.sqrt() * mean) / variance


class OpenHands:
    """Likes fingers that stick out."""

    def energy(self, state: HandObjectState, cond: Any = None) -> Tensor:
        assert state.hand_pose is not None
        return -20 * state.joints_hand[:, :, 0].mean(dim=1)


def relaxed() -> Tensor:
    hand = load_hand()
    return hand.angles_to_pose(hand.relaxed_angles[None])[0]


def held() -> HeldObject:
    place = torch.eye(4)
    place[2, 3] = 0.5
    return HeldObject(trimesh.creation.icosphere(subdivisions=2, radius=0.04), place)


def test_a_denoiser_without_a_base_class_refines_and_draws() -> None:
    prior = GaussianPoses(relaxed())
    hands = hoprior.refine([estimate("a"), estimate("b", "left")], priors=[(1.0, prior)], config=QUICK, device="cpu")
    assert len(hands) == 2 and all(np.isfinite(one.joints).all() for one in hands)
    drawn = hoprior.generate_poses("a mug", 3, priors=[(1.0, prior)], config=GenerateConfig(steps=20), device="cpu")
    for one in drawn:
        np.testing.assert_allclose(one.hand_pose, relaxed().numpy(), atol=0.3)


def test_rows_without_text_get_the_null_condition_beside_rows_with() -> None:
    prior = GaussianPoses(torch.zeros(15, 3))
    proxy, t = DeviceProxy(prior), torch.full((3,), 500)
    x = add_noise(prior.alphas_cumprod, torch.zeros(3, 15, 3), torch.ones(3, 15, 3), t)
    cond = torch.tensor([[[0.5]], [[torch.nan]], [[-0.5]]])
    both = proxy.predict_noise_guided(x, t, cond, 2.0)
    for i, row in enumerate((cond[:1], None, cond[2:])):
        alone = proxy.predict_noise_guided(x[i : i + 1], t[i : i + 1], row, 2.0) if row is not None else None
        alone = proxy.predict_noise(x[i : i + 1], t[i : i + 1], None) if alone is None else alone
        torch.testing.assert_close(both[i : i + 1], alone)
    assert not both.isnan().any()


def test_draws_that_judges_like_count_more() -> None:
    hand = load_hand()
    straight, bent = torch.zeros(15, 3), relaxed()
    draws = torch.stack([straight, 2 * bent])[None]
    pose = HandPose.zeros(1)
    judges = [NamedPrior(1.0, OpenHands(), "open")]
    weights = Judging(judges, [held()], [None], ["right"], CPU).weights(hand, pose, draws)
    torch.testing.assert_close(weights.sum(dim=1), torch.tensor([2.0]))
    assert weights[0, 0] > 1.5 > 0.5 > weights[0, 1]
    nothing = [NamedPrior(0.0, OpenHands(), "open")]
    same = Judging(nothing, [held()], [None], ["right"], CPU).weights(hand, pose, draws)
    torch.testing.assert_close(same, torch.ones(1, 2))


def test_left_hands_are_judged_in_the_mirror() -> None:
    """A left hand at a mirrored object is worth what the right one is at the object."""
    hand, draws = load_hand(), torch.stack([torch.zeros(15, 3), relaxed()])[None]

    class Near:
        def energy(self, state: HandObjectState, cond: Any = None) -> Tensor:
            points = state.joints_hand @ state.T_object_hand[:, :3, :3].mT + state.T_object_hand[:, None, :3, 3]
            return 100 * state.sdf(points).mean(dim=1)

    place = torch.eye(4)
    place[:3, 3] = torch.tensor([0.02, 0.03, 0.4])
    box = trimesh.creation.box((0.05, 0.08, 0.03))
    box.apply_translation([0.0, 0.02, 0.0])
    mirror = torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0]))
    reflected = trimesh.Trimesh(box.vertices * [1, -1, 1], box.faces[:, ::-1])
    judges = [NamedPrior(1.0, Near(), "near")]
    pose = HandPose.of(draws[:, 0])
    right = Judging(judges, [HeldObject(box, place)], [None], ["right"], CPU)
    left = Judging(judges, [HeldObject(reflected, mirror @ place @ mirror)], [None], ["left"], CPU)
    torch.testing.assert_close(right.weights(hand, pose, draws), left.weights(hand, pose, draws), atol=0.02, rtol=0.02)


def test_judges_need_an_object_and_one_prior_that_draws() -> None:
    prior = GaussianPoses(relaxed())
    with pytest.raises(HopriorError, match="'contrastive' judges hands at objects: give the object"):
        hoprior.refine(estimate(), priors=[(1.0, prior), (1.0, "contrastive")], config=QUICK)
    with pytest.raises(HopriorError, match="0 priors draw hidden joints"):
        hoprior.refine(estimate(), priors=[(1.0, "contrastive")], held=held(), config=QUICK)
    with pytest.raises(HopriorError, match="2 priors draw hidden joints"):
        hoprior.refine(estimate(), priors=[(1.0, prior), (1.0, prior)], config=QUICK)
    with pytest.raises(HopriorError, match="no prior judges hands at it"):
        hoprior.refine(estimate(), priors=[(1.0, prior)], held=held(), config=QUICK)
    with pytest.raises(HopriorError, match="cannot serve refine"):
        hoprior.refine(estimate(), priors=[(1.0, prior), (1.0, "shape_completion")], held=held(), config=QUICK)


def test_judges_change_what_is_refined() -> None:
    prior = GaussianPoses(relaxed(), 0.4)
    one = estimate("a", hidden=INDEX)
    plain = hoprior.refine(one, priors=[(1.0, prior)], config=QUICK, device="cpu")[0]
    judged = hoprior.refine(one, priors=[(1.0, prior), (5.0, OpenHands())], held=held(), config=QUICK, device="cpu")[0]
    assert not np.array_equal(plain.hand_pose, judged.hand_pose)


class JointNoise:
    """A denoiser of joints, so that what it says of a hand depends on noise."""

    text_encoder_name = None
    alphas_cumprod = NoiseSchedule().alphas_cumprod

    def encode(self, state: HandObjectState) -> Tensor:
        return 10 * state.joints_hand

    def predict_noise(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Tensor:
        return x_t


class Compares(OpenHands):
    """Has an opinion and no gradient."""

    def energy(self, state: HandObjectState, cond: Any = None) -> Tensor:
        return super().energy(state, cond).detach()


def with_judges(judge: Any, weight: float = 1.0, **settings: Any) -> Any:
    """What the words of `hoprior.refine` are for a judge of so much weight."""
    config = RefineConfig(steps=10, samples=2, judge=JudgeConfig(**settings))
    return {
        "priors": [(1.0, GaussianPoses(relaxed(), 0.4)), (weight, judge)],
        "held": held(),
        "config": config,
        "device": "cpu",
    }


def reach(one: Any) -> float:
    """How far the joints of a hand, which looks along x, stick out."""
    turn = roma.rotvec_to_rotmat(torch.as_tensor(one.global_orient))
    return float(((torch.as_tensor(one.joints) - torch.as_tensor(one.transl)) @ turn)[:, 0].mean())


def test_draws_are_bent_towards_what_judges_like() -> None:
    """More with a higher rate; only where nothing is seen, and not by judges that only compare or have no weight."""
    one = estimate("a", hidden=INDEX)
    bent = [hoprior.refine(one, **with_judges(OpenHands(), sharpness=0.0, rate=rate))[0] for rate in (0.0, 0.05, 0.2)]
    assert reach(bent[0]) < reach(bent[1]) < reach(bent[2])
    seen = ~bent[0].occluded
    np.testing.assert_allclose(bent[2].joints[seen], bent[2].first_joints[seen], atol=1e-3)
    for judge, weight in ((Compares(), 1.0), (OpenHands(), 0.0)):
        still = hoprior.refine(one, **with_judges(judge, weight, sharpness=0.0, rate=0.2))[0]
        np.testing.assert_allclose(still.hand_pose, bent[0].hand_pose, atol=1e-5)


@pytest.mark.parametrize("judge", [OpenHands(), JointNoise()])
def test_a_judged_hand_depends_neither_on_others_nor_on_chunks(judge: Any) -> None:
    """Nor do hands of which nobody knows what they hold care for judges."""
    hands = [estimate("a", hidden=INDEX), estimate("b", "left", hidden=INDEX), estimate("c", hidden=INDEX)]
    words = with_judges(judge, rate=0.1) | {"held": [held(), held(), None]}
    together = hoprior.refine(hands, **words)
    small = hoprior.refine(hands, **words | {"config": replace(words["config"], chunk=3)})
    alone = [hoprior.refine(one, **words | {"held": [item]})[0] for one, item in zip(hands, words["held"], strict=True)]
    plain = hoprior.refine(hands[2], **words | {"priors": words["priors"][:1], "held": None})[0]
    for others in (small, alone):
        for one, other in zip(together, others, strict=True):
            np.testing.assert_allclose(one.hand_pose, other.hand_pose, atol=1e-5)
    np.testing.assert_allclose(together[2].hand_pose, plain.hand_pose, atol=1e-5)


def test_judges_that_could_change_nothing_are_refused() -> None:
    words = with_judges(OpenHands())
    with pytest.raises(HopriorError, match=r"config\.mode='sds' makes one draw"):
        hoprior.refine(estimate(), **words | {"config": RefineConfig(mode="sds", steps=2)})
    with pytest.raises(HopriorError, match=r"config\.samples=1 leaves judges nothing to choose from"):
        hoprior.refine(estimate(), **words | {"config": RefineConfig(samples=1, judge=JudgeConfig(rate=0.0))})
    with pytest.raises(HopriorError, match="2 objects held by 1 hands"):
        hoprior.refine(estimate(), **words | {"held": [held(), held()]})
    with pytest.raises(HopriorError, match=r"config\.judge\.rate=-1"):
        JudgeConfig(rate=-1)
    with pytest.raises(HopriorError, match=r"config\.judge\.timesteps=0"):
        JudgeConfig(timesteps=0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "has no T_camera_object"),
        ("[[1]]", "no rotation and translation"),
        (json.dumps((2 * np.eye(4)).tolist()), "no rotation and translation"),
        (None, "cannot be read.*give T_camera_object"),
    ],
)
def test_places_that_are_none_are_refused(tmp_path: Path, content: str | None, says: str) -> None:
    held().mesh.export(tmp_path / "ball.ply")
    if content is not None:
        (tmp_path / "place.json").write_text(content)
    with pytest.raises(HopriorError, match=says):
        HeldObject.from_files(tmp_path / "ball.ply", tmp_path / "place.json")


def test_objects_come_from_files(tmp_path: Path) -> None:
    held().mesh.export(tmp_path / "ball.ply")
    np.savez(tmp_path / "place.npz", T_camera_object=held().T_camera_object.numpy())
    (tmp_path / "place.json").write_text(json.dumps({"T_camera_object": held().T_camera_object.tolist()}))
    for name in ("place.npz", "place.json"):
        one = HeldObject.from_files(tmp_path / "ball.ply", tmp_path / name)
        torch.testing.assert_close(one.T_camera_object, held().T_camera_object)
        assert one.name == "ball"


def test_former_names_of_arguments_work_and_say_the_new_ones() -> None:
    prior = GaussianPoses(relaxed())
    with pytest.warns(FutureWarning, match="`prior` is `priors` now"):
        old = hoprior.refine(estimate(), prior=prior, config=QUICK, device="cpu")
    new = hoprior.refine(estimate(), priors=[(1.0, prior)], config=QUICK, device="cpu")
    np.testing.assert_array_equal(old[0].hand_pose, new[0].hand_pose)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        before = hoprior.generate_poses("a mug", 1, prior=prior, guidance=1.0, steps=20, device="cpu")
    assert {"prior", "guidance", "steps"} <= {str(one.message).split("`")[1] for one in told if "`" in str(one.message)}
    after = hoprior.generate_poses("a mug", 1, priors=[(1.0, prior)], config=GenerateConfig(1.0, 20), device="cpu")
    np.testing.assert_array_equal(before[0].hand_pose, after[0].hand_pose)
