"""The pose prior (models/pose_prior.py): its contract with tasks, its conditions, its files and its training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import roma
import torch
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.state import HandObjectState
from hoprior.hand import HandPose, load_hand
from hoprior.language.schema import Affordance
from hoprior.language.taxonomy import TAXONOMY
from hoprior.language.template import describe
from hoprior.models.networks.kind_head import KIND_EXAMPLES, SAID_EXAMPLES
from hoprior.models.pose_prior import PosePrior
from hoprior.priors.base import weighted_sum
from hoprior.priors.diffusion import ddim_sample, guided_noise
from hoprior.priors.guidance import guidance_loss, score, sds_loss
from hoprior.priors.pretrained import load_safetensors
from hoprior.priors.protocols import ReadsBetweenWords
from hoprior.priors.registry import load_prior
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.generate.poses import aperture, sample_poses

NETWORK: dict[str, Any] = {"width": 32, "layers": 1, "mlp_blocks": 1, "text_dim": 6, "text_encoder": "stub"}
ROTATIONS = ("axis_angle", "6d")


def make_prior(**arguments: Any) -> PosePrior:
    """A small prior whose zero-initialised layers say something, normalised as a real one."""
    torch.manual_seed(0)
    prior = PosePrior(**{**NETWORK, **arguments})
    with torch.no_grad():
        for parameter in prior.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
        prior.null_text.normal_()
        prior.pose_mean.normal_(std=0.1)
        prior.pose_std.uniform_(0.1, 0.4)
        prior.normalized.fill_(True)
    return prior.eval()


@pytest.fixture(params=ROTATIONS)
def prior(request: pytest.FixtureRequest) -> PosePrior:
    return make_prior(rotation=request.param)


def poses(count: int, seed: int = 1) -> Tensor:
    """Poses within the open hand's limits."""
    hand = load_hand()
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(count, 15, 3, generator=generator)
    return hand.angles_to_pose(hand.angle_low + (hand.angle_high - hand.angle_low) * share)


def conditions(count: int) -> Tensor:
    return torch.randn(count, 2, 6, generator=torch.Generator().manual_seed(3))


def noisy(prior: PosePrior, count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, *prior.pose_shape, generator=generator), torch.tensor([50, 300, 900, 500])[:count]


def test_decoding_inverts_encoding(prior: PosePrior) -> None:
    pose = poses(8)
    decoded = prior.decode(prior.encode(HandPose.of(pose)))
    torch.testing.assert_close(decoded.hand_pose, pose, rtol=0, atol=1e-5)
    assert not decoded.global_orient.any() and not decoded.transl.any() and not decoded.betas.any()


def test_what_the_network_says_decodes_to_rotations(prior: PosePrior) -> None:
    """Also where it is no encoding of any pose."""
    x0 = 3 * torch.randn(16, *prior.pose_shape, generator=torch.Generator().manual_seed(0))
    pose = prior.decode(x0).hand_pose
    assert pose.isfinite().all()
    again = prior.decode(prior.encode(HandPose.of(pose))).hand_pose
    torch.testing.assert_close(roma.rotvec_to_rotmat(again), roma.rotvec_to_rotmat(pose), rtol=0, atol=1e-4)


def test_encoding_is_differentiable_in_the_pose_and_in_nothing_else(prior: PosePrior) -> None:
    pose = poses(3).requires_grad_()
    prior.requires_grad_(False)
    prior.encode(HandPose.of(pose))[1].square().sum().backward()
    assert pose.grad is not None and pose.grad[1].any() and not pose.grad[[0, 2]].any()


def test_a_state_of_hand_and_object_will_do_if_it_knows_the_pose(prior: PosePrior) -> None:
    pose = poses(2)
    joints = load_hand().joints_only(pose)
    eye = torch.eye(4).expand(2, 4, 4)
    state = HandObjectState(lambda points: points.norm(dim=-1) - 0.05, eye, joints, hand_pose=pose)
    assert torch.equal(prior.encode(state), prior.encode(HandPose.of(pose)))
    assert torch.equal(state.detach().hand_pose, pose)  # type: ignore[arg-type]
    with pytest.raises(HopriorError, match="give it a hand_pose"):
        prior.encode(replace(state, hand_pose=None))


def test_score_distillation_reaches_the_pose_through_every_entry(prior: PosePrior) -> None:
    pose = poses(4).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    output = sds_loss(prior, HandPose.of(pose), conditions(4), guidance_scale=2.0, generator=generator)
    (grad,) = torch.autograd.grad(output.loss, pose)
    assert grad.isfinite().all() and grad.flatten(1).any(dim=1).all()
    both = weighted_sum([(0.5, prior), (0.5, prior)])
    assert guidance_loss(both, HandPose.of(pose), conditions(4)).shape == (4,)
    assert score(prior, HandPose.of(pose), conditions(4), contrast=1.0).shape == (4,)


def test_guidance_in_one_batch_is_guidance(prior: PosePrior) -> None:
    x_t, t = noisy(prior, 4)
    cond = conditions(4)
    null, told = prior.predict_noise(x_t, t, None), prior.predict_noise(x_t, t, cond)
    torch.testing.assert_close(guided_noise(prior, x_t, t, cond, 3.0), null + 3 * (told - null), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(null, told, atol=1e-3)


def test_an_element_does_not_depend_on_its_batch(prior: PosePrior) -> None:
    x_t, t = noisy(prior, 4)
    whole = prior.predict_noise(x_t, t, conditions(4))
    alone = prior.predict_noise(x_t[2:3], t[2:3], conditions(4)[2:3])
    torch.testing.assert_close(whole[2:3], alone, rtol=1e-4, atol=1e-5)


def test_joints_can_be_held_while_others_are_sampled(prior: PosePrior) -> None:
    pose = poses(3)
    x = prior.encode(HandPose.of(pose))
    held = torch.zeros(1, 15, 1, dtype=torch.bool)
    held[:, :9] = True
    x0 = ddim_sample(prior, x.shape, conditions(3), steps=10, known=(held, x), generator=torch.Generator())
    sampled = prior.decode(x0).hand_pose
    torch.testing.assert_close(sampled[:, :9], pose[:, :9], rtol=0, atol=1e-5)
    assert (sampled[:, 9:] - pose[:, 9:]).abs().max() > 0.05


def test_weights_travel(prior: PosePrior, tmp_path: Path) -> None:
    path = tmp_path / "pose.safetensors"
    prior.save_safetensors(path)
    loaded = load_safetensors(path)
    assert isinstance(loaded, PosePrior) and loaded.config() == prior.config()
    x_t, t = noisy(prior, 4)
    torch.testing.assert_close(loaded.predict_noise(x_t, t, None), prior.predict_noise(x_t, t, None), rtol=0, atol=0.03)
    assert isinstance(load_prior(path), PosePrior)


@pytest.mark.usefixtures("wrong_types")
def test_an_unknown_rotation_is_refused() -> None:
    with pytest.raises(HopriorError, match=r"quaternion.*axis_angle or 6d"):
        PosePrior(rotation="quaternion")  # type: ignore[arg-type]


def test_the_shipped_prior_opens_wider_for_larger_things() -> None:
    prior = load_prior("pose")
    assert isinstance(prior, PosePrior)
    hand = load_hand()
    wide = []
    for size in ("small", "large"):
        cond = encode_texts(prior, [describe(Affordance(object_size=size, grasp=1))])
        assert cond is not None
        generator = torch.Generator().manual_seed(0)
        drawn = sample_poses(prior, cond.expand(24, -1, -1), 24, steps=20, generator=generator)
        wide.append(aperture(hand.joints_only(hand.within_limits(drawn)[0])))
    assert float((wide[1] - wide[0]).mean()) > 0.01


def test_words_that_leave_the_kind_open_are_dealt_out_as_the_kinds_are_likely() -> None:
    prior = make_prior(kind_width=8)
    assert prior.kind_head is not None
    prior.kind_head.kind_texts.copy_(torch.arange(len(TAXONOMY)).float()[:, None, None].expand(-1, 1, 6))
    cond = torch.randn(3, 1, 6, generator=torch.Generator().manual_seed(0))
    shares = prior.meanings(cond)
    assert shares.shape == (3, len(TAXONOMY) + 2) and torch.allclose(shares.sum(dim=1), torch.ones(3))
    many = 4000
    drawn = prior.drawn_conditions(cond, ((torch.arange(many) + 0.5) / many).expand(3, many))
    among = shares[:, :-1] / shares[:, :-1].sum(dim=1, keepdim=True)
    for kind in range(len(TAXONOMY)):
        found = (drawn == float(kind)).all(dim=-1).all(dim=-1).float().mean(dim=1)
        assert torch.allclose(found, among[:, kind], atol=1e-3)
    untold = (drawn == prior.null_text).all(dim=-1).all(dim=-1).float().mean(dim=1)
    assert torch.allclose(untold, among[:, -1], atol=1e-3)


def test_seen_joints_say_which_kinds_a_sentence_may_mean() -> None:
    prior = make_prior(kind_width=8)
    assert prior.kind_head is not None
    hands = load_hand().joints_only(poses(29))
    each = [KIND_EXAMPLES] * len(TAXONOMY) + [SAID_EXAMPLES]
    prior.kind_head.examples.copy_(hands.repeat_interleave(torch.tensor(each), dim=0))
    prior.kind_head.kind_texts.copy_(torch.arange(len(TAXONOMY)).float()[:, None, None].expand(-1, 1, 6))
    cond, places = torch.zeros(5, 1, 6), torch.linspace(0.05, 0.95, 10).expand(5, 10)
    everything, nothing = torch.ones(5, 21, dtype=torch.bool), torch.zeros(5, 21, dtype=torch.bool)
    seen = prior.drawn_conditions(cond, places, hands[3:8], everything)
    assert torch.equal(seen[..., 0, 0].mean(dim=1), torch.arange(3.0, 8.0))
    blind = prior.drawn_conditions(cond, places, hands[3:8], nothing)
    assert torch.equal(blind, prior.drawn_conditions(cond, places))


def test_a_prior_without_kinds_leaves_sentences_as_they_are(prior: PosePrior) -> None:
    cond = conditions(2)
    drawn = prior.drawn_conditions(cond, torch.rand(2, 4))
    assert torch.equal(drawn, cond[:, None].expand(-1, 4, -1, -1))
    assert not prior.says_nothing(cond).any() and isinstance(prior, ReadsBetweenWords)
