"""What the arguments of all tasks have in common: priors with weights, the hand, the side."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch

from hoprior.errors import ArgumentError
from hoprior.priors.protocols import AnyPrior
from hoprior.priors.registry import prior_on

Priors: TypeAlias = Sequence[tuple[float, str | AnyPrior]]
"""Weights and priors: names, files, class paths or prior objects; none at all for none."""


class NamedPrior(NamedTuple):
    """A prior on its device, with its weight and the name that it was asked for by."""

    weight: float
    prior: Any
    name: str


def load_priors(priors: Priors, task: str, device: torch.device) -> list[NamedPrior]:
    """The priors of a task, each told apart by its name.

    Raises:
        HopriorError: one does not load, or the task cannot use it.
    """
    names = told_apart(name_of(prior) for _, prior in priors)
    return [
        NamedPrior(float(weight), prior_on(prior, device, task), name)
        for (weight, prior), name in zip(priors, names, strict=True)
    ]


def name_of(prior: str | AnyPrior) -> str:
    """What a prior was asked for by: its name or file, or the class of one of the caller's own."""
    return prior if isinstance(prior, str) else type(prior).__name__


def told_apart(names: Iterable[str], taken: Sequence[str] = ()) -> list[str]:
    """The names, of which those that come again, or that are taken, get a number.

    Example:
        >>> told_apart(["grid", "pose", "grid"])
        ['grid', 'pose', 'grid 2']
    """
    apart: list[str] = []
    for name in names:
        count, numbered = 1, name
        while numbered in (*taken, *apart):
            count += 1
            numbered = f"{name} {count}"
        apart.append(numbered)
    return apart


def priors_as_config(priors: Priors) -> list[list[Any]]:
    """Weights and names, as results keep them."""
    return [[weight, name_of(prior)] for weight, prior in priors]


def check_side(side: str, *also: str) -> None:
    """Refuses what is no side.

    Raises:
        ArgumentError: `side` is neither right nor left, nor one of `also`.
    """
    known = ("right", "left", *also)
    if side not in known:
        raise ArgumentError("side", side, f"is unknown: use {', '.join(known[:-1])} or {known[-1]}")


def check_num(num: int) -> None:
    """Refuses to make less than one.

    Raises:
        ArgumentError: `num` is below 1.
    """
    if num < 1:
        raise ArgumentError("num", num, "is too few: ask for at least one")


def renamed(old: str, new: str) -> None:
    """Warns a Python caller that an argument has another name now, for one version."""
    warnings.warn(f"the argument `{old}` is `{new}` now; the old name goes in the next version", FutureWarning, 3)
