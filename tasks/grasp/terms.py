"""What lets priors of different kinds act together in a search: one scale for their scores, gradients that are held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.state import HandObjectState
from hoprior.priors.guidance import SDSGuidance
from hoprior.priors.protocols import HoldsPosture, LooksAtObject, PriorInfo, info_of, text_encoder_of


class FrozenGradient:
    """The gradient of a guidance loss at a state, in what of the state moves (`slopes`, by name).

    A loss that does not depend on the hands, as that of a prior of objects alone, has no slope.
    """

    def __init__(self, guide: SDSGuidance, state: HandObjectState, cond: Tensor | None) -> None:
        parts: dict[str, Any] = {name: value.detach().requires_grad_() for name, value in _moving(state).items()}
        with torch.enable_grad():
            loss = guide(replace(state, **parts), cond).sum()
        self.slopes: dict[str, Tensor | None] = {}
        if loss.requires_grad:
            slopes = torch.autograd.grad(loss, tuple(parts.values()), allow_unused=True)
            self.slopes = dict(zip(parts, slopes, strict=True))

    def __call__(self, state: HandObjectState) -> Float[Tensor, " b"]:
        """The slope times the state, for each of b hands: a loss of this gradient, whose value is meaningless."""
        return _along(self.slopes, state)


def _moving(state: HandObjectState) -> dict[str, Tensor]:
    """What of a state moves with the hands, by the names of its fields."""
    parts: dict[str, Any] = {"T_object_hand": state.T_object_hand, "joints_hand": state.joints_hand}
    return parts if state.hand_pose is None else parts | {"hand_pose": state.hand_pose}


class Guide(NamedTuple):
    """Guidance that is asked every so many steps of a descent, and its weight there."""

    every: int
    weight: float
    guidance: SDSGuidance


class HeldGuidance:
    """The weighted sum of guides, each asked when it is its turn; between, its gradient is held."""

    def __init__(self, guides: Sequence[Guide]) -> None:
        self.guides = guides
        self.step = 0
        self.held: list[FrozenGradient] = []

    @property
    def steps_held(self) -> int | None:
        """How many steps from now on no guide is asked after it was at this one; None without guides."""
        return min((guide.every - self.step % guide.every for guide in self.guides), default=None)

    def slopes(self, state: HandObjectState, cond: Tensor | None, steps: int = 1) -> dict[str, Tensor]:
        """The gradient of the sum in what of a state moves, by name, at this step; the next call is `steps` later."""
        self.held = [
            FrozenGradient(guide.guidance, state, cond) if self.step % guide.every == 0 else self.held[k]
            for k, guide in enumerate(self.guides)
        ]
        self.step += steps
        total: dict[str, Tensor] = {}
        for guide, line in zip(self.guides, self.held, strict=True):
            for name, slope in line.slopes.items():
                if slope is not None:
                    weighed = guide.weight * slope
                    total[name] = total[name] + weighed if name in total else weighed
        return total

    def __call__(self, state: HandObjectState, cond: Tensor | None) -> Float[Tensor, " b"]:
        """What to descend at this step: its value is meaningless, its gradient is that of the guides."""
        return _along(self.slopes(state, cond), state)


def _along(slopes: Mapping[str, Tensor | None], state: HandObjectState) -> Float[Tensor, " b"]:
    """Slopes times the state, for each of b hands."""
    total = state.joints_hand.new_zeros(len(state))
    for name, value in _moving(state).items():
        slope = slopes.get(name)
        if slope is not None:
            total = total + (slope * value).flatten(1).sum(dim=1)
    return total


def reads_placement(prior: Any) -> bool:
    """Whether a prior looks at where the hand is at the object, and not at its fingers alone.

    Example:
        >>> class Low:
        ...     def energy(self, state, cond=None):
        ...         return state.T_object_hand[:, 2, 3]
        >>> reads_placement(Low())
        True
    """
    return bool(info_of(prior).reads & {"sdf", "T_object_hand"})


def reads_pose(prior: Any) -> bool:
    """Whether a prior reads how hands are bent.

    Example:
        >>> class Bent:
        ...     info = PriorInfo(reads=frozenset({"hand_pose"}))
        >>> reads_pose(Bent()), reads_pose(object())
        (True, False)
    """
    return "hand_pose" in info_of(prior).reads


class Posture:
    """A prior that holds postures, as an energy of these alone."""

    def __init__(self, prior: HoldsPosture) -> None:
        self.prior, self.text_encoder_name, self.info = prior, text_encoder_of(prior), info_of(prior)
        # Errors name the method that somebody wrote.
        self.energy_name = f"{type(prior).__name__}.posture_energy"

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        """The prior's `posture_energy`."""
        return self.prior.posture_energy(state, cond)


_Told = TypeVar("_Told", bound="ToldItself")


class ToldItself:
    """A prior of parts that is told something of its own, whatever the others are told.

    Args:
        prior: one that finds parts.
        told: the features of what it is told, as its text encoder gives them.
    """

    def __init__(self, prior: Any, told: Float[Tensor, "1 tokens dim"]) -> None:
        self.prior, self.told = prior, told

    def at_object(self: _Told, sdf: Any) -> _Told:
        """The same, which looks at the object once."""
        return type(self)(self.prior.at_object(sdf), self.told) if isinstance(self.prior, LooksAtObject) else self

    def told_of(self, state: HandObjectState) -> Float[Tensor, "b tokens dim"]:
        """What it is told of each hand."""
        return self.told.to(state.joints_hand.device).expand(len(state), -1, -1)


class KeepsOff(ToldItself):
    """Keeps hands off a part of the object, which a prior of parts finds by a sentence: off a knife's blade.

    It is told a sentence that has the hand at this part.
    """

    text_encoder_name = None
    # A single bone point at the part is no reason to prefer another grasp.
    info = PriorInfo(min_score_std=1.0)

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        """How many of the hand's bones are at the part."""
        return self.prior.bones_at(state, self.told_of(state))


class HeardInWordings(ToldItself):
    """An energy of parts that is told a sentence in wordings of its own (`hoprior.language.part_wordings`)."""

    @property
    def info(self) -> PriorInfo:
        """The prior's."""
        return info_of(self.prior)

    @property
    def text_encoder_name(self) -> str | None:
        """The prior's."""
        return text_encoder_of(self.prior)

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        """The prior's of its own wordings; of no text, as the prior has it."""
        return self.prior.energy(state, None if cond is None else self.told_of(state))


@dataclass(frozen=True)
class ScoreNormalizer:
    """What brings priors' scores to one scale, on which they add: weights, means and spreads.

    A logit and a denoising error have nothing else in common.
    """

    weights: Sequence[float]
    means: Sequence[Float[Tensor, ""]]
    spreads: Sequence[Float[Tensor, ""]]

    @classmethod
    def of(cls, terms: Sequence[tuple[float, Any]], scores: Sequence[Float[Tensor, " b"]]) -> "ScoreNormalizer":
        """The scale on which each prior's scores of these hands have mean 0 and standard deviation 1.

        Scores that spread less than their prior's `min_score_std` are not blown up to that: it has no opinion.
        """
        spreads = [
            (column.std() if len(column) > 1 else column.new_zeros(())).clamp(min=info_of(prior).min_score_std)
            for (_, prior), column in zip(terms, scores, strict=True)
        ]
        return cls([weight for weight, _ in terms], [column.mean() for column in scores], spreads)

    def __call__(self, scores: Sequence[Float[Tensor, " b"]]) -> Float[Tensor, " b"]:
        """The weighted sum."""
        parts = zip(self.weights, scores, self.means, self.spreads, strict=True)
        return torch.stack([weight * (column - mean) / spread for weight, column, mean, spread in parts]).sum(dim=0)
