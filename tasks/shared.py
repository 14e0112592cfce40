"""What the arguments of all tasks have in common: priors with weights, the hand, the side."""

import math
import warnings
from collections.abc import Iterable, Sequence
from copy import deepcopy
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeAlias

import torch

from hoprior.errors import ArgumentError, HopriorError
from hoprior.hand import HandModel, load_hand
from hoprior.hand.shape import HandShape
from hoprior.priors.protocols import AnyPrior, DenoisesHandPoses, info_of
from hoprior.priors.registry import prior_on

Priors: TypeAlias = Sequence[tuple[float, str | AnyPrior]]
"""Weights and priors: names, files, class paths or prior objects; none at all for none."""


class NamedPrior(NamedTuple):
    """A prior on its device, with its weight and the name that it was asked for by."""

    weight: float
    prior: Any
    name: str


def load_priors(priors: Priors, task: str, device: torch.device, judges_too: bool = False) -> list[NamedPrior]:
    """The priors of a task, each told apart by its name.

    With `judges_too`, priors that judge hands at objects are taken beside those that the task needs.

    Raises:
        HopriorError: one does not load, or the task cannot use it.
    """
    if not isinstance(priors, Sequence) or isinstance(priors, str) or not all(map(_is_pair, priors)):
        raise ArgumentError(
            "priors", priors, 'is no list of weights and priors: give [(1.0, "contrastive")], say, or [] for none'
        )
    names = told_apart(name_of(prior) for _, prior in priors)
    return [
        NamedPrior(float(weight), prior_on(prior, device, task, judges_too), name)
        for (weight, prior), name in zip(priors, names, strict=True)
    ]


def _is_pair(asked: Any) -> bool:
    """Whether this is a weight, which is a number, and a prior."""
    if isinstance(asked, str) or not isinstance(asked, Sequence) or len(asked) != 2:
        return False
    return isinstance(asked[0], Real) and math.isfinite(asked[0])


def name_of(prior: str | AnyPrior) -> str:
    """What a prior was asked for by: its name or file, or the class of one of the caller's own.

    Example:
        >>> class Low:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> name_of("grid"), name_of(Low())
        ('grid', 'Low')
    """
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
    """Weights and names, as results keep them.

    Example:
        >>> priors_as_config(((1.0, "grid"), (0.5, "pose")))
        [[1.0, 'grid'], [0.5, 'pose']]
    """
    return [[weight, name_of(prior)] for weight, prior in priors]


def check_side(side: str, *also: str) -> None:
    """Refuses what is no side.

    Raises:
        ArgumentError: `side` is neither right nor left, nor one of `also`.

    Example:
        >>> check_side("right")
        >>> try:
        ...     check_side("upper")
        ... except ArgumentError as error:
        ...     print(error.name)
        side
    """
    known = ("right", "left", *also)
    if side not in known:
        raise ArgumentError("side", side, f"is unknown: use {', '.join(known[:-1])} or {known[-1]}")


def right_hand(hand: str | HandModel, side: str, shape: HandShape | None = None) -> HandModel:
    """The right hand's model that a task computes with: priors know right hands only, left ones are their mirror image.

    Args:
        hand: "open" or "mano", or the caller's model. A right model gives hands of either side, a left one left hands.
        side: of the hands that are asked for: "right" or "left", or "auto" if both may be. Left hands by name are
            computed with the mirror image of the left hand's own model, so that what is shown is that model.
        shape: whose hand it is; the model's own shape if it is not said.

    Returns:
        A model on the CPU that may be moved to any device: the caller's own is copied, and stays where it is.

    Raises:
        HopriorError: there is no such hand, or none of such a shape, or it is a left hand's model and right hands are
            asked for.

    Example:
        >>> right_hand("open", side="left").side
        'right'
    """
    model = _right_hand(hand, side)
    return model if shape is None else shape.of(model)


def _right_hand(hand: str | HandModel, side: str) -> HandModel:
    if isinstance(hand, str):
        return load_hand(hand, "left").mirrored() if side == "left" else load_hand(hand, "right")
    if not isinstance(hand, HandModel):
        raise HopriorError(f"hand is a {type(hand).__name__}: give 'open', 'mano' or a HandModel")
    if hand.side == "right":
        return deepcopy(hand).cpu()
    if side == "right":
        raise ArgumentError(
            "side", side, f"does not go with a left hand's model ('{hand.name}'): use left, or give its mirrored()"
        )
    return hand.mirrored().cpu()


def shown_hand(right: HandModel, side: str) -> HandModel:
    """The model of the hands that are asked for, given the right hand that a task computed with.

    Example:
        >>> shown_hand(load_hand(), "left").side
        'left'
    """
    return right if side == "right" else right.mirrored()


def check_num(num: int) -> None:
    """Refuses to make less than one, or what is no count.

    Raises:
        ArgumentError: `num` is below 1, or no whole number.
    """
    if not isinstance(num, Integral):
        raise ArgumentError("num", num, "is no whole number: give 10, say")
    if num < 1:
        raise ArgumentError("num", num, "is too few: ask for at least one")


def check_told(text: str | None, seed: int) -> None:
    """Refuses what is no text, and no seed.

    Raises:
        ArgumentError: `text` is neither a sentence nor None, or `seed` is no whole number.
    """
    if text is not None and not isinstance(text, str):
        raise ArgumentError("text", text, 'is no sentence: give "a mug", say, or None')
    if not isinstance(seed, Integral):
        raise ArgumentError("seed", seed, "is no whole number: give 0, say")


def renamed(old: str, new: str) -> None:
    """Warns a Python caller that an argument has another name now, for one version."""
    warnings.warn(f"the argument `{old}` is `{new}` now; the old name goes in the next version", FutureWarning, 3)


def reads_pose_alone(prior: Any) -> bool:
    """Whether a prior looks at how fingers are bent and at nothing else.

    Example:
        >>> from hoprior.priors.protocols import PriorInfo
        >>> class Fist:
        ...     info = PriorInfo(reads=frozenset({"hand_pose"}))
        ...     def energy(self, state, cond=None):
        ...         return -state.hand_pose.square().sum(dim=(1, 2))
        >>> reads_pose_alone(Fist())
        True
    """
    return isinstance(prior, DenoisesHandPoses) or info_of(prior).reads == {"hand_pose"}
