"""What lets priors of different kinds act together in a search: one scale for their scores, gradients that are held."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.state import HandObjectState
from hoprior.priors.guidance import SDSGuidance
from hoprior.priors.protocols import HoldsPosture, info_of, text_encoder_of


class Linearised:
    """A guidance loss as it is near a state: its value is meaningless, its gradient is that at the state.

    A loss that does not depend on the hands, as that of a prior of objects alone, has no slope.
    """

    def __init__(self, guide: SDSGuidance, state: HandObjectState, cond: Tensor | None) -> None:
        placed = state.T_object_hand.detach().requires_grad_()
        joints = state.joints_hand.detach().requires_grad_()
        with torch.enable_grad():
            loss = guide(replace(state, T_object_hand=placed, joints_hand=joints), cond).sum()
        self.slopes: tuple[Tensor | None, ...] = (None, None)
        if loss.requires_grad:
            self.slopes = torch.autograd.grad(loss, (placed, joints), allow_unused=True)

    def __call__(self, state: HandObjectState) -> Float[Tensor, " b"]:
        """The slope times the state, for each of b hands."""
        total = state.joints_hand.new_zeros(len(state))
        for slope, value in zip(self.slopes, (state.T_object_hand, state.joints_hand), strict=True):
            if slope is not None:
                total = total + (slope * value).flatten(1).sum(dim=1)
        return total


class Posture:
    """A prior that holds postures, as an energy of these alone."""

    def __init__(self, prior: HoldsPosture) -> None:
        self.prior, self.text_encoder_name, self.info = prior, text_encoder_of(prior), info_of(prior)

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        """The prior's `posture_energy`."""
        return self.prior.posture_energy(state, cond)


@dataclass(frozen=True)
class Scale:
    """What brings priors' scores to one scale, on which they add: weights, means and spreads.

    A logit and a denoising error have nothing else in common.
    """

    weights: Sequence[float]
    means: Sequence[Float[Tensor, ""]]
    spreads: Sequence[Float[Tensor, ""]]

    @classmethod
    def of(cls, terms: Sequence[tuple[float, Any]], scores: Sequence[Float[Tensor, " b"]]) -> "Scale":
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
