"""Refinement by anybody's denoiser of hand poses, and judges that say which draws fit the object that is held."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
from hoprior.tasks.refine.judging import Judging
from hoprior.tasks.refine.sampling import DeviceProxy
from hoprior.tasks.shared import NamedPrior

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
    weights = Judging(judges, held(), [None], ["right"], torch.device("cpu")).weights(hand, pose, draws)
    torch.testing.assert_close(weights.sum(dim=1), torch.tensor([2.0]))
    assert weights[0, 0] > 1.5 > 0.5 > weights[0, 1]
    nothing = [NamedPrior(0.0, OpenHands(), "open")]
    same = Judging(nothing, held(), [None], ["right"], torch.device("cpu")).weights(hand, pose, draws)
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
    right = Judging(judges, HeldObject(box, place), [None], ["right"], torch.device("cpu"))
    left = Judging(judges, HeldObject(reflected, mirror @ place @ mirror), [None], ["left"], torch.device("cpu"))
    torch.testing.assert_close(right.weights(hand, pose, draws), left.weights(hand, pose, draws), atol=0.02, rtol=0.02)


def test_judges_need_an_object_and_one_prior_that_draws() -> None:
    prior = GaussianPoses(relaxed())
    with pytest.raises(HopriorError, match="'contrastive' judges hands at objects: give the object"):
        hoprior.refine(estimate(), priors=[(1.0, prior), (1.0, "contrastive")], config=QUICK)
    with pytest.raises(HopriorError, match="0 priors draw hidden joints"):
        hoprior.refine(estimate(), priors=[(1.0, "contrastive")], held=held(), config=QUICK)
    with pytest.raises(HopriorError, match="2 priors draw hidden joints"):
        hoprior.refine(estimate(), priors=[(1.0, prior), (1.0, prior)], config=QUICK)
    with pytest.raises(HopriorError, match="cannot serve refine"):
        hoprior.refine(estimate(), priors=[(1.0, prior), (1.0, "shape_completion")], held=held(), config=QUICK)


def test_judges_change_what_is_refined() -> None:
    prior = GaussianPoses(relaxed(), 0.4)
    one = estimate("a", hidden=INDEX)
    plain = hoprior.refine(one, priors=[(1.0, prior)], config=QUICK, device="cpu")[0]
    judged = hoprior.refine(one, priors=[(1.0, prior), (5.0, OpenHands())], held=held(), config=QUICK, device="cpu")[0]
    assert not np.array_equal(plain.hand_pose, judged.hand_pose)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "has no T_camera_object"),
        ("[[1]]", "no rotation and translation"),
        (json.dumps((2 * np.eye(4)).tolist()), "no rotation and translation"),
        (None, "has no T_camera_object"),
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
