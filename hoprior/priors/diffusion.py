"""Diffusion: the one noise schedule a prior is trained, distilled and sampled with, and its samplers.

`x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) noise` (Ho et al. 2020, Eq. 4), `t` counts from 0 (least noise) to T - 1.

Random numbers are drawn one element after the other from a stream that takes a single number from the caller's
generator: element i of a batch never depends on element j, nor on how many there are, in this call or the next.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hoprior.errors import HopriorError
from hoprior.priors.protocols import ScorePrior
from hoprior.priors.streams import randn_each, randn_of, spawn, spawn_each

ScheduleName: TypeAlias = Literal["scaled_linear", "linear", "cosine"]

COSINE_OFFSET = 0.008  # Nichol & Dhariwal 2021, Eq. 17
COSINE_MAX_BETA = 0.999


class NoiseSchedule(nn.Module):
    """A variance schedule of T steps; make it once, at training, and take it from the checkpoint ever after.

    The names and numbers agree with diffusers' schedulers: `scaled_linear` (betas linear in their square root; the
    defaults are G-HOP's), `linear` (Ho et al. 2020 uses 1e-4 to 0.02) and `cosine` (diffusers' `squaredcos_cap_v2`,
    Nichol & Dhariwal 2021, which has no beta range).

    The buffer `alphas_cumprod (T,)` follows the module to its device. It is not in the state dict: it follows from
    `config()`, and weights stored in half precision must not round it.

    Example:
        >>> schedule = NoiseSchedule("cosine", timesteps=10)
        >>> len(schedule), schedule.alphas_cumprod[[0, -1]].round(decimals=3)
        (10, tensor([0.9720, 0.0000]))
        >>> NoiseSchedule(**schedule.config()).name
        'cosine'
    """

    alphas_cumprod: Tensor

    def __init__(
        self,
        name: ScheduleName = "scaled_linear",
        timesteps: int = 1000,
        beta_start: float = 0.0015,
        beta_end: float = 0.0195,
    ) -> None:
        super().__init__()
        if timesteps < 1:
            raise HopriorError(f"noise schedule: {timesteps} timesteps; at least 1 is needed")
        if not 0.0 < beta_start <= beta_end < 1.0:
            raise HopriorError(f"noise schedule: betas from {beta_start} to {beta_end}; 0 < beta_start <= beta_end < 1")
        self.name, self.timesteps, self.beta_start, self.beta_end = name, timesteps, beta_start, beta_end
        abar = torch.cumprod(1.0 - make_betas(name, timesteps, beta_start, beta_end), dim=0)
        self.register_buffer("alphas_cumprod", abar.float(), persistent=False)

    def config(self) -> dict[str, Any]:
        """What `NoiseSchedule(**config)` needs to make this schedule again; plain values, for checkpoints."""
        return {
            "name": self.name,
            "timesteps": self.timesteps,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
        }

    def __len__(self) -> int:
        return self.timesteps

    def add_noise(
        self, x0: Float[Tensor, "b *shape"], noise: Float[Tensor, "b *shape"], t: Int[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """`x_t` of `x0`."""
        return add_noise(self.alphas_cumprod, x0, noise, t)

    def x0_from_noise(
        self, x_t: Float[Tensor, "b *shape"], noise: Float[Tensor, "b *shape"], t: Int[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """The `x0` that `x_t` comes from if `noise` is its noise."""
        return x0_from_noise(self.alphas_cumprod, x_t, noise, t)

    def noise_from_x0(
        self, x_t: Float[Tensor, "b *shape"], x0: Float[Tensor, "b *shape"], t: Int[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """The noise that is in `x_t` if it comes from `x0`."""
        return noise_from_x0(self.alphas_cumprod, x_t, x0, t)


def make_betas(name: ScheduleName, timesteps: int, beta_start: float, beta_end: float) -> Float[Tensor, " T"]:
    """The variances that each step adds, in float64.

    Example:
        >>> make_betas("linear", timesteps=3, beta_start=0.1, beta_end=0.3)
        tensor([0.1000, 0.2000, 0.3000], dtype=torch.float64)
    """
    if name == "scaled_linear":
        return torch.linspace(beta_start**0.5, beta_end**0.5, timesteps, dtype=torch.float64) ** 2
    if name == "linear":
        return torch.linspace(beta_start, beta_end, timesteps, dtype=torch.float64)
    if name == "cosine":
        u = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
        abar = torch.cos((u + COSINE_OFFSET) / (1 + COSINE_OFFSET) * torch.pi / 2) ** 2
        return (1 - abar[1:] / abar[:-1]).clamp(max=COSINE_MAX_BETA)
    raise HopriorError(f"noise schedule '{name}' is unknown: choose one of {', '.join(get_args(ScheduleName))}")


def signal_and_noise(
    alphas_cumprod: Float[Tensor, " T"], t: Int[Tensor, " b"], ndim: int
) -> tuple[Float[Tensor, "b *ones"], Float[Tensor, "b *ones"]]:
    """`sqrt(abar_t)` and `sqrt(1 - abar_t)`, shaped to broadcast over tensors of `ndim` dimensions."""
    abar = alphas_cumprod[t].reshape(-1, *[1] * (ndim - 1))
    return abar.sqrt(), (1.0 - abar).sqrt()


def add_noise(
    alphas_cumprod: Float[Tensor, " T"],
    x0: Float[Tensor, "b *shape"],
    noise: Float[Tensor, "b *shape"],
    t: Int[Tensor, " b"],
) -> Float[Tensor, "b *shape"]:
    """`x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) noise` (Ho et al. 2020, Eq. 4).

    Example:
        >>> alphas_cumprod = torch.tensor([0.99, 0.64])  # 0.64: a signal of 0.8, and a noise of 0.6
        >>> x0, noise = torch.tensor([[1.0]]), torch.tensor([[-1.0]])
        >>> add_noise(alphas_cumprod, x0, noise, t=torch.tensor([1])).round(decimals=3)
        tensor([[0.2000]])
    """
    signal, sigma = signal_and_noise(alphas_cumprod, t, x0.ndim)
    return signal * x0 + sigma * noise


def x0_from_noise(
    alphas_cumprod: Float[Tensor, " T"],
    x_t: Float[Tensor, "b *shape"],
    noise: Float[Tensor, "b *shape"],
    t: Int[Tensor, " b"],
) -> Float[Tensor, "b *shape"]:
    """The inverse of `add_noise` in `x0` (Ho et al. 2020, Eq. 15).

    Example:
        >>> alphas_cumprod, t = torch.tensor([0.99, 0.64]), torch.tensor([1])
        >>> x0, noise = torch.ones(1, 2), torch.tensor([[-1.0, 2.0]])
        >>> x_t = add_noise(alphas_cumprod, x0, noise, t)
        >>> torch.allclose(x0_from_noise(alphas_cumprod, x_t, noise, t), x0)
        True
    """
    signal, sigma = signal_and_noise(alphas_cumprod, t, x_t.ndim)
    return (x_t - sigma * noise) / signal


def noise_from_x0(
    alphas_cumprod: Float[Tensor, " T"],
    x_t: Float[Tensor, "b *shape"],
    x0: Float[Tensor, "b *shape"],
    t: Int[Tensor, " b"],
) -> Float[Tensor, "b *shape"]:
    """The inverse of `add_noise` in the noise.

    Example:
        >>> alphas_cumprod, t = torch.tensor([0.99, 0.64]), torch.tensor([1])
        >>> x0, noise = torch.ones(1, 2), torch.tensor([[-1.0, 2.0]])
        >>> x_t = add_noise(alphas_cumprod, x0, noise, t)
        >>> torch.allclose(noise_from_x0(alphas_cumprod, x_t, x0, t), noise, atol=1e-6)
        True
    """
    signal, sigma = signal_and_noise(alphas_cumprod, t, x_t.ndim)
    return (x_t - signal * x0) / sigma


def noise_from_velocity(
    alphas_cumprod: Float[Tensor, " T"],
    x_t: Float[Tensor, "b *shape"],
    velocity: Float[Tensor, "b *shape"],
    t: Int[Tensor, " b"],
) -> Float[Tensor, "b *shape"]:
    """The noise in `x_t` of a network that predicts `v = signal noise - sigma x0` (Salimans & Ho 2022, Sec. 4).

    Example:
        >>> alphas_cumprod, t = torch.tensor([0.99, 0.64]), torch.tensor([1])
        >>> x0, noise = torch.ones(1, 2), torch.tensor([[-1.0, 2.0]])
        >>> x_t = add_noise(alphas_cumprod, x0, noise, t)
        >>> torch.allclose(noise_from_velocity(alphas_cumprod, x_t, 0.8 * noise - 0.6 * x0, t), noise)
        True
    """
    signal, sigma = signal_and_noise(alphas_cumprod, t, x_t.ndim)
    return signal * velocity + sigma * x_t


def guided_noise(
    prior: ScorePrior,
    x_t: Float[Tensor, "b *shape"],
    t: Int[Tensor, " b"],
    cond: Float[Tensor, "b tokens dim"] | None,
    guidance_scale: float = 1.0,
) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022): `eps_null + scale (eps_cond - eps_null)`.

    A scale of 1 is no guidance and costs one forward. A prior that has
    `predict_noise_guided(x_t, t, cond, guidance_scale)` does the two its own way, as one batch of 2b say.

    Example:
        >>> class Twice:
        ...     alphas_cumprod = torch.linspace(0.99, 0.01, 10)
        ...     def encode(self, state):
        ...         return state
        ...     def predict_noise(self, x_t, t, cond):
        ...         return x_t if cond is None else 2 * x_t
        >>> x_t, t, text = torch.ones(1, 1), torch.tensor([5]), torch.zeros(1, 1, 1)
        >>> guided_noise(Twice(), x_t, t, text, guidance_scale=3.0)  # 1 + 3 (2 - 1)
        tensor([[4.]])
    """
    if cond is None or guidance_scale == 1.0:
        return prior.predict_noise(x_t, t, cond)
    fused = getattr(prior, "predict_noise_guided", None)
    if fused is not None:
        return fused(x_t, t, cond, guidance_scale)
    null = prior.predict_noise(x_t, t, None)
    return null + guidance_scale * (prior.predict_noise(x_t, t, cond) - null)


@torch.no_grad()
def ddim_sample(
    prior: ScorePrior,
    shape: Sequence[int],
    cond: Float[Tensor, "b tokens dim"] | None = None,
    *,
    steps: int = 50,
    guidance_scale: float = 1.0,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    known: tuple[Bool[Tensor, "..."], Float[Tensor, "..."]] | None = None,
    x_init: Float[Tensor, "b *shape"] | None = None,
    t_start: float = 1.0,
    eta: float = 0.0,
    x0_range: tuple[Float[Tensor, "..."], Float[Tensor, "..."]] | None = None,
    progress: Callable[[float], object] | None = None,
) -> Float[Tensor, "b *shape"]:
    """Samples of a denoiser by DDIM (Song et al. 2021, Eq. 12), with diffusers' scheduler.

    Args:
        prior: denoiser.
        shape: of the result, `(b, ...)`.
        cond: text features, or None for the unconditional prior.
        steps: how many steps lead from T to 0; must divide T.
        guidance_scale: of classifier-free guidance.
        generator: source of all noise, or one for each element; torch's default generator if None.
        known: `(mask, x0)`, both broadcast to `shape`: where the mask is true the result is `x0`, and the rest is
            sampled to fit it. Those entries are noised to each level on the way, always with their starting noise.
        x_init: start from this, noised to `t_start`, instead of from noise alone (SDEdit, Meng et al. 2022).
        t_start: with `x_init`, the fraction of T to start from; steps above it are left out.
        eta: share of the noise that each step draws anew (Song et al. 2021, Eq. 16): 0 is deterministic, 1 is ancestral
            sampling (Ho et al. 2020), which forgets the errors of earlier steps.
        x0_range: `(low, high)`, both broadcast to `shape`: what clean entries can be. Each step's estimate is brought
            into it. At the noisiest steps an error in the noise is divided by a signal of a hundredth.
        progress: told after each step the share of the steps that is done.

    Raises:
        HopriorError: steps that do not divide T, a t_start beyond (0, 1], an eta beyond [0, 1], or as many generators
            as there are not elements.

    Example:
        >>> class Twos:  # has seen nothing but the number 2
        ...     alphas_cumprod = torch.linspace(0.99, 0.01, 10)
        ...     def encode(self, state):
        ...         return state
        ...     def predict_noise(self, x_t, t, cond):
        ...         return noise_from_x0(self.alphas_cumprod, x_t, torch.full_like(x_t, 2.0), t)
        >>> ddim_sample(Twos(), (3, 1), steps=10, generator=torch.Generator().manual_seed(0)).round(decimals=3).mT
        tensor([[2., 2., 2.]])
    """
    alphas_cumprod = prior.alphas_cumprod
    total = len(alphas_cumprod)
    if not 0 < steps <= total or total % steps:
        raise HopriorError(f"DDIM: {steps} steps do not divide the prior's {total}: choose a number that does")
    if not 0.0 < t_start <= 1.0:
        raise HopriorError(f"DDIM: t_start is {t_start}; it is a fraction of T, above 0 and at most 1")
    if not 0.0 <= eta <= 1.0:
        raise HopriorError(f"DDIM: eta is {eta}; 0 is deterministic, 1 ancestral, and nothing is beyond")

    stride = total // steps
    timesteps = list(range(total - 1, -1, -stride))
    abar = alphas_cumprod.cpu()
    noise, streams = _starting_noise(generator, shape, alphas_cumprod.device, fresh=eta > 0)
    noise = noise.to(alphas_cumprod)
    x = noise
    if x_init is not None:
        timesteps = [t for t in timesteps if t < t_start * total] or timesteps[-1:]
        x = add_noise(alphas_cumprod, x_init, noise, torch.full((len(noise),), timesteps[0], device=noise.device))
    for count, step in enumerate(timesteps, 1):
        t = torch.full((len(noise),), step, device=noise.device)
        if known is not None:
            x = torch.where(known[0], add_noise(alphas_cumprod, known[1].expand_as(x), noise, t), x)
        noise_hat = guided_noise(prior, x, t, cond, guidance_scale)
        if x0_range is not None:
            noise_hat = _noise_within(x0_range, alphas_cumprod, x, noise_hat, t)
        drawn = randn_of(streams, shape[1:]).to(x) if eta > 0 else None
        x = _ddim_step(x, noise_hat, abar[step], abar[step - stride] if step >= stride else torch.ones(()), eta, drawn)
        if progress is not None:
            progress(count / len(timesteps))
    return x if known is None else torch.where(known[0], known[1], x)


def _ddim_step(
    x_t: Float[Tensor, "b *shape"],
    noise_hat: Float[Tensor, "b *shape"],
    abar: Float[Tensor, ""],
    abar_next: Float[Tensor, ""],
    eta: float,
    drawn: Float[Tensor, "b *shape"] | None,
) -> Float[Tensor, "b *shape"]:
    """One step to less noise (Song et al. 2021, Eq. 12 and 16); the schedule's numbers lie on the CPU."""
    x0 = (x_t - (1 - abar) ** 0.5 * noise_hat) / abar**0.5
    std = eta * ((1 - abar_next) / (1 - abar) * (1 - abar / abar_next)) ** 0.5
    # Where no signal is left, rounding makes of nothing a little less.
    kept = (1 - abar_next - std**2).clamp(min=0) ** 0.5
    x_next = abar_next**0.5 * x0 + kept * noise_hat
    return x_next if drawn is None else x_next + std * drawn


def _starting_noise(
    generator: torch.Generator | Sequence[torch.Generator] | None,
    shape: Sequence[int],
    device: torch.device,
    fresh: bool,
) -> tuple[Float[Tensor, "b *shape"], list[torch.Generator]]:
    """The noise of b elements, and the generator that each takes its later noise from, if there will be `fresh` one."""
    if isinstance(generator, Sequence):
        if len(generator) != shape[0]:
            raise HopriorError(f"DDIM: {len(generator)} generators for {shape[0]} elements: give one each, or just one")
        return randn_of(generator, shape[1:]), list(generator)
    noise = randn_each(spawn(generator, device), shape)
    return noise, spawn_each(generator, shape[0], device) if fresh else []


def _noise_within(
    x0_range: tuple[Tensor, Tensor],
    alphas_cumprod: Float[Tensor, " T"],
    x_t: Float[Tensor, "b *shape"],
    noise_hat: Float[Tensor, "b *shape"],
    t: Int[Tensor, " b"],
) -> Float[Tensor, "b *shape"]:
    """The noise that goes with the estimate of x0 after that is brought into a range."""
    x0 = x0_from_noise(alphas_cumprod, x_t, noise_hat, t).clamp(*x0_range)
    return noise_from_x0(alphas_cumprod, x_t, x0, t)
