"""The interaction-grid prior (models/grid_prior.py): its contract with tasks, its conditions, and its files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import roma
import torch
from torch import Tensor

from hoprior.geometry.grid import sample_object_grid
from hoprior.geometry.state import HandObjectState, rigid
from hoprior.hand import load_hand
from hoprior.models.grid_prior import GridPrior
from hoprior.models.vqvae import SdfVQVAE
from hoprior.priors.diffusion import guided_noise
from hoprior.priors.guidance import score, sds_loss
from hoprior.priors.pretrained import load_safetensors

VQVAE: dict[str, Any] = {"channels": [8, 16], "res_blocks": 1, "latent_channels": 4, "levels": [5] * 4}
NETWORK: dict[str, Any] = {"channels": [16, 16], "head_dim": 16, "text_dim": 6, "text_encoder": "stub"}


def awake(prior: GridPrior) -> GridPrior:
    """A prior whose zero-initialised layers say something, and with the normalisation of a real one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in prior.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1, generator=generator)
        prior.null_text.normal_(generator=generator)
        prior.grid_mean[prior.object_channels], prior.grid_std[prior.object_channels] = 0.1, 0.5
        prior.grid_mean[prior.hand_channels], prior.grid_std[prior.hand_channels] = 0.009, 0.002
        prior.normalized.fill_(True)
    return prior.eval()


def make_prior(**arguments: Any) -> GridPrior:
    torch.manual_seed(0)
    return awake(GridPrior(SdfVQVAE(**VQVAE).config(), **{**NETWORK, **arguments}))


@pytest.fixture
def prior() -> GridPrior:
    return make_prior()


def states(count: int, seed: int = 1) -> HandObjectState:
    """Open hands in random poses at balls of 5 cm, each placed at random near the palm."""
    generator = torch.Generator().manual_seed(seed)
    hand = load_hand()
    span = hand.angle_high - hand.angle_low
    angles = hand.angle_low + span * torch.rand(count, 15, 3, generator=generator)
    joints = hand(hand.angles_to_pose(angles)).joints
    rotation = roma.unitquat_to_rotmat(torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=1))
    palm = torch.tensor([0.09, 0.0, 0.05]) + 0.02 * torch.randn(count, 3, generator=generator)
    T_object_hand = rigid(rotation, -(rotation @ palm[:, :, None])[:, :, 0])
    return HandObjectState(lambda points: points.norm(dim=-1) - 0.05, T_object_hand, joints)


def conditions(count: int) -> Tensor:
    return torch.randn(count, 2, 6, generator=torch.Generator().manual_seed(3))


def noisy(prior: GridPrior, count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, *prior.shape, generator=generator), torch.tensor([50, 300, 900, 500])[:count]


def test_encode_is_differentiable_in_the_state_and_in_nothing_else(prior: GridPrior) -> None:
    state = states(3)
    T_object_hand = state.T_object_hand.clone().requires_grad_()
    joints = state.joints_hand.clone().requires_grad_()
    x = prior.encode(replace(state, T_object_hand=T_object_hand, joints_hand=joints))
    assert x.shape == (3, *prior.shape) and x.dtype == torch.float32
    by_object, by_hand = torch.autograd.grad(x[1].square().sum(), [T_object_hand, joints])
    assert by_object[1].any() and by_hand[1].any()
    assert not by_object[[0, 2]].any() and not by_hand[[0, 2]].any()
    assert not any(p.requires_grad for p in prior.vqvae.parameters())


def test_states_do_not_meet(prior: GridPrior) -> None:
    state = states(4)
    one = replace(state, T_object_hand=state.T_object_hand[2:3], joints_hand=state.joints_hand[2:3])
    torch.testing.assert_close(prior.encode(state)[2:3], prior.encode(one), rtol=1e-4, atol=1e-4)
    x, t = noisy(prior, 4)
    together = prior.predict_noise(x, t, conditions(4))
    alone = prior.predict_noise(x[2:3], t[2:3], conditions(4)[2:3])
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hand_joints", [20, 15])
def test_joints_come_back_from_the_grid(hand_joints: int) -> None:
    prior, state = make_prior(hand_joints=hand_joints), states(32)
    decoded = prior.decode(prior.encode(state))
    error = (decoded.joints_hand - state.joints_hand)[:, : hand_joints + 1].norm(dim=-1)
    assert error.max() < 0.005
    assert decoded.joints_hand[:, hand_joints + 1 :].isnan().all()


def test_joints_come_back_through_noise(prior: GridPrior) -> None:
    """A denoiser errs in every cell; that moves the joints by millimetres, not centimetres."""
    state = states(16)
    x = prior.encode(state)
    error = (prior.decode(x + 0.1 * torch.randn_like(x)).joints_hand - state.joints_hand).norm(dim=-1)
    assert error.mean() < 0.005


def test_a_decoded_grid_is_a_state(prior: GridPrior) -> None:
    decoded = prior.decode(prior.encode(states(2)))
    again = decoded.state()
    torch.testing.assert_close(sample_object_grid(again, prior.spec), decoded.object_sdf, rtol=1e-4, atol=1e-5)
    assert torch.equal(again.joints_hand, decoded.joints_hand)
    outside = torch.tensor(prior.spec.center) + torch.tensor([[0.2, 0.0, 0.0]])
    edge = torch.tensor(prior.spec.center) + torch.tensor([[0.14, 0.0, 0.0]])
    torch.testing.assert_close(again.object_sdf_at(outside), again.object_sdf_at(edge) + 0.06)


def test_companded_latents_come_back_and_lie_closer_together() -> None:
    plain, companded = make_prior(), make_prior(object_companding=20.0)
    state = states(3)
    x, y = (prior.encode(state)[:, plain.object_channels] for prior in (plain, companded))
    assert not torch.allclose(x, y)
    span = [float((part - part.mean()).abs().max() / part.std()) for part in (x, y)]
    assert span[1] < span[0]
    found = [prior.decode(prior.encode(state)).object_sdf for prior in (plain, companded)]
    torch.testing.assert_close(found[0], found[1], atol=2e-3, rtol=0)


def test_no_text_is_the_null_text(prior: GridPrior) -> None:
    x, t = noisy(prior, 3)
    null = prior.predict_noise(x, t, None)
    torch.testing.assert_close(null, prior.predict_noise(x, t, prior.null_text.expand(3, 4, 6)), rtol=1e-4, atol=1e-5)
    assert (null - prior.predict_noise(x, t, conditions(3))).flatten(1).norm(dim=1).min() > 1e-3


def test_guidance_in_one_batch_is_guidance_in_two(prior: GridPrior) -> None:
    x, t = noisy(prior, 3)
    null, noise = prior.predict_noise(x, t, None), prior.predict_noise(x, t, conditions(3))
    torch.testing.assert_close(
        guided_noise(prior, x, t, conditions(3), 4.0), null + 4 * (noise - null), rtol=1e-3, atol=1e-4
    )


def test_the_velocity_network_that_knows_the_answer_finds_the_noise() -> None:
    prior = make_prior(prediction="v")
    x0, t = noisy(prior, 4)
    noise = torch.randn_like(x0)
    abar = prior.alphas_cumprod[t][:, None, None, None, None]
    velocity = abar.sqrt() * noise - (1 - abar).sqrt() * x0
    prior.unet.forward = lambda *_: velocity  # type: ignore[method-assign]
    x_t = prior.schedule.add_noise(x0, noise, t)
    torch.testing.assert_close(prior.predict_noise(x_t, t, None), noise, rtol=1e-3, atol=1e-4)
    assert prior.denoising_loss(x0, conditions(4), t, noise).max() < 1e-10


def test_background_grasps_train_no_text(prior: GridPrior) -> None:
    count = 4000
    text, generic = torch.full((count, 1, 6), 1.0), torch.full((count, 1, 6), 2.0)
    recorded = torch.arange(count) % 2 == 0
    torch.manual_seed(0)
    cond = prior.drop_text(text, generic, recorded)[:, 0]
    null = (cond == prior.null_text).all(dim=1)
    assert null[~recorded].all()
    assert abs(null[recorded].float().mean() - prior.null_probability) < 0.03
    assert abs((cond[recorded] == 2).all(dim=1).float().mean() - prior.generic_text_probability) < 0.03
    assert ((cond == 1).all(dim=1) | (cond == 2).all(dim=1) | null).all()


def test_the_codebook_does_not_move_in_training(prior: GridPrior) -> None:
    assert prior.train().unet.training
    assert not any(module.training for module in prior.vqvae.modules())


def test_score_distillation_and_ranking_take_it(prior: GridPrior) -> None:
    state = states(2)
    joints = state.joints_hand.clone().requires_grad_()
    output = sds_loss(prior, replace(state, joints_hand=joints), conditions(2), guidance_scale=4.0)
    output.loss.backward()
    assert output.x0_hat.shape == (2, *prior.shape) and joints.grad is not None and joints.grad.any()
    assert score(prior, state, conditions(2), timesteps=2, contrast=1.0).shape == (2,)


def test_reduced_precision_stays_in_the_networks(prior: GridPrior) -> None:
    state, (x, t) = states(2), noisy(prior, 2)
    exact = prior.encode(state), prior.predict_noise(x, t, None)
    prior.compute_dtype = torch.bfloat16
    rough = prior.encode(state), prior.predict_noise(x, t, None)
    assert rough[0].dtype == rough[1].dtype == torch.float32
    assert torch.equal(rough[0][:, prior.hand_channels], exact[0][:, prior.hand_channels])
    for a, b in zip(rough, exact, strict=True):
        assert not torch.equal(a, b)
        assert (a - b).norm() < 0.05 * b.norm()


def test_the_file_gives_the_same_prior(prior: GridPrior, tmp_path: Path) -> None:
    path = tmp_path / "grid.safetensors"
    prior.save_safetensors(path)
    again = load_safetensors(path)
    assert isinstance(again, GridPrior) and again.config() == prior.config()
    assert again.spec == prior.spec and again.text_encoder_name == "stub"
    assert torch.equal(again.alphas_cumprod, prior.alphas_cumprod)
    (x, t), state = noisy(prior, 2), states(2)
    for a, b in (
        (again.encode(state), prior.encode(state)),
        (again.predict_noise(x, t, conditions(2)), prior.predict_noise(x, t, conditions(2))),
    ):
        assert (a - b).norm() < 0.01 * b.norm()  # the file is in half precision


def test_a_vqvae_comes_from_its_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    vqvae = SdfVQVAE(**VQVAE)
    vqvae.save_safetensors(tmp_path / "vqvae.safetensors")
    prior = GridPrior(tmp_path / "vqvae.safetensors", **NETWORK)
    again = GridPrior(**prior.config())  # needs no file: the weights come with the prior's own
    again.load_state_dict(prior.state_dict())
    state = states(1)
    torch.testing.assert_close(again.encode(state), prior.encode(state))
