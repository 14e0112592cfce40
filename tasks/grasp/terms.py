"""What lets priors of different kinds act together in a search: one scale for their scores, gradients that are held."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.common.graphs import Step, can_replay, replayed
from hoprior.geometry.state import HandObjectState
from hoprior.priors.guidance import SDSGuidance
from hoprior.priors.protocols import HoldsPosture, LooksAtObject, PriorInfo, info_of, text_encoder_of

Look = Callable[[], tuple[HandObjectState, Tensor | None]]
"""What priors are shown of hands as they now are, and the sentence's features for each."""


def slopes_at(guide: SDSGuidance, state: HandObjectState, cond: Tensor | None) -> dict[str, Tensor | None]:
    """The gradient of a guidance loss at a state, in what of the state moves, by name.

    A loss that does not depend on the hands, as that of a prior of objects alone, has none.
    """
    parts: dict[str, Any] = {name: value.detach().requires_grad_() for name, value in _moving(state).items()}
    with torch.enable_grad():
        loss = guide(replace(state, **parts), cond).sum()
    if not loss.requires_grad:
        return {}
    return dict(zip(parts, torch.autograd.grad(loss, tuple(parts.values()), allow_unused=True), strict=True))


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
        self.held = [_Held(guide) for guide in guides]

    @property
    def steps_held(self) -> int | None:
        """How many steps from now on no guide is asked after it was at this one; None without guides."""
        return min((guide.every - self.step % guide.every for guide in self.guides), default=None)

    def ask(self, look: Look, steps: int = 1) -> None:
        """Asks the guides whose turn it is at this step what they say of hands as they now look; the next call is
        `steps` later.

        `look` is the same at each call, and what changes is in tensors that stay where they are.
        """
        for held in self.held:
            if self.step % held.guide.every == 0:
                held.ask(look)
        self.step += steps

    def slopes(self, state: HandObjectState, cond: Tensor | None, steps: int = 1) -> dict[str, Tensor]:
        """The gradient of the sum in what of a state moves, by name, at this step; the next call is `steps` later."""
        self.ask(lambda: (state, cond), steps)
        return self._sum()

    def along(self, state: HandObjectState) -> Float[Tensor, " b"]:
        """What to descend: its value is meaningless, its gradient is what the guides said when they were asked."""
        return along(self._sum(), state)

    def _sum(self) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for held in self.held:
            for name, slope in held.slopes.items():
                if slope is not None:
                    weighed = held.guide.weight * slope
                    total[name] = total[name] + weighed if name in total else weighed
        return total


class _Held:
    """A guide's gradient as it was when it was asked last.

    Where a device repeats steps by itself (`common.graphs`), the gradient stays in the same memory, as the steps want,
    and from the second time on the device also repeats the asking, of a guide that says it may (`PriorInfo.repeats`).
    """

    def __init__(self, guide: Guide) -> None:
        self.guide = guide
        self.slopes: dict[str, Tensor | None] = {}
        self._again: Step | None = None

    def ask(self, look: Look) -> None:
        """Asks it."""
        if self._again is not None:
            self._again()
            return
        state, cond = look()
        if not can_replay(state.device):
            self.slopes = self._said(state, cond)
        elif not self.slopes:
            self.slopes = {name: torch.zeros_like(value) for name, value in _moving(state).items()}
            self._keep(self._said(state, cond))
        elif self.guide.guidance.repeats:
            kept = [slope for slope in self.slopes.values() if slope is not None]
            self._again = replayed(lambda: self._keep(self._said(*look())), kept)
            self._again()
        else:
            self._keep(self._said(state, cond))

    def _said(self, state: HandObjectState, cond: Tensor | None) -> dict[str, Tensor | None]:
        return slopes_at(self.guide.guidance, state, cond)

    def _keep(self, said: Mapping[str, Tensor | None]) -> None:
        for name, kept in self.slopes.items():
            slope = said.get(name)
            assert kept is not None, "on such a device every slope has its place"
            if slope is None:
                kept.zero_()
            else:
                kept.copy_(slope)


def along(slopes: Mapping[str, Tensor | None], state: HandObjectState) -> Float[Tensor, " b"]:
    """Slopes times the state, for each of b hands: a loss of this gradient, whose value is meaningless."""
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
        self._there = told

    def at_object(self: _Told, sdf: Any) -> _Told:
        """The same, which looks at the object once."""
        return type(self)(self.prior.at_object(sdf), self.told) if isinstance(self.prior, LooksAtObject) else self

    def told_of(self, state: HandObjectState) -> Float[Tensor, "b tokens dim"]:
        """What it is told of each hand."""
        if self._there.device != state.device:
            self._there = self.told.to(state.device)
        return self._there.expand(len(state), -1, -1)


class KeepsOff(ToldItself):
    """Keeps hands off a part of the object, which a prior of parts finds by a sentence: off a knife's blade.

    It is told a sentence that has the hand at this part.
    """

    text_encoder_name = None

    @property
    def info(self) -> PriorInfo:
        """A single bone point at the part is no reason to prefer another grasp."""
        return PriorInfo(min_score_std=1.0, repeats=info_of(self.prior).repeats)

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
