"""How ensembles are asked for less: one member sees all placements, all see the best; one guides after another."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.state import HandObjectState
from hoprior.priors.protocols import Ensemble, info_of, text_encoder_of
from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.terms import ScoreNormalizer, reads_placement

Terms: TypeAlias = Sequence[tuple[float, Any]]
Judged: TypeAlias = Callable[[GraspBatch], tuple[list[Float[Tensor, " b"]], Float[Tensor, " b"]]]
"""Each prior's score of hands, and how many fingers of each hand would be out of place."""


def screens_of(terms: Terms) -> Terms | None:
    """The priors, with its first member in the place of each ensemble; None where there is no ensemble.

    Example:
        >>> class Both:
        ...     def members_alone(self):
        ...         return ["one", "another"]
        >>> screens_of([(2.0, Both()), (1.0, "other")])
        [(2.0, 'one'), (1.0, 'other')]
    """
    members = [members_of(prior) for _, prior in terms]
    if max(map(len, members), default=1) == 1:
        return None
    return [(weight, alone[0]) for (weight, _), alone in zip(terms, members, strict=True)]


def in_turn(terms: Terms) -> Terms:
    """The priors, with one that asks one member after another in the place of each ensemble."""
    return [(weight, InTurn(alone) if len(alone := members_of(prior)) > 1 else prior) for weight, prior in terms]


def members_of(prior: Any) -> Sequence[Any]:
    """The members of an ensemble; of any other prior itself."""
    return prior.members_alone() if isinstance(prior, Ensemble) else [prior]


class InTurn:
    """An energy of an ensemble that asks one member after another: over as many calls as there are, their mean.

    Descents take small steps, each by a gradient of its own, so that one member's bent does not last.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members, self.asked = members, 0
        self.text_encoder_name, self.info = text_encoder_of(members[0]), info_of(members[0])
        self.energy_name = f"{type(members[0]).__name__}.energy"

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        """That of the member whose turn it is."""
        member = self.members[self.asked % len(self.members)]
        self.asked += 1
        return member.energy(state, cond)


def of_placements(terms: Terms) -> Terms:
    """Those of the priors that look at where a hand is."""
    return [(weight, prior) for weight, prior in terms if reads_placement(prior)]


class PlacementJudge:
    """How good placements are, by priors whose scores are brought to one scale, less what is out of place.

    Args:
        terms: the priors that judge; of none, only what is out of place counts.
        judged: what they say of hands, and how many fingers of each would be out of place.
        screened: the same by one member of each ensemble; None where there is none.
        share: of the placements that the priors themselves see once their members have seen all.
        out_of_place: what a finger that is out of place costs, in standard deviations of a prior's score.
    """

    def __init__(
        self, terms: Terms, judged: Judged, screened: Judged | None, share: float, out_of_place: float
    ) -> None:
        self.terms, self.judged, self.screened = terms, judged, screened
        self.share, self.out_of_place = share, out_of_place
        self.normalize: ScoreNormalizer | None = None

    def best(self, hands: GraspBatch, least: int) -> tuple[GraspBatch, Float[Tensor, " b"]]:
        """Those of many random hands that the priors themselves are to see, `least` or more, and how good they are.

        What is said of all of them sets the scale.
        """
        scores, misplaced = (self.screened or self.judged)(hands)
        self.normalize = ScoreNormalizer.of(self.terms, scores) if self.terms else None
        total = self._total(scores, misplaced)
        if self.screened is None:
            return hands, total
        count = min(max(least, round(self.share * len(hands))), len(hands))
        hands = hands[total.topk(count).indices.sort().values]
        return hands, self(hands)

    def __call__(self, hands: GraspBatch) -> Float[Tensor, " b"]:
        """How good hands are by the priors themselves, on the scale that `best` has set."""
        return self._total(*self.judged(hands))

    def of_each(self, hands: GraspBatch, count: int) -> Float[Tensor, " b"]:
        """How good hands are, each `count` in a row being choices for one; -inf where members leave one out."""
        if self.screened is None:
            return self(hands)
        quick = self._total(*self.screened(hands)).view(-1, count)
        chosen = quick.topk(max(1, round(self.share * count)), dim=1).indices
        index = (chosen + count * torch.arange(len(quick), device=quick.device)[:, None]).flatten()
        total = quick.new_full((len(hands),), -torch.inf)
        total[index] = self(hands[index])
        return total

    def _total(self, scores: Sequence[Float[Tensor, " b"]], misplaced: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return (self.normalize(scores) if self.normalize else 0.0) - self.out_of_place * misplaced
