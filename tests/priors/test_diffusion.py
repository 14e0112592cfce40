"""Noise schedules against diffusers', and the laws of sampling (hoprior/priors/diffusion.py)."""

import json
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.priors.diffusion import NoiseSchedule, ddim_sample
from hoprior.priors.streams import randn_each, spawn

DIFFUSERS_NAMES = {"scaled_linear": "scaled_linear", "linear": "linear", "cosine": "squaredcos_cap_v2"}


class GaussianPrior:
    """The perfect denoiser of N(mean, diag(std^2)); told a condition, its mean moves by the condition."""

    def __init__(self, mean: Tensor, std: Tensor, timesteps: int = 1000) -> None:
        self.mean, self.std = mean, std
        self.alphas_cumprod = NoiseSchedule(timesteps=timesteps).alphas_cumprod

    def encode(self, state: Tensor) -> Tensor:
        return state

    def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
        abar = self.alphas_cumprod[t].reshape(-1, *[1] * (x_t.ndim - 1))
        mean = self.mean if cond is None else self.mean + cond.mean(dim=1)
        return (1 - abar).sqrt() * (x_t - abar.sqrt() * mean) / (abar * self.std**2 + 1 - abar)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", DIFFUSERS_NAMES)
@pytest.mark.parametrize("timesteps, betas", [(1000, (0.0015, 0.0195)), (100, (1e-4, 0.02))])
def test_schedules_agree_with_diffusers(name: Any, timesteps: int, betas: tuple[float, float]) -> None:
    ours = NoiseSchedule(name, timesteps, *betas)
    theirs = DDPMScheduler(timesteps, *betas, beta_schedule=DIFFUSERS_NAMES[name])
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, rtol=2e-4, atol=1e-7)
    assert bool((ours.alphas_cumprod.diff() < 0).all()) and len(ours) == timesteps


def test_the_default_is_g_hops() -> None:
    betas = torch.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(NoiseSchedule().alphas_cumprod, (1 - betas).cumprod(0).float())


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(list(DIFFUSERS_NAMES)),
    shape=st.sampled_from([(5,), (2, 3, 3, 3)]),
    seed=st.integers(0, 1000),
    fractions=st.lists(st.floats(0, 0.95), min_size=1, max_size=4),
)
def test_noising_is_inverted_in_both_arguments_and_agrees_with_diffusers(
    name: Any, shape: tuple[int, ...], seed: int, fractions: list[float]
) -> None:
    schedule = NoiseSchedule(name)
    t = torch.tensor([int(1000 * fraction) for fraction in fractions])
    x0, noise = torch.randn((2, len(t), *shape), generator=generator(seed))
    x_t = schedule.add_noise(x0, noise, t)
    theirs = DDPMScheduler(1000, 0.0015, 0.0195, beta_schedule=DIFFUSERS_NAMES[name])
    torch.testing.assert_close(x_t, theirs.add_noise(x0, noise, t), rtol=1e-3, atol=1e-3)  # type: ignore[arg-type]
    torch.testing.assert_close(schedule.x0_from_noise(x_t, noise, t), x0, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(schedule.noise_from_x0(x_t, x0, t), noise, rtol=1e-3, atol=1e-3)


def test_a_schedule_is_made_again_from_its_config() -> None:
    schedule = NoiseSchedule("linear", 50, 1e-3, 0.1)
    again = NoiseSchedule(**json.loads(json.dumps(schedule.config())))
    assert torch.equal(schedule.alphas_cumprod, again.alphas_cumprod)
    assert schedule.state_dict() == {}  # nothing to be rounded by half-precision weights


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("nonesuch",), r"scaled_linear.{1,4}linear.{1,4}cosine"),
        (("linear", 0), "0 timesteps"),
        (("linear", 9, 0.5, 0.1), "bet"),
    ],
)
def test_impossible_schedules_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises((HopriorError, TypeError), match=message):  # TypeError under runtime type checks
        NoiseSchedule(*arguments)


def test_samples_have_the_distribution() -> None:
    mean, std = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([0.5, 0.3, 2.0])
    x = ddim_sample(GaussianPrior(mean, std), (4000, 3), steps=200, generator=generator())
    torch.testing.assert_close(x.mean(dim=0), mean, rtol=0.05, atol=0.1)
    torch.testing.assert_close(x.std(dim=0), std, rtol=0.06, atol=0.02)


def test_sampling_agrees_with_diffusers_own_loop() -> None:
    prior = GaussianPrior(torch.ones(3), torch.full((3,), 0.5))
    scheduler = DDIMScheduler(1000, 0.0015, 0.0195, "scaled_linear", clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    start = randn_each(spawn(generator(4), torch.device("cpu")), (6, 3))
    x = start
    for t in scheduler.timesteps:
        x = scheduler.step(prior.predict_noise(x, t.expand(6), None), int(t), x).prev_sample
    ours = ddim_sample(prior, (6, 3), steps=20, generator=generator(4))
    torch.testing.assert_close(ours, x, rtol=1e-3, atol=1e-4)


def test_conditions_and_guidance_reach_the_samples() -> None:
    prior = GaussianPrior(torch.zeros(2), torch.full((2,), 0.05))
    cond = torch.tensor([[[1.0, -1.0]], [[3.0, 0.0]]])
    plain = ddim_sample(prior, (2, 2), cond, steps=50, generator=generator())
    torch.testing.assert_close(plain, cond[:, 0], atol=0.3, rtol=0)
    guided = ddim_sample(prior, (2, 2), cond, steps=50, guidance_scale=2.0, generator=generator())
    torch.testing.assert_close(guided, 2 * cond[:, 0], atol=0.3, rtol=0)


def test_known_entries_are_held_and_the_rest_fits_them() -> None:
    """Two perfectly correlated channels: given one, the other must follow it."""

    class Correlated:
        """The perfect denoiser of (a, a), a ~ N(0, 1)."""

        alphas_cumprod = NoiseSchedule().alphas_cumprod

        def encode(self, state: Tensor) -> Tensor:
            return state

        def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            abar = self.alphas_cumprod[t][:, None, None]
            together = x_t.sum(dim=1, keepdim=True) * abar.sqrt() / (1 + abar)  # E[a | x_t]
            return (x_t - abar.sqrt() * together) / (1 - abar).sqrt()

    mask = torch.tensor([True, False]).reshape(1, 2, 1)
    known = torch.linspace(-2, 2, 64).reshape(64, 1, 1).expand(64, 2, 1)
    x = ddim_sample(Correlated(), (64, 2, 1), steps=100, generator=generator(), known=(mask, known))
    assert torch.equal(x[:, 0], known[:, 0])
    correlation = torch.corrcoef(x[:, :, 0].T)[0, 1]
    assert float(correlation) > 0.9
    free = ddim_sample(Correlated(), (64, 2, 1), steps=100, generator=generator())
    assert float(torch.corrcoef(torch.stack([free[:, 1, 0], known[:, 0, 0]]))[0, 1].abs()) < 0.5


def test_a_start_is_kept_the_better_the_lower_the_noise() -> None:
    prior = GaussianPrior(torch.zeros(4), torch.ones(4))
    x_init = torch.full((16, 4), 3.0)
    drift = [
        float(
            (ddim_sample(prior, (16, 4), steps=50, generator=generator(), x_init=x_init, t_start=s) - x_init)
            .abs()
            .mean()
        )
        for s in (0.02, 0.3, 1.0)
    ]
    assert drift[0] < 0.5 < drift[1] < drift[2]


def test_samples_do_not_depend_on_their_batch_and_repeat_with_the_seed() -> None:
    prior = GaussianPrior(torch.zeros(5), torch.ones(5))
    small, large = (ddim_sample(prior, (n, 5), steps=10, generator=generator(3)) for n in (2, 5))
    torch.testing.assert_close(small, large[:2])
    assert not torch.allclose(large, ddim_sample(prior, (5, 5), steps=10, generator=generator(4)))


@pytest.mark.parametrize("options", [{"steps": 30}, {"steps": 0}, {"t_start": 0.0}, {"t_start": 1.5}])
def test_impossible_samplings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(HopriorError, match="DDIM"):
        ddim_sample(GaussianPrior(torch.zeros(2), torch.ones(2)), (1, 2), **options)


def test_a_stream_takes_one_number_from_its_generator_whatever_is_drawn() -> None:
    first, second = generator(), generator()
    randn_each(spawn(first, torch.device("cpu")), (3, 1000))
    spawn(second, torch.device("cpu"))
    assert torch.equal(torch.randn(4, generator=first), torch.randn(4, generator=second))
    assert spawn(first, torch.device("cpu")).initial_seed() != spawn(first, torch.device("cpu")).initial_seed()


@pytest.mark.parametrize("steps", [2, 5, 10])
def test_few_ancestral_steps_from_no_signal_at_all_are_finite(steps: int) -> None:
    """The cosine schedule ends at a signal of 5e-5: what is left of the old noise is nothing, and no less."""

    class Zero:
        alphas_cumprod = NoiseSchedule("cosine").alphas_cumprod

        def encode(self, state: Tensor) -> Tensor:
            return state

        def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            return x_t / (1 - self.alphas_cumprod[t][:, None]).sqrt()  # of the clean x0 = 0

    drawn = ddim_sample(Zero(), (3, 4), steps=steps, eta=1.0, generator=torch.Generator().manual_seed(0))
    assert drawn.isfinite().all() and drawn.abs().max() < 1e-3
