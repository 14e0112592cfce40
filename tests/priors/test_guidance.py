"""The laws of score distillation (hoprior/priors/guidance.py)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.priors.base import Prior, WeightedPrior, weighted_sum
from hoprior.priors.diffusion import NoiseSchedule, guided_noise
from hoprior.priors.guidance import WEIGHTS, SDSGuidance, guidance_loss, score, sds_loss
from hoprior.priors.protocols import EnergyPrior

SHAPES = [(7,), (3, 2, 4, 5)]
"""Of one element: a pose vector, and an interaction grid (5-D with its batch)."""


class StubPrior(Prior):
    """A denoiser that is a nonlinear function of everything it is told, and counts how often it is asked."""

    text_encoder_name = "stub"

    def __init__(self) -> None:
        self.schedule = NoiseSchedule()
        self.alphas_cumprod = self.schedule.alphas_cumprod
        self.calls = 0

    def encode(self, state: Tensor) -> Tensor:
        return 2.0 * state

    def predict_noise(self, x_t: Tensor, t: Int[Tensor, " b"], cond: Tensor | None) -> Tensor:
        self.calls += 1
        ones = [1] * (x_t.ndim - 1)
        told = 0.3 if cond is None else cond.mean(dim=(1, 2)).reshape(-1, *ones)
        return torch.sin(x_t) + told + t.reshape(-1, *ones) / 1000


class GaussianPrior(Prior):
    """The perfect denoiser of N(mean, std^2): analytic, so that what score distillation must do is known."""

    text_encoder_name = "stub"

    def __init__(self, mean: Tensor, std: float) -> None:
        self.mean, self.std = mean, std
        self.alphas_cumprod = NoiseSchedule().alphas_cumprod

    def encode(self, state: Tensor) -> Tensor:
        return state

    def predict_noise(self, x_t: Tensor, t: Int[Tensor, " b"], cond: Tensor | None) -> Tensor:
        abar = self.alphas_cumprod[t].reshape(-1, *[1] * (x_t.ndim - 1))
        return (1 - abar).sqrt() * (x_t - abar.sqrt() * self.mean) / (abar * self.std**2 + 1 - abar)


class QuadraticEnergy(Prior):
    """Half the squared distance to a point; deaf to text, and says so when told."""

    def __init__(self, centre: float) -> None:
        self.centre = centre

    def energy(self, state: Tensor, cond: Tensor | None) -> Float[Tensor, " b"]:
        assert cond is None
        return 0.5 * (state - self.centre).flatten(1).square().sum(dim=1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def states(count: int, shape: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn((count, *shape), generator=generator(seed)).requires_grad_()


def conditions(count: int, seed: int = 2) -> Tensor:
    return torch.randn(count, 2, 6, generator=generator(seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weight", [*WEIGHTS, lambda abar: 3 * abar])
def test_gradient_is_w_times_difference_of_noises_over_b(shape: tuple[int, ...], weight: Any) -> None:
    prior, state, cond = StubPrior(), states(4, shape), conditions(4)
    out = sds_loss(prior, state, cond, guidance_scale=4.0, weight=weight, generator=generator())
    out.loss.backward()

    # The noise is not returned, but x0_hat and the stub's formula determine it: x_t = (x0_hat signal + eps_hat sigma).
    x = prior.encode(state.detach())
    abar = prior.alphas_cumprod[out.t].reshape(-1, *[1] * len(shape))
    w = (weight if callable(weight) else WEIGHTS[weight])(abar)
    difference = (abar / (1 - abar)).sqrt() * (x - out.x0_hat)  # = eps_hat - eps, design.md
    assert state.grad is not None
    torch.testing.assert_close(state.grad, 2.0 * w * difference / 4, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.grad_norm, (w * difference).flatten(1).norm(dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.loss_each, 0.5 * out.grad_norm.square())
    torch.testing.assert_close(out.loss, out.loss_each.mean())


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_against_noise_drawn_again(shape: tuple[int, ...]) -> None:
    """The same law with the noise itself, captured on its way into the denoiser."""
    seen: list[Tensor] = []

    class Spy(StubPrior):
        def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            seen.append(x_t)
            return super().predict_noise(x_t, t, cond)

    prior, state = Spy(), states(3, shape)
    out = sds_loss(prior, state, weight="sds", generator=generator())
    out.loss.backward()
    x = prior.encode(state.detach())
    noise = prior.schedule.noise_from_x0(seen[0], x, out.t)
    noise_hat = StubPrior.predict_noise(prior, seen[0], out.t, None)
    abar = prior.alphas_cumprod[out.t].reshape(-1, *[1] * len(shape))
    expected = 2.0 * (abar * (1 - abar)).sqrt() * (noise_hat - noise) / 3
    assert state.grad is not None
    torch.testing.assert_close(state.grad, expected, rtol=1e-3, atol=1e-5)
    assert abs(float(noise.mean())) < 0.5 and 0.5 < float(noise.std()) < 1.5  # it is unit normal noise that was added


def test_weight_x0_is_the_form_of_eq_2() -> None:
    state = states(5, (6,))
    out = sds_loss(GaussianPrior(torch.zeros(6), 1.0), state, weight="x0", generator=generator())
    out.loss_each.sum().backward()
    torch.testing.assert_close(state.grad, (state - out.x0_hat).detach(), rtol=1e-4, atol=1e-5)


def test_mean_gradient_vanishes_at_the_mode_only() -> None:
    mean = torch.linspace(-1, 1, 6)
    prior = GaussianPrior(mean, 0.5)

    def mean_gradient(at: Tensor) -> Tensor:
        state = at.repeat(20_000, 1).requires_grad_()
        sds_loss(prior, state, generator=generator()).loss.backward()
        assert state.grad is not None
        return state.grad.sum(dim=0)

    assert float(mean_gradient(mean).abs().max()) < 0.01
    away = mean_gradient(mean + 0.5)
    assert float(away.min()) > 0.05  # it points back, in every coordinate


def test_descent_moves_states_to_the_mean_of_a_gaussian() -> None:
    mean = torch.tensor([0.5, -1.0, 2.0])
    prior = GaussianPrior(mean, 0.3)
    state = (5 * torch.randn(8, 3, generator=generator(3))).requires_grad_()
    optimiser = torch.optim.Adam([state], lr=0.05)
    guidance = SDSGuidance(prior, steps=600, t_range=(0.1, 0.6), t_range_end=(0.05, 0.2))
    for _ in range(600):
        optimiser.zero_grad()
        guidance(state).sum().backward()
        optimiser.step()
    assert float((state.detach() - mean).abs().mean()) < 0.15


def test_same_generator_same_output_and_another_differs() -> None:
    prior, state = StubPrior(), states(4, (7,))
    first, again, other = (sds_loss(prior, state, generator=generator(seed)) for seed in (5, 5, 6))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.loss_each, other.loss_each)


@settings(max_examples=25, deadline=None)
@given(small=st.integers(1, 4), more=st.integers(1, 4), shape=st.sampled_from([(3,), (17,), (2, 3, 3, 3)]))
def test_an_element_does_not_depend_on_its_batch(small: int, more: int, shape: tuple[int, ...]) -> None:
    """Over two steps, since what the first step draws moves the generator that the second draws from."""
    prior = weighted_sum([(1.0, StubPrior()), (0.5, StubPrior())])
    state, cond = states(small + more, shape).detach(), conditions(small + more)
    changed = state.clone()
    changed[small:] += 10.0
    results = []
    for x, c in [(state[:small], cond[:small]), (state, cond), (changed, cond)]:
        stream = generator(7)
        results.append([guidance_loss(prior, x, c, generator=stream)[:small] for _ in range(2)])
        results[-1].append(score(prior, x, c, 3, 2, stream, contrast=0.5, batch_size=4)[:small])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(results[0][0], results[0][1])  # and the second step draws anew


def test_elements_draw_differently_from_each_other() -> None:
    out = sds_loss(StubPrior(), torch.zeros(64, 5), generator=generator())
    assert len(out.t.unique()) > 20
    assert len(out.grad_norm.unique()) == 64


def test_guidance_scale_1_is_no_guidance_and_costs_one_forward() -> None:
    prior, state, cond = StubPrior(), states(3, (7,)), conditions(3)
    plain = sds_loss(prior, state, cond, guidance_scale=1.0, generator=generator())
    assert prior.calls == 1
    guided = sds_loss(prior, state, cond, guidance_scale=1.0 + 1e-6, generator=generator())
    assert prior.calls == 3
    torch.testing.assert_close(plain.loss_each, guided.loss_each, rtol=1e-4, atol=1e-5)
    stronger = sds_loss(prior, state, cond, guidance_scale=4.0, generator=generator())
    assert not torch.allclose(plain.loss_each, stronger.loss_each)


def test_guided_noise_extrapolates_and_a_fused_forward_is_used() -> None:
    prior, cond = StubPrior(), conditions(3)
    x_t, t = torch.randn(3, 7), torch.tensor([1, 50, 900])
    null, told = prior.predict_noise(x_t, t, None), prior.predict_noise(x_t, t, cond)
    torch.testing.assert_close(guided_noise(prior, x_t, t, cond, 3.0), 3 * told - 2 * null)
    torch.testing.assert_close(guided_noise(prior, x_t, t, cond, 0.0), null)
    assert torch.equal(guided_noise(prior, x_t, t, None, 3.0), null)

    class Fused(StubPrior):
        def predict_noise_guided(self, x_t: Tensor, t: Tensor, cond: Tensor, guidance_scale: float) -> Tensor:
            return torch.full_like(x_t, guidance_scale)

    assert torch.equal(guided_noise(Fused(), x_t, t, cond, 3.0), torch.full_like(x_t, 3.0))


@settings(max_examples=30, deadline=None)
@given(low=st.floats(0, 1), width=st.floats(0, 1))
def test_timesteps_stay_in_their_range(low: float, width: float) -> None:
    high = min(low + width, 1.0)
    t = sds_loss(StubPrior(), torch.zeros(32, 2), t_range=(low, high), generator=generator()).t
    assert int(t.min()) >= min(int(low * 1000), 999)
    assert int(t.max()) <= max(round(high * 1000) - 1, min(int(low * 1000), 999))


def test_given_timesteps_are_used() -> None:
    t = torch.tensor([3, 500, 999])
    assert torch.equal(sds_loss(StubPrior(), torch.zeros(3, 2), t=t, generator=generator()).t, t)


def test_no_gradient_flows_through_the_denoiser() -> None:
    """Score distillation leaves the denoiser's Jacobian out (Poole et al. 2023, Eq. 3)."""

    class Trainable(StubPrior):
        scale = torch.nn.Parameter(torch.ones(()))

        def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            return self.scale * super().predict_noise(x_t, t, cond)

    prior = Trainable()
    sds_loss(prior, states(2, (3,)), generator=generator()).loss.backward()
    assert prior.scale.grad is None


def test_score_is_the_mean_denoising_error_with_common_noise() -> None:
    """Against Eq. 3 written out; equal states must score equally, whatever their places and the chunking."""
    seen: list[tuple[Tensor, Tensor]] = []

    class Spy(StubPrior):
        def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            seen.append((x_t, t))
            return super().predict_noise(x_t, t, cond)

    prior = Spy()
    state = states(3, (2, 3, 3, 3)).detach()
    state[2] = state[0]
    t = torch.tensor([100, 400, 700])
    result = score(prior, state, None, t, 2, generator(), weight="one")
    assert result[0] == result[2] != result[1]
    [(x_t, t_seen)] = seen
    noise = prior.schedule.noise_from_x0(x_t, prior.encode(state).repeat_interleave(6, dim=0), t_seen)
    error = (StubPrior.predict_noise(prior, x_t, t_seen, None) - noise).flatten(1).square().mean(dim=1)
    torch.testing.assert_close(result, -error.reshape(3, 6).mean(dim=1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_score_bounds_its_batches_and_they_change_nothing(batch_size: int) -> None:
    sizes: list[int] = []

    class Spy(StubPrior):
        def predict_noise(self, x_t: Tensor, t: Tensor, cond: Tensor | None) -> Tensor:
            sizes.append(len(x_t))
            return super().predict_noise(x_t, t, cond)

    state, cond = states(4, (7,)), conditions(4)
    whole = score(StubPrior(), state, cond, 5, 2, generator(), contrast=1.0, batch_size=1000)
    pieces = score(Spy(), state, cond, 5, 2, generator(), contrast=1.0, batch_size=batch_size)
    assert max(sizes) <= batch_size
    assert sum(sizes) == 4 * 5 * 2 * 2
    torch.testing.assert_close(whole, pieces, rtol=1e-4, atol=1e-6)
    assert not whole.requires_grad


def test_score_ranks_by_likelihood() -> None:
    state = torch.linspace(0, 3, 7)[:, None].expand(-1, 5)
    result = score(GaussianPrior(torch.zeros(5), 0.5), state, None, 8, 1, generator())
    assert torch.equal(result.argsort(descending=True), torch.arange(7))


def test_contrast_subtracts_the_error_without_the_condition() -> None:
    prior, state, cond = StubPrior(), states(4, (7,)), conditions(4)
    told, null, half = (
        score(prior, state, c, 4, 1, generator(), contrast=contrast)
        for c, contrast in ((cond, 0.0), (None, 1.0), (cond, 0.5))
    )
    torch.testing.assert_close(half, told - 0.5 * null)
    torch.testing.assert_close(null, score(prior, state, None, 4, 1, generator()))  # nothing to contrast with


def test_energies_guide_and_rank_as_they_are() -> None:
    prior, state = QuadraticEnergy(1.0), states(4, (2, 3))
    loss = guidance_loss(prior, state)
    torch.testing.assert_close(loss, prior.energy(state, None))
    loss.sum().backward()
    torch.testing.assert_close(state.grad, state.detach() - 1.0)
    torch.testing.assert_close(score(prior, state), -loss.detach())


def test_weighted_sums_of_priors_are_priors() -> None:
    denoiser, energy = StubPrior(), QuadraticEnergy(-1.0)
    state, cond = states(4, (5,)), conditions(4)
    both = weighted_sum([(2.0, denoiser), (0.5, energy)])
    assert both.text_encoder_name == "stub"

    def of(terms: list[tuple[float, Any]], function: Callable[..., Tensor], **options: Any) -> Tensor:
        return function(WeightedPrior(terms), state, cond, generator=generator(), **options)

    for function in (guidance_loss, score):
        alone = of([(1.0, denoiser), (0.0, energy)], function), of([(0.0, denoiser), (1.0, energy)], function)
        torch.testing.assert_close(of(both.terms, function), 2.0 * alone[0] + 0.5 * alone[1])
    nested = weighted_sum([(2.0, both), (1.0, energy)])
    torch.testing.assert_close(of([(2.0, both)], score).shape, torch.Size([4]))
    assert guidance_loss(nested, state, cond, generator=generator()).shape == (4,)
    gradient = torch.autograd.grad(of([(0.5, energy)], guidance_loss).sum(), state)[0]
    torch.testing.assert_close(gradient, 0.5 * (state.detach() + 1.0))


class BareEnergy:
    """What the protocol `EnergyPrior` asks for, and nothing else; remembers of how many states it was asked at once."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def energy(self, state: Any, cond: Any, /) -> Float[Tensor, " b"]:
        self.asked.append(len(state))
        return (1.0 if cond is None else 2.0) * state.flatten(1).sum(dim=1)


def test_a_prior_needs_no_base_class() -> None:
    prior, state = BareEnergy(), states(4, (3,))
    assert isinstance(prior, EnergyPrior)
    alone = weighted_sum([(2.0, prior)])
    assert alone.text_encoder_name is None
    torch.testing.assert_close(guidance_loss(alone, state, conditions(4)), 2.0 * state.sum(dim=1))
    mixed = weighted_sum([(1.0, prior), (0.0, StubPrior())])
    assert mixed.text_encoder_name == "stub"
    torch.testing.assert_close(score(mixed, state, conditions(4), generator=generator()), -state.detach().sum(dim=1))


def test_energies_are_asked_in_pieces() -> None:
    prior, state = BareEnergy(), states(10, (3,)).detach()
    found = score(prior, state, conditions(10), batch_size=4)
    assert prior.asked == [4, 4, 2]
    torch.testing.assert_close(found, -2.0 * state.sum(dim=1))
    score(weighted_sum([(1.0, prior)]), state, batch_size=10)
    assert prior.asked == [4, 4, 2, 10]


def test_states_that_cannot_be_taken_apart_stay_together() -> None:
    class Pair(NamedTuple):
        first: Tensor
        second: Tensor

    class OfPairs:
        def energy(self, state: Pair, cond: object, /) -> Tensor:
            return state.first + state.second

    found = score(OfPairs(), Pair(torch.ones(5), torch.ones(5)), batch_size=2)
    assert torch.equal(found, torch.full((5,), -2.0))


@pytest.mark.parametrize("prior", [StubPrior(), QuadraticEnergy(1.0), BareEnergy(), weighted_sum([(1.0, StubPrior())])])
def test_no_states_have_no_scores(prior: Any) -> None:
    assert score(prior, torch.zeros(0, 3)).shape == (0,)


def test_weighted_sums_refuse_what_cannot_be_summed() -> None:
    other = StubPrior()
    other.text_encoder_name = "another"
    with pytest.raises(HopriorError, match="StubPrior hears 'stub' and StubPrior hears 'another'"):
        weighted_sum([(1.0, StubPrior()), (1.0, other)])
    with pytest.raises(HopriorError, match="no terms"):
        weighted_sum([])


def test_annealing_goes_from_one_range_to_the_other() -> None:
    guidance = SDSGuidance(StubPrior(), steps=3, t_range=(0.5, 0.9), t_range_end=(0.1, 0.3))
    ranges = []
    for _ in range(4):
        ranges.append(guidance.t_range)
        guidance(torch.zeros(1, 2))
    assert ranges == [pytest.approx(r) for r in [(0.5, 0.9), (0.3, 0.6), (0.1, 0.3), (0.1, 0.3)]]


@pytest.mark.parametrize("t_range", [(0.8, 0.2), (-0.1, 0.5), (0.5, 1.1)])
def test_impossible_ranges_are_refused(t_range: tuple[float, float]) -> None:
    with pytest.raises(HopriorError, match="t_range"):
        sds_loss(StubPrior(), torch.zeros(1, 2), t_range=t_range)


def test_unknown_weights_are_refused() -> None:
    with pytest.raises((HopriorError, TypeError), match=r"sds.{1,4}x0.{1,4}one"):  # TypeError under runtime type checks
        sds_loss(StubPrior(), torch.zeros(1, 2), weight="nonesuch")  # type: ignore[arg-type]


def test_a_class_that_is_no_prior_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="needs `energy`"):

        class Neither(Prior):
            def encode(self, state: Tensor) -> Tensor:
                return state
