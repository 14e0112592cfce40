"""Whose hand it is: shapes from a length or from coefficients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import ArgumentError
from hoprior.geometry.units import length_text, parse_length
from hoprior.hand.base import HandModel, hand_length
from hoprior.hand.pose import HandPose

SHORTEST, LONGEST = 0.08, 0.30
"""Lengths (m) that hands have, a newborn's and more than any man's."""
SHAPES = 10
MOST = 12.0
"""A coefficient beyond it is no hand's: they are standard deviations."""
STEPS = 8
"""Of Newton's method, which is exact after three."""

Betas = str | Sequence[float] | np.ndarray | Tensor


@dataclass(frozen=True)
class HandShape:
    """Whose hand is asked for; the average one if neither is said.

    length: from the wrist to the middle finger's tip, "16.5cm" or metres.
    betas: the model's own coefficients of shape, up to ten, "1,-0.5" or numbers.
    """

    length: str | float | None = None
    betas: Betas | None = None

    def of(self, hand: HandModel) -> HandModel:
        """A hand of this shape; the hand itself if none is said.

        Raises:
            ArgumentError: no hand is so long, these are no coefficients, or both are said.

        Example:
            >>> from hoprior.hand import load_hand
            >>> child = HandShape("14cm").of(load_hand())
            >>> round(hand_length(child), 3), child.betas.shape
            (0.14, torch.Size([10]))
        """
        if self.length is not None and self.betas is not None:
            raise ArgumentError("hand_length", self.length, "and betas both say the hand's shape: give one of them")
        if self.length is not None:
            return hand.shaped(betas_of_length(hand, _length(self.length)))
        if self.betas is None:
            return hand
        shaped = hand.shaped(_coefficients(self.betas))
        length = hand_length(shaped)
        if not SHORTEST <= length <= LONGEST:
            raise ArgumentError(
                "betas", _told(self.betas), f"make a hand of {length_text(length)}: use smaller ones, most are within 3"
            )
        return shaped


def betas_of_length(hand: HandModel, length: float) -> Float[Tensor, " 10"]:
    """The likeliest shape of a hand of a length (m): of all that have it, the one with the smallest coefficients."""
    tip, directions = _middle_tip(hand)
    betas = torch.zeros(SHAPES, dtype=torch.float64)
    for _ in range(STEPS):
        reached = tip + directions @ betas
        slope = directions.T @ (reached / reached.norm())
        betas = betas + (length - reached.norm()) * slope / slope.square().sum()
    return betas.float()


def resized_in_view(pose: HandPose, hand: HandModel, shape: HandShape) -> HandPose:
    """Hands before a camera as those of another shape, so far away that they look as large; the same if none is said.

    Args:
        pose: in the camera's frame, of the average `hand`.

    Raises:
        ArgumentError: there is no such shape.

    Example:
        >>> from hoprior.hand import load_hand
        >>> pose = replace(HandPose.zeros(1), transl=torch.tensor([[0.0, 0.0, 0.5]]))
        >>> resized_in_view(pose, load_hand(), HandShape("14cm")).transl.round(decimals=3)
        tensor([[0.0000, 0.0000, 0.3740]])
    """
    if shape.length is None and shape.betas is None:
        return pose
    told = shape.of(hand)
    tip, directions = _middle_tip(hand)
    found = (tip + pose.betas.double().cpu() @ directions.T).norm(dim=1).to(pose.transl)
    ratio = hand_length(told) / found
    return replace(pose, betas=told.betas.to(pose.betas).expand(len(ratio), -1), transl=pose.transl * ratio[:, None])


def _middle_tip(hand: HandModel) -> tuple[Float[Tensor, " 3"], Float[Tensor, "3 10"]]:
    """The average flat hand's middle fingertip (wrist at the origin, m), and how a shape moves it."""
    tip = hand.tip_ids[2]
    directions = hand.shapedirs[tip].double().cpu()
    return hand.v_template[tip].double().cpu() - directions @ hand.betas.double().cpu(), directions


def _length(told: str | float) -> float:
    try:
        length = parse_length(told)
    except ArgumentError as error:
        raise ArgumentError("hand_length", told, error.problem) from error
    if not SHORTEST <= length <= LONGEST:
        raise ArgumentError(
            "hand_length",
            told,
            f"is no hand's: from the wrist to the middle finger's tip they are {length_text(SHORTEST)} to "
            f"{length_text(LONGEST)} long",
        )
    return length


def _coefficients(told: Betas) -> Float[Tensor, " 10"]:
    try:
        numbers = [float(x) for x in (told.strip(" []").split(",") if isinstance(told, str) else told)]
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError("betas", _told(told), "are no numbers: give up to ten, 1,-0.5") from error
    if not 0 < len(numbers) <= SHAPES or not all(math.isfinite(x) and abs(x) <= MOST for x in numbers):
        raise ArgumentError(
            "betas", _told(told), f"are no shape: give up to ten numbers between -{MOST:g} and {MOST:g}, most within 3"
        )
    return torch.tensor(numbers + [0.0] * (SHAPES - len(numbers)))


def _told(betas: Betas) -> str:
    return (
        betas if isinstance(betas, str) else ",".join(str(x) for x in np.asarray(betas).reshape(-1)[:SHAPES].tolist())
    )
