"""Score distillation, written once: priors guide and rank states through these functions, whatever their kind.

A prior is either a denoiser (`ScorePrior`), whose score distillation loss guides a state and whose denoising error
ranks it, or an energy (`EnergyPrior`), which is differentiated and compared as it is. `guidance_loss` and `score` take
both, and a `WeightedPrior` of several; tasks never ask which kind they hold.

Element i of a batch never depends on element j, nor on how many there are (hoprior/priors/diffusion.py says how).
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.priors.asking import chunks, count_of, denoiser, energies, is_energy, noise_of, numbers, pieces, sum_terms
from hoprior.priors.base import WeightedPrior, all_repeat
from hoprior.priors.diffusion import add_noise, guided_noise, x0_from_noise
from hoprior.priors.protocols import AnyPrior, ScorePrior
from hoprior.priors.streams import randn_each, spawn

WeightFunction: TypeAlias = Callable[[Float[Tensor, " b"]], Float[Tensor, " b"]]
WeightName: TypeAlias = Literal["sds", "x0", "one"]

WEIGHTS: dict[str, WeightFunction] = {
    "sds": lambda abar: (abar * (1.0 - abar)).sqrt(),
    "x0": lambda abar: ((1.0 - abar) / abar).sqrt(),
    "one": torch.ones_like,
}
"""w(t) as a function of abar_t, multiplying `eps_hat - eps`.

`sds`: what G-HOP's code uses. `x0`: the gradient is `x - x0_hat`, G-HOP's Eq. 2 with w_i = 1, because
`eps_hat - eps = sqrt(abar / (1 - abar)) (x - x0_hat)`. `one`: the bare difference of the noises.
"""


class SDSOutput(NamedTuple):
    """What score distillation says of b states; `sds_loss` has an example."""

    loss: Float[Tensor, ""]
    """Mean of `loss_each`; its gradient in x is `w(t) (eps_hat - eps) / b`."""
    loss_each: Float[Tensor, " b"]
    """Half the squared norm of each element's gradient, `w(t) (eps_hat - eps)`."""
    t: Int[Tensor, " b"]
    """The noise levels that were drawn, steps of the prior's schedule."""
    x0_hat: Float[Tensor, "b *shape"]
    """The denoised states, in the prior's representation; detached."""
    grad_norm: Float[Tensor, " b"]
    """Norm of `w(t) (eps_hat - eps)`, for clipping and for logs; detached."""


def sds_loss(
    prior: ScorePrior,
    state: Any,
    cond: Float[Tensor, "b tokens dim"] | None = None,
    *,
    guidance_scale: float = 1.0,
    t_range: tuple[float, float] = (0.25, 0.75),
    t: Int[Tensor, " b"] | None = None,
    weight: WeightName | WeightFunction = "sds",
    generator: torch.Generator | None = None,
) -> SDSOutput:
    """Score distillation (Poole et al. 2023, Eq. 3; G-HOP Eq. 2) of b states; the caller clips, sums and steps.

    Args:
        prior: denoiser; only `encode`, `predict_noise` and `alphas_cumprod` are used.
        state: b states; the loss is differentiable in whatever `prior.encode` is differentiable in.
        cond: text features, or None for the unconditional prior.
        guidance_scale: of classifier-free guidance; 1 is none, and costs one forward of the denoiser instead of two.
        t_range: fractions of T between which each element's timestep is drawn, uniformly.
        t: timesteps to use instead.
        weight: w(t): a name of `WEIGHTS`, or a function of abar_t.
        generator: source of timesteps and noise; torch's default generator if None. A generator on the CPU gives the
            same draws on every device.

    Raises:
        HopriorError: unknown weight, an empty t_range, or a noise of another shape than the states have.

    Example:
        >>> class Standard:
        ...     alphas_cumprod = torch.linspace(0.99, 0.01, 100)
        ...     def encode(self, state):
        ...         return state
        ...     def predict_noise(self, x_t, t, cond):
        ...         return (1 - self.alphas_cumprod[t]).sqrt()[:, None] * x_t
        >>> said = sds_loss(Standard(), torch.ones(2, 3), t=torch.tensor([10, 90]))
        >>> said.loss_each.shape, said.t
        (torch.Size([2]), tensor([10, 90]))
    """
    x = prior.encode(state)
    alphas_cumprod = prior.alphas_cumprod
    stream = spawn(generator, x.device)
    low, high = _timestep_range(t_range, len(alphas_cumprod))
    with torch.no_grad():
        drawn, noise = _draw(stream, x, low, high)
        t = drawn if t is None else t
        x_t = add_noise(alphas_cumprod, x.detach(), noise, t)
        noise_hat = noise_of(prior, guided_noise(prior, x_t, t, cond, guidance_scale), x_t)
        w = _weight(weight)(alphas_cumprod[t]).reshape(-1, *[1] * (x.ndim - 1))
        grad = w * (noise_hat - noise)
        x0_hat = x0_from_noise(alphas_cumprod, x_t, noise_hat, t)
    grad_norm = grad.flatten(1).norm(dim=1)
    # The first term is zero and has the gradient; the second is the value of the half square that has it too.
    loss_each = (grad * (x - x.detach())).flatten(1).sum(dim=1) + 0.5 * grad_norm.square()
    return SDSOutput(loss_each.mean(), loss_each, t, x0_hat, grad_norm)


def guidance_loss(
    prior: AnyPrior | WeightedPrior,
    state: Any,
    cond: Float[Tensor, "b tokens dim"] | None = None,
    *,
    guidance_scale: float = 1.0,
    t_range: tuple[float, float] = (0.25, 0.75),
    weight: WeightName | WeightFunction = "sds",
    generator: torch.Generator | None = None,
) -> Float[Tensor, " b"]:
    """What to descend so that the prior likes each state better; sum it over the batch to optimise all at once.

    Denoisers give their score distillation loss (`SDSOutput.loss_each`), energies their energy (the arguments after
    `cond` do not concern them), weighted sums of priors the weighted sum.

    Args:
        prior: a denoiser, an energy or a weighted sum of them.
        state: hands at their objects, as `sds_loss` takes it.
        cond: the text's features (b, tokens, dim), as the prior's text encoder gives them; None for no text.
        guidance_scale: of classifier-free guidance; 1 is none.
        t_range: shares of the noise schedule between which noise levels are drawn.
        weight: of a noise level: a name in `WEIGHTS`, or a function.
        generator: of the noise.

    Raises:
        HopriorError: as `sds_loss`, or an energy that is not one number for each state.

    Example:
        >>> class Far:
        ...     def energy(self, state, cond=None):
        ...         return state.square().sum(dim=1)
        >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
        >>> guidance_loss(Far(), x).sum().backward()
        >>> x.grad
        tensor([[2., 4.]])
    """
    return _guidance_loss(prior, state, cond, guidance_scale, t_range, weight, generator, first=False)


def _guidance_loss(
    prior: AnyPrior | WeightedPrior,
    state: Any,
    cond: Float[Tensor, "b tokens dim"] | None,
    guidance_scale: float,
    t_range: tuple[float, float],
    weight: WeightName | WeightFunction,
    generator: torch.Generator | None,
    first: bool,
) -> Float[Tensor, " b"]:
    """`guidance_loss`; at the first of many calls it also looks whether each prior's numbers are numbers."""
    if isinstance(prior, WeightedPrior):
        streams = [spawn(generator, torch.device("cpu")) for _ in prior.terms]
        return sum_terms(
            factor
            * _guidance_loss(term, state, prior.cond_for(term, cond), guidance_scale, t_range, weight, stream, first)
            for (factor, term), stream in zip(prior.terms, streams, strict=True)
        )
    if is_energy(prior):
        loss = energies(prior, state, cond)
    else:
        loss = sds_loss(
            denoiser(prior),
            state,
            cond,
            guidance_scale=guidance_scale,
            t_range=t_range,
            weight=weight,
            generator=generator,
        ).loss_each
    return numbers(prior, loss) if first else loss


class SDSGuidance:
    """`guidance_loss` over an optimisation of a known number of steps: it anneals the timesteps and keeps a generator.

    Called once a step. Like the function, it takes priors of either kind and weighted sums.

    Args:
        prior: what guides.
        steps: of the whole optimisation.
        guidance_scale: of classifier-free guidance.
        t_range: fractions of T to draw timesteps from at the first step.
        t_range_end: and at the last; it moves linearly between the two. `t_range` throughout if None.
        weight: as in `sds_loss`.
        seed: of the timesteps and noises.

    Example:
        >>> class Far:
        ...     def energy(self, state, cond=None):
        ...         return state.square().sum(dim=1)
        >>> guidance = SDSGuidance(Far(), steps=2, t_range=(0.5, 1.0), t_range_end=(0.0, 0.5))
        >>> x = torch.ones(3, 2, requires_grad=True)
        >>> optimizer = torch.optim.SGD([x], lr=0.1)
        >>> for _ in range(guidance.steps):
        ...     optimizer.zero_grad()
        ...     guidance(x).sum().backward()
        ...     optimizer.step()
        >>> x[0].detach(), guidance.t_range
        (tensor([0.6400, 0.6400]), (0.0, 0.5))
    """

    def __init__(
        self,
        prior: AnyPrior | WeightedPrior,
        steps: int,
        *,
        guidance_scale: float = 1.0,
        t_range: tuple[float, float] = (0.25, 0.75),
        t_range_end: tuple[float, float] | None = None,
        weight: WeightName | WeightFunction = "sds",
        seed: int = 0,
    ) -> None:
        self.prior = prior
        self.steps = steps
        self.guidance_scale = guidance_scale
        self.t_range_ends = (t_range, t_range if t_range_end is None else t_range_end)
        self.weight = weight
        self.generator = torch.Generator().manual_seed(seed)
        self.step = 0

    @property
    def repeats(self) -> bool:
        """Whether nothing but the states changes from call to call: of energies that say so (`PriorInfo.repeats`)."""
        terms = self.prior.terms if isinstance(self.prior, WeightedPrior) else [(1.0, self.prior)]
        return all_repeat(terms)

    @property
    def t_range(self) -> tuple[float, float]:
        """The range of the coming step."""
        progress = min(self.step / max(self.steps - 1, 1), 1.0)
        (low, high), (low_end, high_end) = self.t_range_ends
        return low + progress * (low_end - low), high + progress * (high_end - high)

    def __call__(self, state: Any, cond: Float[Tensor, "b tokens dim"] | None = None) -> Float[Tensor, " b"]:
        """The guidance loss of each state at this step.

        Raises:
            HopriorError: as `guidance_loss`, or, at the first step, a loss that is not a number.
        """
        loss = _guidance_loss(
            self.prior,
            state,
            cond,
            self.guidance_scale,
            self.t_range,
            self.weight,
            self.generator,
            first=self.step == 0,
        )
        self.step += 1
        return loss


@torch.no_grad()
def score(
    prior: AnyPrior | WeightedPrior,
    state: Any,
    cond: Float[Tensor, "b tokens dim"] | None = None,
    timesteps: int | Int[Tensor, " k"] = 8,
    samples: int = 1,
    generator: torch.Generator | None = None,
    *,
    t_range: tuple[float, float] = (0.25, 0.75),
    weight: WeightName | WeightFunction = "sds",
    contrast: float = 0.0,
    batch_size: int = 64,
) -> Float[Tensor, " b"]:
    """How much the prior likes each state, higher is better; for ranking (G-HOP Eq. 3).

    Of a denoiser, the negative error `|w(t) (eps_hat - eps)|^2`, averaged over timesteps, noises and the dimensions of
    x. Every state gets the same timesteps and the same noise (common random numbers), so that their differences are
    the states' own. Of an energy, its negative; of the arguments after `cond` only `batch_size` concerns it.

    Args:
        prior: a denoiser, an energy, or a weighted sum.
        state: b states.
        cond: text features, or None for the unconditional prior.
        timesteps: the timesteps themselves, or how many to spread evenly over `t_range`.
        samples: noises at each timestep.
        generator: source of the noise; torch's default generator if None.
        t_range: fractions of T.
        weight: as in `sds_loss`; with `x0` the error is `|x - x0_hat|^2`, Eq. 3 with w_i = 1.
        contrast: times the same error under the null condition is subtracted from the error. At 1 the score is a
            log-likelihood ratio, in which it cancels how hard an object is to denoise with any grasp. Without a
            condition, and for energies, it does nothing.
        batch_size: most elements in one forward of the denoiser, and most states that an energy is asked of at once;
            it bounds memory and changes nothing else. States that cannot be indexed by a slice stay together.

    Raises:
        HopriorError: unknown weight, an empty t_range, or a prior whose numbers are none, or not one for each state.

    Example:
        >>> class Far:
        ...     def energy(self, state, cond=None):
        ...         return state.square().sum(dim=1)
        >>> score(Far(), torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        tensor([-5., -1.])
    """
    if count_of(state) == 0:
        return torch.zeros(0, device=getattr(state, "device", None))
    if isinstance(prior, WeightedPrior):
        streams = [spawn(generator, torch.device("cpu")) for _ in prior.terms]
        return sum_terms(
            factor
            * score(
                term,
                state,
                prior.cond_for(term, cond),
                timesteps,
                samples,
                stream,
                t_range=t_range,
                weight=weight,
                contrast=contrast,
                batch_size=batch_size,
            )
            for (factor, term), stream in zip(prior.terms, streams, strict=True)
        )
    if is_energy(prior):
        return torch.cat([-numbers(prior, energies(prior, *piece)) for piece in pieces(state, cond, batch_size)])
    prior = denoiser(prior)
    x = prior.encode(state)
    stream = spawn(generator, x.device)
    if isinstance(timesteps, int):
        low, high = _timestep_range(t_range, len(prior.alphas_cumprod))
        timesteps = torch.linspace(low, high - 1, timesteps, device=x.device).round().long()
    t = timesteps.to(x.device).repeat_interleave(samples)
    total = torch.zeros(len(x), device=x.device)
    for t_chunk in t.split(max(1, batch_size // len(x))):
        noise = randn_each(stream, (len(t_chunk), *x.shape[1:])).to(x)
        errors = [
            _denoising_error(prior, x_chunk, t_chunk, noise, cond_chunk, _weight(weight), contrast)
            for x_chunk, cond_chunk in chunks(x, cond, batch_size)
        ]
        total += torch.cat(errors)
    return numbers(prior, -total / len(t))


def _denoising_error(
    prior: ScorePrior,
    x: Float[Tensor, "b *shape"],
    t: Int[Tensor, " k"],
    noise: Float[Tensor, "k *shape"],
    cond: Float[Tensor, "b tokens dim"] | None,
    weight: WeightFunction,
    contrast: float,
) -> Float[Tensor, " b"]:
    """The weighted denoising error of each of b states, summed over k timesteps with their noises, in one forward."""
    b, k = len(x), len(t)
    t_all, noise_all = t.repeat(b), noise.repeat(b, *[1] * (x.ndim - 1))
    cond_all = None if cond is None else cond.repeat_interleave(k, dim=0)
    x_t = add_noise(prior.alphas_cumprod, x.repeat_interleave(k, dim=0), noise_all, t_all)
    w_squared = weight(prior.alphas_cumprod[t_all]).square()

    def error(condition: Float[Tensor, "bk tokens dim"] | None) -> Float[Tensor, " b"]:
        difference = noise_of(prior, prior.predict_noise(x_t, t_all, condition), x_t) - noise_all
        return (w_squared * difference.flatten(1).square().mean(dim=1)).reshape(b, k).sum(dim=1)

    if cond is None or contrast == 0.0:
        return error(cond_all)
    return error(cond_all) - contrast * error(None)


def _weight(weight: WeightName | WeightFunction) -> WeightFunction:
    if callable(weight):
        return weight
    if weight not in WEIGHTS:
        raise HopriorError(f"score distillation: weight '{weight}' is unknown: choose one of {', '.join(WEIGHTS)}")
    return WEIGHTS[weight]


def _timestep_range(t_range: tuple[float, float], steps: int) -> tuple[int, int]:
    """The integers [low, high) that a range of fractions of T stands for; at least one."""
    low_fraction, high_fraction = t_range
    if not 0.0 <= low_fraction <= high_fraction <= 1.0:
        raise HopriorError(f"score distillation: t_range {t_range}; 0 <= low <= high <= 1 are fractions of T")
    low = min(int(low_fraction * steps), steps - 1)
    return low, max(low + 1, round(high_fraction * steps))


def _draw(stream: torch.Generator, x: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
    """A timestep in [low, high) and noise for each element, one after the other, so that more elements change none."""
    t = torch.empty(len(x), dtype=torch.long, device=stream.device)
    noise = torch.empty_like(x, device=stream.device)
    for i in range(len(x)):
        t[i] = torch.randint(low, high, (), generator=stream, device=stream.device)
        noise[i] = torch.randn(x.shape[1:], generator=stream, device=stream.device)
    return t.to(x.device), noise.to(x.device)
