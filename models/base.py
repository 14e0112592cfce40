"""What all trained modules share, so that a model's file holds only what is its own.

`TrainedModule` remembers its constructor's arguments, travels as one file and is optimised as all are; `TrainedPrior`
is one that tasks use; `DiffusionPrior` one that denoises.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hoprior.common.compute import network_precision
from hoprior.priors.base import Prior
from hoprior.priors.diffusion import NoiseSchedule
from hoprior.priors.pretrained import PretrainedMixin

VALIDATION_TIMESTEPS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Fractions of T at which validation measures a denoising error."""
VALIDATION_SEED = 0


Module = TypeVar("Module", bound=nn.Module)


def with_modules(module: Module, **others: nn.Module | None) -> Module:
    """A module with others in the place of some that it has; all else is shared with it, which stays as it is.

    Example:
        >>> pair = nn.ModuleDict({"first": nn.Linear(2, 2), "last": nn.Linear(2, 2)})
        >>> other = with_modules(pair, last=nn.Identity())
        >>> other["first"] is pair["first"], other["last"], pair["last"]
        (True, Identity(), Linear(in_features=2, out_features=2, bias=True))
    """
    made = copy.copy(module)
    made._modules = module._modules | others
    return made


class TrainedModule(PretrainedMixin, nn.Module):
    """A module whose weights travel with the arguments that make it again.

    A subclass's `__init__` takes `learning_rate`, `weight_decay` and `warmup_steps` beside its own arguments; it need
    not keep any of them. To be used it needs no Lightning; to be trained it becomes a LightningModule by `trainable`
    (`models/training/lightning.py`), from which the attributes below come.
    """

    _arguments: dict[str, Any]
    trainer: Any
    log: Callable[..., None]
    log_dict: Callable[..., None]
    all_gather: Callable[..., Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> "TrainedModule":
        """Remembers the arguments, defaults among them, as plain values."""
        module = super().__new__(cls)
        # Copies and pickles are made without arguments; they bring those of their original.
        given = signature(cls.__init__).bind_partial(module, *args, **kwargs)
        given.apply_defaults()
        names = list(given.arguments)[1:]
        object.__setattr__(module, "_arguments", {name: _plain(given.arguments[name]) for name in names})
        return module

    def config(self) -> dict[str, Any]:
        """The arguments that make this module again; plain values, as JSON has them."""
        return dict(self._arguments)

    @torch.no_grad()
    def of_all_processes(self, mine: Float[Tensor, "b *shape"]) -> Float[Tensor, "b2 *shape"]:
        """The batch that a single process would have, of the shares that processes which train together have of it.

        Processes take numbers in turn, so that their shares are interleaved.
        """
        if self.trainer.world_size == 1:
            return mine
        gathered: Tensor = self.all_gather(mine)
        return gathered.transpose(0, 1).flatten(0, 1)

    @abstractmethod
    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """Logs how good it is on a batch, under `val/` or `test/`."""


class TrainedPrior(TrainedModule, Prior, abstract=True):
    """A trained module that guides and ranks."""

    compute_dtype: torch.dtype = torch.float32
    """Of its networks when it judges; bfloat16 is several times faster where the processor has units for it. What is
    around the networks stays float32."""

    def judging(self, x: Tensor) -> AbstractContextManager[object]:
        """The context in which its networks judge, at `compute_dtype`."""
        return network_precision(x.device, self.compute_dtype)


class DiffusionPrior(TrainedPrior, abstract=True):
    """A denoiser with a trained null condition and a representation that is normalised by its first batch.

    A subclass sets `schedule`, `text_encoder_name` and `text_dim`, calls `add_null_condition`, registers the buffers of
    its normalisation and `normalized`, and has `predict_noise`.
    """

    schedule: NoiseSchedule
    text_dim: int
    null_text: nn.Parameter
    normalized: Tensor

    def add_null_condition(self, text_dim: int) -> None:
        """The condition that stands for no text."""
        self.text_dim = text_dim
        self.null_text = nn.Parameter(0.02 * torch.randn(1, text_dim))

    @property
    def alphas_cumprod(self) -> Float[Tensor, " T"]:
        """Of the noise schedule it was trained with."""
        return self.schedule.alphas_cumprod

    @abstractmethod
    def predict_noise(
        self, x_t: Float[Tensor, "b *shape"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b *shape"]:
        """The noise in `x_t`; `cond=None` is the trained null condition."""

    def condition(self, cond: Float[Tensor, "b tokens dim"] | None, num: int) -> Float[Tensor, "b tokens dim"]:
        """The condition as the network takes it: that of no text where there is none."""
        return self.null_text.expand(num, 1, self.text_dim) if cond is None else cond

    def predict_noise_guided(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Int[Tensor, " b"],
        cond: Float[Tensor, "b tokens dim"],
        guidance_scale: float,
    ) -> Float[Tensor, "b *shape"]:
        """Classifier-free guidance (Ho & Salimans 2022, Eq. 6) with both conditions in one batch."""
        both = torch.cat([cond, self.null_text.expand_as(cond)])
        twice = x_t.repeat(2, *[1] * (x_t.ndim - 1))
        noise, null = self.predict_noise(twice, t.repeat(2), both).chunk(2)
        return null + guidance_scale * (noise - null)

    @torch.no_grad()
    def normalize_by(self, mean: Tensor, std: Tensor, into: tuple[Tensor, Tensor]) -> None:
        """Keeps mean and deviation of the first batch, of all processes, in the two buffers of the normalisation."""
        for buffer, value in zip(into, (mean, std), strict=True):
            buffer.copy_(value.reshape(buffer.shape))
        self.normalized.fill_(True)

    def fixed_noises(self, x: Float[Tensor, "b *shape"], batch_idx: int) -> list[tuple[float, Tensor, Tensor]]:
        """The fractions of T, timesteps and noises at which a batch is validated, the same at every epoch."""
        generator = torch.Generator().manual_seed(VALIDATION_SEED + batch_idx)
        found = []
        for fraction in VALIDATION_TIMESTEPS:
            t = torch.full((len(x),), int(fraction * len(self.schedule)), device=x.device)
            found.append((fraction, t, torch.randn(x.shape, generator=generator).to(x.device)))
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
