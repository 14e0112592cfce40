"""How priors of either kind are asked: in pieces that fit into memory, and with a look at what they answer.

Priors are often other people's code. An answer of a wrong shape would broadcast, and one that is no number would
spread, and both would guide and rank wrongly without a word; so they are refused with the name of the class.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import TypeIs

from hoprior.errors import HopriorError
from hoprior.geometry.state import HandObjectState
from hoprior.priors.protocols import EnergyPrior, ScorePrior, ScoresPlacements


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
        raise HopriorError(f"{_judging(prior)} gives {type(energy).__name__}: it must give a tensor (b,)")
    count = count_of(state)
    if energy.ndim != 1 or (count is not None and len(energy) != count):
        states = "states" if count is None else f"{count} states"
        raise HopriorError(
            f"{_judging(prior)} gives the shape {tuple(energy.shape)} for {states}: it must give one number for each"
            " state, (b,)"
        )
    return energy


def shaped(prior: Any, method: str, answer: Any, *sizes: int | None, what: str = "") -> Tensor:
    """What a prior's method answers, or `what` of it, which must be a tensor of these sizes; None is any.

    Raises:
        HopriorError: it is something else.

    Example:
        >>> shaped("a prior", "propose_joints", torch.zeros(2, 21, 3), 2, 21, 3).shape
        torch.Size([2, 21, 3])
    """
    found = f"the shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
    fits = isinstance(answer, Tensor) and answer.ndim == len(sizes)
    if not fits or any(size not in (None, n) for size, n in zip(sizes, answer.shape, strict=True)):
        wanted = f"({', '.join('n' if size is None else str(size) for size in sizes)}{',' * (len(sizes) == 1)})"
        gives = f"gives {found}" if not what else f"gives {found} for {what}"
        raise HopriorError(f"{type(prior).__name__}.{method} {gives}: it must give a tensor {wanted}")
    return cast(Tensor, answer)


def placement_energies(
    prior: ScoresPlacements[Any], state: HandObjectState, cond: Any
) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 21 3"]]:
    """A prior's energies of placements, and the joints that have them (hand frame, m).

    Raises:
        HopriorError: they are of a wrong shape, or not both there.
    """
    answer, method = prior.placement_energy(state, cond), "placement_energy"
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise HopriorError(
            f"{type(prior).__name__}.{method} gives {type(answer).__name__}: it must give energies (b,) and joints"
            " (b, 21, 3)"
        )
    energy, joints = answer
    return (
        shaped(prior, method, energy, len(state), what="energies"),
        shaped(prior, method, joints, len(state), 21, 3, what="joints"),
    )


def _judging(prior: Any) -> str:
    """The method that judges, as its author named it: of an energy that hands on what another prior's method says,
    that method (`energy_name`)."""
    return str(getattr(prior, "energy_name", f"{type(prior).__name__}.energy"))


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
        said = _judging(prior) if is_energy(prior) else f"{type(prior).__name__}.predict_noise"
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
