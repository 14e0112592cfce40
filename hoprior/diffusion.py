"""Diffusion: the one noise schedule a prior is trained, distilled and sampled with, and DDIM sampling.

`x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) noise` (Ho et al. 2020, Eq. 4), `t` counts from 0 (least noise) to T - 1.
"""

from typing import Any, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hoprior.errors import HopriorError

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
        signal, sigma = signal_and_noise(self.alphas_cumprod, t, x_t.ndim)
        return (x_t - signal * x0) / sigma


def make_betas(name: ScheduleName, timesteps: int, beta_start: float, beta_end: float) -> Float[Tensor, " T"]:
    """The variances that each step adds, in float64."""
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
    """`x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) noise` (Ho et al. 2020, Eq. 4)."""
    signal, sigma = signal_and_noise(alphas_cumprod, t, x0.ndim)
    return signal * x0 + sigma * noise


def x0_from_noise(
    alphas_cumprod: Float[Tensor, " T"],
    x_t: Float[Tensor, "b *shape"],
    noise: Float[Tensor, "b *shape"],
    t: Int[Tensor, " b"],
) -> Float[Tensor, "b *shape"]:
    """The inverse of `add_noise` in `x0` (Ho et al. 2020, Eq. 15)."""
    signal, sigma = signal_and_noise(alphas_cumprod, t, x_t.ndim)
    return (x_t - sigma * noise) / signal
