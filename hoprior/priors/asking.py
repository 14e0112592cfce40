"""How priors of either kind are asked: in pieces that fit into memory, and with a look at what they answer.

Priors are often other people's code. An answer of a wrong shape would broadcast, and one that is no number would
spread, and both would guide and rank wrongly without a word; so they are refused with the name of the class.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import TypeIs

from hoprior.errors import HopriorError
from hoprior.priors.protocols import EnergyPrior, ScorePrior


def is_energy(prior: Any) -> TypeIs[EnergyPrior]:
    """Whether a prior judges (`energy`) rather than denoises.

    Example:
        >>> class Low:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> is_energy(Low()), is_energy("grid")
        (True, False)
    """
    return isinstance(prior, EnergyPrior)


def denoiser(prior: Any) -> ScorePrior[Any, Any]:
    """A prior that is no energy, as the denoiser that it then has to be.

    Raises:
        HopriorError: it is none, and only draws or completes.

    Example:
        >>> try:
        ...     denoiser("a string")
        ... except HopriorError as error:
        ...     print(str(error).partition(":")[0])
        str judges nothing
    """
    if not isinstance(prior, ScorePrior):
        raise HopriorError(
            f"{type(prior).__name__} judges nothing: it needs `energy`, or `encode`, `predict_noise` and"
            " `alphas_cumprod`, to guide or to rank"
        )
    return prior


def noise_of(prior: Any, noise: Tensor, x_t: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
    """The noise that a denoiser finds in `x_t`, which must be of its shape.

    Raises:
        HopriorError: it is of another.
    """
    if noise.shape != x_t.shape:
        raise HopriorError(
            f"{type(prior).__name__}.predict_noise gives the shape {tuple(noise.shape)} for noisy states of the shape"
            f" {tuple(x_t.shape)}: the two must be equal"
        )
    return noise


def energies(prior: EnergyPrior, state: Any, cond: Any) -> Float[Tensor, " b"]:
    """A prior's energies, one for each state.

    Raises:
        HopriorError: they are not as many as the states, or of another shape.

    Example:
        >>> class Norm:
        ...     def energy(self, state, cond=None):
        ...         return state.norm(dim=1)
        >>> energies(Norm(), torch.tensor([[3.0, 4.0], [0.0, 1.0]]), None)
        tensor([5., 1.])
    """
    energy = prior.energy(state, cond)
    if not isinstance(energy, Tensor):
        raise HopriorError(f"{type(prior).__name__}.energy gives {type(energy).__name__}: it must give a tensor (b,)")
    count = count_of(state)
    if energy.ndim != 1 or (count is not None and len(energy) != count):
        states = "states" if count is None else f"{count} states"
        raise HopriorError(
            f"{type(prior).__name__}.energy gives the shape {tuple(energy.shape)} for {states}: it must give one number"
            " for each state, (b,)"
        )
    return energy


def numbers(prior: Any, each: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """What a prior says of b states, which must be numbers; infinity is one.

    Raises:
        HopriorError: some are NaN.

    Example:
        >>> try:
        ...     numbers("not sure", torch.tensor([0.0, torch.nan]))
        ... except HopriorError as error:
        ...     print(str(error).partition(":")[0])
        str.predict_noise gives NaN for 1 of 2 states
    """
    wrong = int(each.isnan().sum())
    if wrong:
        said = f"{type(prior).__name__}.{'energy' if is_energy(prior) else 'predict_noise'}"
        raise HopriorError(f"{said} gives NaN for {wrong} of {len(each)} states: mend it, or leave this prior out")
    return each


def count_of(state: Any) -> int | None:
    """How many states there are; None of those that do not say, as a named tuple, whose length is another.

    Example:
        >>> count_of(torch.zeros(3, 2)), count_of(object())
        (3, None)
    """
    return len(state) if hasattr(state, "__len__") and not isinstance(state, tuple) else None


def pieces(state: Any, cond: Any, size: int) -> Iterable[tuple[Any, Any]]:
    """States and their condition in pieces of at most `size`, where the states can be taken apart.

    Example:
        >>> [(len(state), cond) for state, cond in pieces(torch.zeros(5, 2), None, size=2)]
        [(2, None), (2, None), (1, None)]
    """
    count = count_of(state)
    if count is None or count <= size or not hasattr(state, "__getitem__"):
        yield state, cond
        return
    for start in range(0, count, size):
        piece = slice(start, start + size)
        yield state[piece], None if cond is None else cond[piece]


def chunks(x: Tensor, cond: Tensor | None, size: int) -> Iterable[tuple[Tensor, Tensor | None]]:
    """A batch and its condition in pieces of at most `size`.

    Example:
        >>> [x.tolist() for x, _ in chunks(torch.arange(5), None, size=2)]
        [[0, 1], [2, 3], [4]]
    """
    for start in range(0, len(x), size):
        yield x[start : start + size], None if cond is None else cond[start : start + size]


def sum_terms(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors, without a zero that would have to know their device.

    Example:
        >>> sum_terms([torch.ones(2), torch.tensor([1.0, 2.0])])
        tensor([2., 3.])
    """
    return reduce(torch.add, terms)
